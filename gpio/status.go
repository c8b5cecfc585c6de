package gpio

import "time"

// State is what is true of the lock, as far as anybody can tell.
type State string

const (
	StateLocked    State = "locked"
	StateUnlocked  State = "unlocked"
	StateLocking   State = "locking"   // told to lock; a sensor does not agree yet
	StateUnlocking State = "unlocking" // told to unlock; a sensor does not agree yet
	StateJammed    State = "jammed"    // a sensor disagrees for longer than the settle time
	StateUnknown   State = "unknown"   // the line could not be set, so its level is not known
)

// Mode is what the door was told to do.
type Mode string

const (
	ModeResting      Mode = "resting"      // as the policy says
	ModeMomentary    Mode = "momentary"    // an unlock that ends by itself; afterwards the door rests
	ModeHeldUnlocked Mode = "heldUnlocked" // until a lock command
	ModeHeldLocked   Mode = "heldLocked"   // until an unlock command
	ModeLockdown     Mode = "lockdown"     // no unlock command is accepted until it ends
)

// Contact is what the door's contact says of the leaf.
type Contact string

const (
	ContactNone   Contact = ""       // not fitted, or it cannot be read
	ContactOpen   Contact = "open"   // the leaf stands open
	ContactClosed Contact = "closed" // the leaf is shut
)

// Alarm is a condition that somebody should look at. It clears by itself when
// its cause is gone.
type Alarm string

const (
	AlarmNone Alarm = ""
	// AlarmForcedOpen: the door was opened while locked, without an unlock or the
	// button. It lasts until the door is closed.
	AlarmForcedOpen Alarm = "forcedOpen"
	// AlarmHeldOpen: the door stands open for longer than the policy allows.
	AlarmHeldOpen Alarm = "heldOpen"
	// AlarmButtonStuck: the button is held for longer than 30 s.
	AlarmButtonStuck Alarm = "buttonStuck"
)

// Status is everything that is known about the door at one moment.
//
// # What a sensor proves
//
// A bolt sensor proves locked (thrown) and unlocked (withdrawn). A contact senses
// the leaf, not the bolt. A leaf that stands open cannot be locked, whatever the
// line says: with an open contact the state is unlocked, or, once told to lock,
// locking and then jammed, but never locked. A closed leaf proves nothing about
// the bolt: the state is then what was commanded, with Assumed.
type Status struct {
	State State
	Mode  Mode
	// Assumed says that State is what was commanded and that no sensor proves it.
	Assumed bool
	// Since is when State or Mode last changed: wall clock, UTC, milliseconds,
	// zero while the wall clock is not trusted.
	Since time.Time
	// Until is when Mode ends by itself, in the same terms. It is zero for a mode
	// that does not end by itself.
	Until time.Time
	// Remaining is the time until Mode ends by itself when the status was taken;
	// it is known also while the wall clock is not trusted.
	Remaining time.Duration
	// UnlockRunning says that an unlock runs that a stop or a reboot would end. It
	// is also true for an exit by the button during heldLocked and lockdown, when
	// Mode does not tell.
	UnlockRunning bool
	Contact       Contact
	// Alarm is the gravest of the present alarms, in the order forcedOpen,
	// heldOpen, buttonStuck.
	Alarm    Alarm
	FailMode FailMode
	// Fault says what is wrong with the hardware now, for a person; empty if
	// nothing is.
	Fault string
	// NotRecorded says why the present state of the lock is not on disk; empty if
	// it is. What is not recorded may be forgotten, on the locked side, by a
	// restart, and a lockdown by a reboot.
	NotRecorded string
}

// Blocker is a reason not to reboot now, as the public interface names it.
type Blocker string

const (
	BlockUnlockRunning Blocker = "unlockRunning" // a reboot would end the unlock
	BlockLockdown      Blocker = "lockdown"      // a fail-safe lock would open for the time the machine is down
	BlockDoorOpen      Blocker = "doorOpen"      // somebody is passing, or the door cannot be locked now
)

// RebootBlockers lists what about the door speaks against a reboot, in a fixed
// order. It is empty if nothing does.
func (s Status) RebootBlockers() []Blocker {
	var blockers []Blocker
	if s.UnlockRunning {
		blockers = append(blockers, BlockUnlockRunning)
	}
	if s.Mode == ModeLockdown && s.FailMode == FailSafe {
		blockers = append(blockers, BlockLockdown)
	}
	if s.Contact == ContactOpen {
		blockers = append(blockers, BlockDoorOpen)
	}
	return blockers
}
