package agent

import (
	"context"
	"time"

	"latchd/iothub"
)

// Hub is the connection to the hub.
type Hub interface {
	// Report says what the reported section shall hold for the top-level keys
	// in want; nil means that the key shall be absent. It returns at once,
	// and the last call wins.
	Report(want map[string]any)
	// Flush waits until the hub holds what the last Report said.
	Flush(ctx context.Context) error
	// SendAll sends messages in order and tells how many of them, from the first
	// on, the hub has acknowledged. It waits while there is no connection, until
	// ctx ends. After an error the others may have arrived or not.
	SendAll(ctx context.Context, messages []iothub.Message) (acknowledged int, err error)
}

// Machine is the computer the agent runs on. Its methods with a context return
// soon after it ends.
type Machine interface {
	// CanReboot is nil when this machine may reboot itself; the error names
	// who or what forbids it, and the remedy.
	CanReboot(ctx context.Context) error
	// Reboot asks the machine to go down. nil means that it accepted, not
	// that it happened.
	Reboot(ctx context.Context) error
	// Stopping tells whether the whole machine is going down, not just this
	// service.
	Stopping(ctx context.Context) bool
	// Uptime is the time since boot on the boot-time clock, which counts
	// suspend and never jumps.
	Uptime() time.Duration
}

// Clock is the wall clock and how far to believe it.
type Clock interface {
	Now() time.Time
	// State is unset, restored, corroborated or synchronized, and since when.
	State() (state string, since time.Time)
}

// trusted tells whether a clock state may decide and be reported.
func trusted(state string) bool { return state == "synchronized" || state == "corroborated" }

// Door is the lock. Its commands may be called from one goroutine at a time,
// Status from any.
type Door interface {
	// LockDoor locks: for good (nil), until it ends (a lockdown), or ends a
	// lockdown (0). Errors: *RangeError, *UnavailableError, or what failed in
	// the hardware, after which something may have moved.
	LockDoor(lockTime *time.Duration) (DoorStatus, error)
	// UnlockDoor unlocks: for d, for the policy's time (nil), or until locked
	// (hold). Errors: those of LockDoor, *LockdownError.
	UnlockDoor(d *time.Duration, hold bool) (DoorStatus, error)
	Status() DoorStatus
	// SetPolicy replaces the policy. Errors: *RangeError.
	SetPolicy(DoorPolicy) error
}

// DoorStatus is what is known of the door. Its words are the contract's.
type DoorStatus struct {
	State    string    // locked, unlocked, locking, unlocking, jammed, unknown
	Mode     string    // resting, momentary, heldUnlocked, heldLocked, lockdown
	Assumed  bool      // nothing senses it
	Since    time.Time // zero: not known
	Until    time.Time // when the mode ends by itself; zero: never, or not known
	Contact  string    // open, closed; "": no contact
	Alarm    string    // forcedOpen, heldOpen, buttonStuck; "": none
	Fault    string    // what is wrong with the hardware; "": nothing
	Blockers []string  // what speaks against a reboot: unlockRunning, lockdown, doorOpen
	Unsaved  string    // why the state could not be kept for a restart; "": it is
}

// DoorPolicy is how the door behaves by itself.
type DoorPolicy struct {
	Resting       string        // locked or unlocked: what the door returns to
	UnlockTime    time.Duration // of an unlock that names no time
	HeldOpenAfter time.Duration // an open door is an alarm after this time
	FromHub       bool          // the hub confirmed it in this boot
}

// LockdownError refuses an unlock during a lockdown.
type LockdownError struct{ Until time.Time }

func (e *LockdownError) Error() string {
	if e.Until.IsZero() {
		return "the door is in lockdown"
	}
	return "the door is in lockdown until " + formatTime(e.Until)
}

// UnavailableError says that there is no lock to move, so nothing moved.
type UnavailableError struct{ Err error }

func (e *UnavailableError) Error() string { return e.Err.Error() }
func (e *UnavailableError) Unwrap() error { return e.Err }

// RangeError refuses a value that is out of range; Why names the value.
type RangeError struct{ Why string }

func (e *RangeError) Error() string { return e.Why }

// Boot is what is known of the present boot.
type Boot struct {
	ID    string
	Cause string // as found, for a boot that nobody asked for: watchdog, panic, powerLoss, unknown
}
