package maintenance

import (
	"fmt"
	"time"

	"latchd/internal/zone"
)

// RebootTime is how long a reboot takes, unless the device knows better.
const RebootTime = 2 * time.Minute

// Action is what happens to an operation that comes outside the windows.
type Action string

// The actions, in the words of the policy.
const (
	Allow  Action = "allow"
	Defer  Action = "defer"
	Reject Action = "reject"
)

// defaultActions are the kinds of operation that a policy can speak of, and what
// happens to those that it does not mention. What a factory reset destroys does
// not come back, so nobody gets one by waiting.
var defaultActions = map[string]Action{
	"rebootDevice":   Defer,
	"firmwareUpdate": Defer,
	"factoryReset":   Reject,
}

// Policy is a checked maintenance policy. It does not change.
type Policy struct {
	Zone *time.Location
	Data zone.Data

	always     bool       // windows are absent: open except on excluded dates
	windows    []window   // as they were given
	week       [7][]start // by weekday, from Sunday: what starts then, in order
	longest    int64      // of the windows, in seconds
	exclusions []dates    // as they were given
	excluded   []dates    // the same in order, those that touch as one
	spread     *time.Duration
	actions    map[string]Action
}

// A window opens on some weekdays at one civil time.
type window struct {
	name   string
	days   [7]bool // from Sunday, as time.Weekday
	start  int64   // the civil time, in seconds from 00:00 on the clock's face
	length int64   // of absolute time, in seconds
}

// A start is what the search needs of a window.
type start struct {
	civil  int64 // as window.start
	length int64
	window int
}

// dates are days of the civil calendar from the first to the last, both
// included, counted from 1970-01-01.
type dates struct {
	from, to int64
}

// Action is what the policy says of a kind of operation. One that no policy
// knows is deferred.
func (p *Policy) Action(kind string) Action {
	if a, ok := p.actions[kind]; ok {
		return a
	}
	return Defer
}

// Summary is for the acknowledgement's description: "2 windows, 1 exclusion".
func (p *Policy) Summary() string {
	text := count(len(p.windows), "window")
	switch {
	case p.always:
		text = "always open"
	case len(p.windows) == 0:
		text = "never open"
	}
	if n := len(p.exclusions); n > 0 {
		text += ", " + count(n, "exclusion")
	}
	return text
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
