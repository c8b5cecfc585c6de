package gpio

import "time"

// EventName is the public name of something that happened at the door.
type EventName string

const (
	EventUnlocked    EventName = "doorUnlocked"   // State became unlocked
	EventLocked      EventName = "doorLocked"     // State became locked
	EventJammed      EventName = "doorJammed"     // State became jammed
	EventOpened      EventName = "doorOpened"     // the contact opened
	EventClosed      EventName = "doorClosed"     // the contact closed
	EventForcedOpen  EventName = "doorForcedOpen" // the alarm began
	EventHeldOpen    EventName = "doorHeldOpen"   // the alarm began
	EventButtonStuck EventName = "buttonStuck"    // the alarm began
	EventExit        EventName = "requestToExit"  // the button was pressed

	EventLockdownBegan EventName = "lockdownBegan" // or goes on after a reboot
	EventLockdownEnded EventName = "lockdownEnded"
)

// Cause is what set an event off.
type Cause string

const (
	CauseCommand Cause = "command" // LockDoor, UnlockDoor
	CauseButton  Cause = "button"
	CauseSensor  Cause = "sensor" // the contact or the bolt changed
	CauseTime    Cause = "time"   // a deadline passed
	CausePolicy  Cause = "policy" // SetPolicy
	CauseStart   Cause = "start"  // what Open found
	CauseStop    Cause = "stop"   // Close
)

// Event is something that happened at the door.
type Event struct {
	Name  EventName
	Cause Cause
	// At is when it happened, by the boot-time clock.
	At time.Duration
	// Time is the same by the wall clock (UTC, milliseconds), or zero if the wall
	// clock was not trusted then.
	Time time.Time
}

// Change is what a listener hears: the status after it, and the events that
// happened with it, oldest first.
type Change struct {
	Status Status
	Events []Event
	// Missed is the number of events that were dropped before this change because
	// the listener was too slow for too long.
	Missed int
}
