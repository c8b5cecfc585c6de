// Package maintenance says when a device may do what disturbs people.
package maintenance

import (
	"time"

	"latchd/internal/zone"
)

// RebootTime is how long a reboot takes, unless the device knows better.
const RebootTime = 2 * time.Minute

// Action is what happens to an operation that comes outside the windows.
type Action string

const (
	Allow  Action = "allow"
	Defer  Action = "defer"
	Reject Action = "reject"
)

// Policy is a checked maintenance policy. It does not change.
type Policy struct {
	Zone *time.Location
	Data zone.Data
	// (the rest is the package's own)
}

// Parse checks a policy: the value of the desired property maintenance, as
// iothub.DecodeJSON gives it (map[string]any, []any, string, json.Number, bool).
// need is how long the shortest useful window is; an error begins with the path,
// "maintenance.windows[2].start: ...".
func Parse(value any, need time.Duration) (*Policy, error) { panic("to be written") }

// Document is the policy as it is acknowledged: complete, in seconds.
func (p *Policy) Document() map[string]any { panic("to be written") }

// Summary is for the acknowledgement's description: "2 windows, 1 exclusion".
func (p *Policy) Summary() string { panic("to be written") }

// Action is what the policy says of a kind of operation.
func (p *Policy) Action(kind string) Action { panic("to be written") }

// Reasons why the device may or may not do what disturbs people; the words of
// the contract.
const (
	WhyWindow   = "window"
	WhyOutside  = "outside"
	WhyExcluded = "excluded"
	WhyClock    = "clock"     // for the caller: the time is not to be believed
	WhyNoPolicy = "no policy" // for the caller: nothing was desired
)

// Opening is one time at which the windows are open: half-open, from Opens on,
// until before Closes. Windows that touch or overlap are one opening, with the
// name of the one that opens it.
type Opening struct {
	Name   string
	Opens  time.Time // zero: it has been open for as long as was looked back
	Closes time.Time // zero: it does not close for as long as was looked ahead
}

// State is how things are at one instant.
type State struct {
	Open bool
	Why  string  // window, outside or excluded
	In   Opening // while open
}

// At tells how things are at t.
func (p *Policy) At(t time.Time) State { panic("to be written") }

// Next gives up to n openings that open after t.
func (p *Policy) Next(t time.Time, n int) []Opening { panic("to be written") }

// Between gives every opening that has an instant in [from, to).
func (p *Policy) Between(from, to time.Time) []Opening { panic("to be written") }

// Slot gives the first opening in which something that takes need can be done
// at or after earliest, and when in it this device does: share, in [0, 1), is the
// device's own part of the spread. at may be before earliest where the slot began
// then; it is zero where the opening has no beginning. It is false if there is
// none within 366 days.
func (p *Policy) Slot(earliest time.Time, need time.Duration, share float64) (at time.Time, in Opening, ok bool) {
	panic("to be written")
}
