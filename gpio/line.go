package gpio

import periph "periph.io/x/conn/v3/gpio"

// Level is the electrical level of a line.
type Level = periph.Level

// The two levels of a line.
const (
	Low  = periph.Low
	High = periph.High
)

// Line is the output that drives the lock. It stays requested and driven for as
// long as the process lives; whoever opened it releases it.
//
// Its methods are called from one goroutine at a time and are on the path of the
// request-to-exit button: they must not wait for anything but the hardware.
type Line interface {
	// Set drives the line to the level. Setting the level it already has causes
	// no edge. After an error the level is unknown.
	Set(Level) error
	// Level tells the level that is driven. It never reconfigures the line: many
	// GPIO libraries turn an output into an input when it is read, which releases
	// the lock.
	Level() (Level, error)
}

// OpenLine requests the output. A line that survived the previous process, such
// as a descriptor kept by the service manager, is adopted at the level it has.
// A line that must be requested anew is driven to initial by the same call that
// requests it, so that there is no moment at another level.
type OpenLine func(initial Level) (Line, error)

// FailMode is what the lock's hardware does without power.
type FailMode string

const (
	// FailSecure stays locked without power: power unlocks it, as with most
	// electric strikes. The zero value counts as FailSecure.
	FailSecure FailMode = "secure"
	// FailSafe opens without power: power locks it, as with a magnetic lock.
	FailSafe FailMode = "safe"
)
