package maintenance

import (
	"fmt"
	"math"
	"sort"
	"strings"
	"time"
)

const (
	cellsPerDay = 48
	cellLength  = day / cellsPerDay
)

// A cell is half an hour of the civil calendar as the timeline shows it.
type cell byte

const (
	cellClosed cell = iota
	cellOpen
	cellPart // open at some time in it
	cellExcluded
	cellSkipped   // the clocks jump over it
	cellTwice     // the clocks show it twice; closed both times
	cellTwiceOpen // open at some time in it, in one pass or both
	cellBeyond    // not in the span that is drawn
)

// A row is a day of the civil calendar.
type row struct {
	date  int64
	cells [cellsPerDay]cell
	notes []string // the first stands beside the cells, the others below
}

// A timeline is what there is to know about a span of time.
type timeline struct {
	policy    *Policy
	from, to  int64 // what is drawn: half-open, in seconds of Unix time
	stretches []stretch
	open      []span
	plain     []span // what would be open without exclusions
}

// newTimeline is of the instants [from, to).
func (p *Policy) newTimeline(from, to int64) *timeline {
	first, last := from-day-maxOffset, to+day+maxOffset
	tl := &timeline{policy: p, from: from, to: to, open: p.spans(first, last)}
	for s := stretchAt(p.Zone, first-day); s.from < last; s.next() {
		if n := len(tl.stretches); n > 0 && tl.stretches[n-1].offset == s.offset {
			tl.stretches[n-1].to = s.to
			continue
		}
		tl.stretches = append(tl.stretches, s)
	}
	if len(p.excluded) > 0 {
		plain := *p
		plain.excluded = nil
		tl.plain = plain.spans(first, last)
	}
	return tl
}

func (tl *timeline) row(date int64) row {
	r := row{date: date}
	for i := range r.cells {
		r.cells[i] = tl.cell(date*day + int64(i)*cellLength)
	}
	for i := 1; i < len(tl.stretches); i++ {
		r.notes = append(r.notes, tl.change(tl.stretches[i-1], tl.stretches[i], date)...)
	}
	if len(r.notes) == 0 && tl.isExcluded(date) {
		r.notes = append(r.notes, "excluded")
	}
	return r
}

// cell sums up the absolute time in which the clocks show this half hour.
func (tl *timeline) cell(civil int64) cell {
	var total, open int64
	var excluded, drawn bool
	for _, s := range tl.stretches {
		from, to := max(s.from, civil-s.offset), min(s.to, civil+cellLength-s.offset)
		if from >= to {
			continue
		}
		total += to - from
		for _, o := range within(tl.open, from, to) {
			open += o.to - o.from
		}
		excluded = excluded || len(within(tl.plain, from, to)) > 0
		drawn = drawn || from < tl.to && to > tl.from
	}
	switch {
	case total == 0:
		return cellSkipped
	case !drawn:
		return cellBeyond
	case total > cellLength && open > 0:
		return cellTwiceOpen
	case total > cellLength:
		return cellTwice
	case open == total:
		return cellOpen
	case open > 0:
		return cellPart
	case excluded || tl.isExcluded(floorDiv(civil, day)):
		return cellExcluded
	}
	return cellClosed
}

func (tl *timeline) isExcluded(date int64) bool {
	c := calendar{excluded: tl.policy.excluded}
	i := c.rangeAfter(date)
	return i < len(c.excluded) && c.excluded[i].from <= date
}

// change tells what the clocks do on a date between two stretches, if they do.
func (tl *timeline) change(before, after stretch, date int64) []string {
	old, now := after.from+before.offset, after.from+after.offset // civil time there
	from, to := max(min(old, now), date*day), min(max(old, now), (date+1)*day)
	if from >= to {
		return nil
	}
	if now > old {
		if to-from == day {
			return []string{"this date is skipped"}
		}
		return []string{fmt.Sprintf("%s→%s skipped", clock(from-date*day), clock(to-date*day))}
	}
	notes := []string{fmt.Sprintf("%s–%s twice", clock(from-date*day), clock(to-date*day))}
	first, second := tl.pass(before, from, to), tl.pass(after, from, to)
	if first != "" || second != "" {
		notes = append(notes, "the first time:  "+orClosed(first), "the second time: "+orClosed(second))
	}
	return notes
}

// pass says when it is open while the clocks of a stretch show [from, to).
func (tl *timeline) pass(s stretch, from, to int64) string {
	var open []string
	for _, o := range within(tl.open, max(s.from, from-s.offset), min(s.to, to-s.offset)) {
		open = append(open, clockOf(o.from+s.offset)+"–"+clockEnd(o.to+s.offset))
	}
	if len(open) == 0 {
		return ""
	}
	return "open " + strings.Join(open, ", ")
}

func orClosed(text string) string {
	if text == "" {
		return "closed"
	}
	return text
}

// within gives the parts of spans that are in [from, to).
func within(spans []span, from, to int64) []span {
	i := sort.Search(len(spans), func(i int) bool { return spans[i].end() > from })
	var parts []span
	for ; i < len(spans) && spans[i].from < to; i++ {
		parts = append(parts, span{from: max(spans[i].from, from), to: min(spans[i].end(), to)})
	}
	return parts
}

// end is the end of a span for as long as was looked ahead.
func (s span) end() int64 {
	if s.endless {
		return math.MaxInt64
	}
	return s.to
}

// clock writes seconds since 00:00 on the face of a clock.
func clock(seconds int64) string {
	if seconds == day {
		return "24:00"
	}
	return clockOf(seconds)
}

func clockOf(civil int64) string { return time.Unix(civil, 0).UTC().Format("15:04") }

// clockEnd writes the end of an interval: midnight belongs to the day before.
func clockEnd(civil int64) string {
	if floorDiv(civil, day)*day == civil {
		return "24:00"
	}
	return clockOf(civil)
}
