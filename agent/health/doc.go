// Package health looks for what is wrong with a device: the checks behind the
// direct method runDiagnostics and the command latchd check.
//
// A check looks at one thing and ends in one [Result]: everything is fine, or one
// fault, the gravest that it found. What can be wrong is data in faults.go, each
// with its severity, its text and what a person can do about it; which checks
// there are is data in checks.go, under ids that are public interface. The table
// in docs/device.md is made of both, and a test keeps it true.
//
// One rule for what does not apply: a check of something that this machine does
// not have (no lock, no Raspberry Pi) or that cannot be told here (the service
// does not run) is no fault. It answers ok, and its text says so.
//
// A check only looks. It moves no line, writes no file, and its time is bounded:
// checks run side by side, each at most once at a time, and one that does not
// come back (a disk that hangs) is listed as pending and never started a second
// time. So diagnosing a sick device does not make it sicker.
//
// Files are read below one root directory, so that tests use recorded trees;
// what needs the kernel, D-Bus or the hub is asked through the functions of
// [Facts], which the program fills in. The package mends nothing, remembers
// nothing, and watches nothing: it answers when it is asked.
package health
