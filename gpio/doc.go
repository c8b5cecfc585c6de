// Package gpio keeps a door: one output that drives the lock, and the contact,
// bolt sensor and request-to-exit button beside it.
//
// # The model
//
// A [Lock] holds one [Line], whose level decides whether the door is locked.
// What the level should be follows from two things:
//
//   - the mode, set by commands: the door rests (as the [Policy] says), is held
//     unlocked, is held locked, or is in lockdown until a deadline;
//   - one unlock that ends by itself, begun by a command or by the button, which
//     lies over the mode and leaves it as it was.
//
// The rules are a pure state machine (machine.go, observe.go): commands, changes
// of the inputs and the passing of time go in; the wanted level, the next
// deadline, the events and the reported state come out. It has no clock, no I/O
// and no goroutine. One goroutine (lock.go) owns the machine and the line, and
// does what the machine says; everything else talks to that goroutine.
//
// # Invariants
//
//   - Egress first. A press of the button opens for the policy's unlock time in
//     every mode, lockdown included. Nothing on its path waits for a file, a
//     command, or the listener.
//   - An unlock always ends: every unlock has a deadline, except the two that an
//     operator chose to have none, [ModeHeldUnlocked] and a policy that rests
//     unlocked.
//   - No edge without a command. A start in the same boot adopts the line at the
//     level it has and the deadlines that run. A start never unlocks because a
//     file says so: a recorded unlock is believed only while the line is at the
//     unlocked level.
//   - After a boot the line is driven to locked first. What was held locked, and
//     a lockdown, go on.
//   - What was commanded, what is sensed and what is assumed are told apart; see
//     [Status].
//
// Time inside is the boot-time clock (CLOCK_BOOTTIME: the time since boot,
// suspension included), which no clock step moves. Wall-clock times appear only
// in what is reported, and in the durable record of a lockdown.
//
// # What is kept where
//
// Two records, each a small JSON file with a format version:
//
//   - lock.json in the runtime directory (tmpfs, lost at a reboot) holds
//     everything, for a restart in the same boot. It is written at every change.
//   - lock.json in the state directory (durable) holds only whether the door is
//     held locked or in lockdown, and until when. It is written when that
//     changes, never on a timer.
//
// A third file, door-settings.json in the state directory, holds the last good
// [Settings], so that a program whose configuration cannot be read still knows
// which level locks.
//
// A command acts first and is recorded afterwards, because a disk must not decide
// over a door. Each way of losing the record ends on the locked side: an
// unrecorded unlock is ended by the next start, and an unrecorded lock is seen in
// the line's level, and holds a door locked that otherwise rests unlocked (but an
// unrecorded lockdown does not survive a reboot, which is why [Status] says
// NotRecorded). Who locked such a door the level does not tell: after a policy or
// an ordered stop that was not recorded it is held too, until somebody unlocks it.
//
// # What it is not
//
// It is not the fire release: that is hardware in series with the lock. It does
// not know hubs, methods or twins, and it does not decide whether the wall clock
// is to be trusted. It has simulated lines and inputs for tests and
// demonstrations, kept in a directory that stands for the hardware.
package gpio
