package maintenance

import "time"

// The oracle knows nothing of the package's way. It walks through absolute time
// minute by minute and looks at the civil time of the zone, as a watchman with a
// clock on the wall would: when the clock shows the start of a window, for the
// first time on that date, or jumps over it, the window opens; when its minutes
// are used up, or the clock shows an excluded date, it closes.

// A face is what the clock on the wall shows at one minute.
type face struct {
	date   int64 // days since 1970-01-01
	minute int64 // of the day
}

func (f face) civil() int64 { return f.date*1440 + f.minute }

// faces looks at the clock at every minute of [from, to).
func faces(zone *time.Location, from, to time.Time) []face {
	const day = 24 * 60 * 60
	all := make([]face, 0, to.Sub(from)/time.Minute)
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		_, offset := t.In(zone).Zone()
		shown := t.Unix() + int64(offset)
		date := shown / day
		if shown < 0 {
			panic("the oracle knows no time before 1970")
		}
		all = append(all, face{date, shown % day / 60})
	}
	return all
}

// A moment is what the oracle says of one minute.
type moment struct {
	open     bool
	excluded bool // a window would be open but for the exclusions
}

// A watchman has the minutes for which it will be open if nothing more happens.
type watchman struct {
	policy *Policy
	opened map[int64]bool // civil minute of a start: it has been reached
	left   int64          // the exclusions end it
	plain  int64          // without exclusions
	starts [1440][]window // by the minute of the day
	date   int64          // that the clock shows
	dark   bool           // it is excluded
}

// watch tells of each minute. The windows that opened before the first are not
// known, so what it says is right once the longest would have ended.
func watch(p *Policy, clock []face) []moment {
	m := &watchman{policy: p, opened: map[int64]bool{}}
	for _, w := range p.windows {
		m.starts[w.start/60] = append(m.starts[w.start/60], w)
	}
	moments := make([]moment, len(clock))
	for i, f := range clock {
		first := f.civil()
		if i > 0 && clock[i-1].civil() < first {
			first = clock[i-1].civil() + 1
		}
		moments[i] = m.look(f, first)
	}
	return moments
}

// look goes through the civil minutes from first on, which is one but for the
// minute after a jump.
func (m *watchman) look(f face, first int64) moment {
	m.left, m.plain = max(m.left-1, 0), max(m.plain-1, 0)
	if f.date != m.date || m.date == 0 {
		m.date, m.dark = f.date, m.isExcluded(f.date)
	}
	if m.dark {
		m.left = 0
	}
	for c := first; c <= f.civil(); c++ {
		starts := m.starts[c%1440]
		if len(starts) == 0 || m.opened[c] {
			continue
		}
		m.opened[c] = true
		for _, w := range starts {
			m.start(w, c/1440)
		}
	}
	if m.policy.always {
		return moment{open: !m.dark, excluded: m.dark}
	}
	return moment{open: m.left > 0, excluded: m.plain > 0 && m.left == 0}
}

// start opens a window, if it is one of this date.
func (m *watchman) start(w window, date int64) {
	if !w.days[time.Unix(date*24*60*60, 0).UTC().Weekday()] {
		return
	}
	m.plain = max(m.plain, w.length/60)
	if !m.dark && !m.isExcluded(date) {
		m.left = max(m.left, w.length/60)
	}
}

// isExcluded reads the exclusions as they were given.
func (m *watchman) isExcluded(date int64) bool {
	for _, e := range m.policy.exclusions {
		if e.from <= date && date <= e.to {
			return true
		}
	}
	return false
}

// intervals puts the open minutes together.
func intervals(moments []moment, from time.Time) (list [][2]time.Time) {
	for i, m := range moments {
		t := from.Add(time.Duration(i) * time.Minute)
		switch {
		case !m.open:
		case i > 0 && moments[i-1].open:
			list[len(list)-1][1] = t.Add(time.Minute)
		default:
			list = append(list, [2]time.Time{t, t.Add(time.Minute)})
		}
	}
	return list
}
