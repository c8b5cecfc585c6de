package maintenance

import "time"

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
// name of the one that opens it; without windows it has no name.
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

// At tells how things are at t. While closed the reason is excluded if it would
// be open but for the exclusions, else outside.
func (p *Policy) At(t time.Time) State {
	unix := secondsOf(t)
	if o, ok := p.spanAt(unix); ok {
		return State{Open: true, Why: WhyWindow, In: p.opening(o)}
	}
	if len(p.excluded) > 0 {
		plain := *p
		plain.excluded = nil
		if _, ok := plain.spanAt(unix); ok {
			return State{Why: WhyExcluded}
		}
	}
	return State{Why: WhyOutside}
}

func (p *Policy) spanAt(unix int64) (span, bool) {
	for w := p.walk(unix, unix, unix); ; {
		o, ok := w.opening()
		if !ok || o.to > unix {
			return o, ok
		}
	}
}

// Next gives up to n openings that open after t, within 366 days. After one that
// does not close for as long as is looked ahead there is no other.
func (p *Policy) Next(t time.Time, n int) []Opening {
	unix := secondsOf(t)
	var list []Opening
	for w := p.walk(unix, unix+aheadForOpening, unix); len(list) < n; {
		o, ok := w.opening()
		if !ok {
			break
		}
		if o.from > unix {
			list = append(list, p.opening(o))
		}
	}
	return list
}

// Between gives every opening that has an instant in [from, to).
func (p *Policy) Between(from, to time.Time) []Opening {
	var list []Opening
	for _, o := range p.spans(secondsOf(from), ceilSeconds(to)) {
		list = append(list, p.opening(o))
	}
	return list
}

func (p *Policy) spans(from, to int64) []span {
	if from >= to {
		return nil
	}
	var list []span
	for w := p.walk(from, to-1, to); ; {
		o, ok := w.opening()
		if !ok {
			return list
		}
		if o.to > from {
			list = append(list, o)
		}
	}
}

func (p *Policy) opening(s span) Opening {
	var o Opening
	if s.window >= 0 {
		o.Name = p.windows[s.window].name
	}
	if !s.unbegun {
		o.Opens = time.Unix(s.from, 0).UTC()
	}
	if !s.endless {
		o.Closes = time.Unix(s.to, 0).UTC()
	}
	return o
}

// secondsOf is a time in whole seconds, cut off: openings begin and end with a
// second, so nothing changes within one. What a broken clock says may lie
// anywhere; 30,000 years from now are enough for arithmetic without overflow.
func secondsOf(t time.Time) int64 {
	const far = 1e12
	return min(max(t.Unix(), -far), far)
}

func ceilSeconds(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return secondsOf(t) + 1
	}
	return secondsOf(t)
}
