// Package firmware is this machine: which boot it is in, why it booted, what it
// is made of, and how it is made to boot again.
//
// A boot is known by the kernel's boot id, never by a clock: another boot id is
// the proof that the machine went down, and the same one is the proof that the
// kernel never stopped, whatever was restarted above it. Time within a boot is the boot-time clock
// (CLOCK_BOOTTIME), which counts suspend and never jumps. Why a machine booted
// is said only when something shows it; otherwise the cause is "unknown".
//
// There are two machines with the same methods. [Linux] is the real one. It
// reads /proc, /sys and a few files, all below one root directory, so that it is
// tested on recorded trees of other machines. [Simulated] is for demonstrations
// and tests: it reboots by executing the program again, with the same process
// id, a new boot id and an empty runtime directory.
//
// Asking for a reboot is not rebooting: Reboot returns when the machine has
// accepted. Whoever asked writes down the boot id before, and compares after.
//
// The package does not decide whether a reboot is allowed (windows, doors,
// loops), keeps no receipts and reports nothing: that is its user's. It never
// starts another process.
package firmware
