package maintenance

import (
	"math"
	"time"
)

// day is a day of the civil calendar on the face of a clock, in seconds. In
// absolute time days of 23 and 25 hours, and others, exist.
const day = 24 * 3600

// maxOffset is farther from UTC than any zone is: TZif files go to 26 hours at
// most (RFC 9636), real zones to 15.
const maxOffset = 26 * 3600

// A stretch is absolute time in which a zone has one offset from UTC, in
// seconds of Unix time. Civil time is what a clock in UTC would show that many
// seconds later, so that 86400 of it are a day: civil = unix + offset.
//
// It is a place to go forward from: the stretches of a zone follow each other
// without a gap, and two neighbours may have the same offset.
type stretch struct {
	zone     *time.Location
	from, to int64 // half-open
	offset   int64
}

// stretchAt gives the stretch from an instant on.
func stretchAt(zone *time.Location, unix int64) stretch {
	t := time.Unix(unix, 0).In(zone)
	_, offset := t.Zone()
	s := stretch{zone, unix, math.MaxInt64, int64(offset)}
	if _, end := t.ZoneBounds(); !end.IsZero() {
		s.to = end.Unix()
	}
	if s.to <= unix {
		// In a zone that goes by a rule for all years to come, ZoneBounds ends
		// each year after 365 days: on the 31st of December of a leap year it
		// ends before the time that it was asked for (Go 1.26). The clocks have
		// changed for the last time in that year, so the offset holds until it
		// is over.
		s.to = (floorDiv(unix, day) + 1) * day
	}
	return s
}

// next goes to the stretch that follows.
func (s *stretch) next() { *s = stretchAt(s.zone, s.to) }

// seek goes forward to the stretch with this instant in it.
func (s *stretch) seek(unix int64) {
	for unix >= s.to {
		s.next()
	}
}

// reach goes forward to the first instant at which civil time has reached a
// civil time: the instant at which it is that time, the first one if there are
// two, and the instant of the change if it is skipped. Civil times must not
// decrease from call to call.
//
// It is the first such instant because all stretches before this one ended
// before that civil time. (A civil time that is skipped and then reached after
// all, because the clocks go back at once, would open too early. The shortest
// time between two changes in the history of all zones is four days.)
func (s *stretch) reach(civil int64) int64 {
	for {
		if unix := max(s.from, civil-s.offset); unix < s.to {
			return unix
		}
		s.next()
	}
}

// date is the day at an instant of the stretch, counted from 1970-01-01.
func (s *stretch) date(unix int64) int64 { return floorDiv(unix+s.offset, day) }

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// WeeksOn is that many weeks after an instant by the zone's calendar: when its
// clocks show the same time again, or would, in the night in which they change.
func (p *Policy) WeeksOn(t time.Time, weeks int) time.Time {
	unix := secondsOf(t)
	s := stretchAt(p.Zone, unix)
	return time.Unix(s.reach(unix+s.offset+int64(weeks)*7*day), 0).UTC()
}
