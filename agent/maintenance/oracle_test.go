package maintenance

import (
	"time"
)

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
	var all []face
	for t := from; t.Before(to); t = t.Add(time.Minute) {
		local := t.In(zone)
		year, month, dayOfMonth := local.Date()
		hour, minute, _ := local.Clock()
		date := time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60)
		all = append(all, face{date, int64(hour*60 + minute)})
	}
	return all
}

// A moment is what the oracle says of one minute.
type moment struct {
	open     bool
	excluded bool   // a window would be open but for the exclusions
	name     string // of the window that opened what is open
}

// A watchman has the windows that are open, by the minutes they have left.
type watchman struct {
	policy  *Policy
	opened  map[int64]bool // civil minute of a start: it has been reached
	left    []int64        // by window; the exclusions cut it
	plain   []int64        // by window; without exclusions
	minutes map[int64][]int
	name    string
}

// watch tells of each minute. The windows that opened before the first are not
// known, so what it says is right once the longest would have ended.
func watch(p *Policy, clock []face) []moment {
	m := &watchman{
		policy: p, opened: map[int64]bool{}, left: make([]int64, len(p.windows)), plain: make([]int64, len(p.windows)),
		minutes: map[int64][]int{},
	}
	for i, w := range p.windows {
		m.minutes[w.start/60] = append(m.minutes[w.start/60], i)
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
	isOpen := false
	for i := range m.left {
		m.left[i], m.plain[i] = max(m.left[i]-1, 0), max(m.plain[i]-1, 0)
	}
	dark := m.isExcluded(f.date)
	for i := range m.left {
		if dark {
			m.left[i] = 0
		}
	}
	for c := first; c <= f.civil(); c++ {
		starts := m.minutes[c%1440]
		if len(starts) == 0 || m.opened[c] {
			continue
		}
		m.opened[c] = true
		for _, i := range starts {
			m.start(i, c/1440, dark)
		}
	}
	now := moment{}
	for i := range m.left {
		isOpen = isOpen || m.left[i] > 0
		now.excluded = now.excluded || m.plain[i] > 0
	}
	if m.policy.always {
		isOpen, now.excluded = !dark, true
	}
	now.open, now.excluded = isOpen, now.excluded && !isOpen
	return now
}

// start opens a window; one that is open already from the day before goes on for
// the longer of the two.
func (m *watchman) start(i int, date int64, dark bool) {
	w := m.policy.windows[i]
	if !w.days[time.Unix(date*24*60*60, 0).UTC().Weekday()] {
		return
	}
	m.plain[i] = max(m.plain[i], w.length/60)
	if !dark && !m.isExcluded(date) {
		m.left[i] = max(m.left[i], w.length/60)
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
