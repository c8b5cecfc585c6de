package maintenance

import "math"

// How far is looked. Windows that touch each other for ever, 32 a day, are what
// makes it dear; without windows a year costs nothing.
const (
	aheadForOpening = 366 * day // for the next opening: a window on one weekday may be excluded for months
	aheadForEnd     = 31 * day  // for the end of windows that touch
	backMargin      = 2 * day   // for the beginning, besides the longest window
)

// A span is one opening in seconds of Unix time: half-open.
type span struct {
	window   int // the one that opens it; -1 where there are no windows
	from, to int64
	unbegun  bool // from is only as far as was looked back
	endless  bool // to is only as far as was looked ahead
}

// A walker goes through the openings of a policy in their order.
type walker struct {
	policy *Policy
	last   int64 // no opening that begins later
	base   int64 // ends are looked for from here on, or from the beginning if that is later
	sure   int64 // an opening that begins earlier may have begun before what is looked at
	done   bool

	starts stretch // for the instants at which windows start
	date   int64   // of the next start
	index  int     // of the next start, among those of its weekday
	ahead  span    // the window after the last opening, where it was found already;
	isNext bool    // this says so

	dates calendar
	from  int64 // without windows: where the last opening ended
}

// walk begins with the opening at unix, if it is open then. Those before it may
// be incomplete and are for the caller to pass over.
func (p *Policy) walk(unix, last, base int64) *walker {
	back := 2*p.longest + backMargin
	if p.always {
		back = aheadForOpening
	}
	first := unix - back
	w := &walker{policy: p, last: last, base: base, from: first}
	w.sure = first + max(p.longest, 1)
	// Civil time is a day and some hours from UTC at most. The date is early
	// enough for all starts from first on, the stretch for all from that date on.
	w.date = floorDiv(first, day) - 2
	w.starts = stretchAt(p.Zone, (w.date-2)*day)
	w.dates = calendar{at: w.starts, excluded: p.excluded, clear: math.MinInt64}
	return w
}

// opening is the next one; windows that touch are one opening.
func (w *walker) opening() (span, bool) {
	if w.done {
		return span{}, false
	}
	if w.policy.always {
		return w.interval()
	}
	o, ok := w.take()
	if !ok || o.from > w.last {
		w.done = true
		return span{}, false
	}
	o.unbegun = o.from < w.sure
	for horizon := max(w.base, o.from) + aheadForEnd; ; {
		next, ok := w.window()
		if !ok {
			break
		}
		if next.from > o.to {
			w.ahead, w.isNext = next, true
			break
		}
		o.to = max(o.to, next.to)
		if o.to > horizon {
			o.endless, w.done = true, true
			break
		}
	}
	return o, true
}

func (w *walker) take() (span, bool) {
	if w.isNext {
		w.isNext = false
		return w.ahead, true
	}
	return w.window()
}

// window is the next window that opens, by itself. Its beginnings never decrease:
// windows are taken in the order of their civil times, and one that comes later in
// civil time is reached no earlier.
func (w *walker) window() (span, bool) {
	p := w.policy
	for end := floorDiv(max(w.last, w.base)+aheadForEnd, day) + 2; w.date <= end && p.longest > 0; {
		if w.index == 0 && w.skipExcluded() {
			continue
		}
		starts := p.week[(w.date%7+11)%7] // 1970-01-01 was a Thursday, 4
		if w.index == len(starts) {
			w.date, w.index = w.date+1, 0
			continue
		}
		s := &starts[w.index]
		w.index++
		from := w.starts.reach(w.date*day + s.civil)
		if to := w.dates.firstExcluded(from, from+s.length); to > from {
			return span{window: s.window, from: from, to: to}, true
		}
	}
	return span{}, false
}

// skipExcluded goes to the end of an exclusion in one step.
func (w *walker) skipExcluded() bool {
	if len(w.dates.excluded) == 0 {
		return false
	}
	i := w.dates.rangeAfter(w.date)
	if i == len(w.dates.excluded) || w.dates.excluded[i].from > w.date {
		return false
	}
	w.date = w.dates.excluded[i].to + 1
	return true
}

// interval is the next opening where there are no windows: the time between two
// exclusions.
func (w *walker) interval() (span, bool) {
	o := span{window: -1}
	o.from = w.dates.firstAllowed(w.from, w.last+1)
	if o.from > w.last {
		w.done = true
		return span{}, false
	}
	o.unbegun = o.from < w.sure
	horizon := max(w.base, o.from) + aheadForOpening
	o.to = w.dates.firstExcluded(o.from, horizon)
	o.endless = o.to == horizon
	w.done, w.from = o.endless, o.to
	return o, true
}
