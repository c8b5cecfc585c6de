package maintenance

import (
	"errors"
	"testing"
	"time"

	"latchd/internal/zone"
)

// What a daily window of 40 minutes does in the nights when clocks change: start
// before, in, at the ends of and after the hour that is skipped or comes twice.
// All instants were worked out by hand, from the time of the change in UTC.
var nights = map[string]struct {
	zone string
	date string // of the night
	// start → the instant it opens, in UTC, and how the wall there shows it
	opens [][3]string
}{
	"Paris forward at 01:00 UTC": {"Europe/Paris", "2026-03-29", [][3]string{
		{"01:30", "2026-03-29T00:30:00Z", "01:30 CET"},
		{"01:59", "2026-03-29T00:59:00Z", "01:59 CET"},
		{"02:00", "2026-03-29T01:00:00Z", "03:00 CEST"},
		{"02:30", "2026-03-29T01:00:00Z", "03:00 CEST"},
		{"02:59", "2026-03-29T01:00:00Z", "03:00 CEST"},
		{"03:00", "2026-03-29T01:00:00Z", "03:00 CEST"},
		{"03:01", "2026-03-29T01:01:00Z", "03:01 CEST"},
		{"04:00", "2026-03-29T02:00:00Z", "04:00 CEST"},
	}},
	"Paris back at 01:00 UTC": {"Europe/Paris", "2026-10-25", [][3]string{
		{"01:59", "2026-10-24T23:59:00Z", "01:59 CEST"},
		{"02:00", "2026-10-25T00:00:00Z", "02:00 CEST"},
		{"02:30", "2026-10-25T00:30:00Z", "02:30 CEST"},
		{"02:59", "2026-10-25T00:59:00Z", "02:59 CEST"},
		{"03:00", "2026-10-25T02:00:00Z", "03:00 CET"},
		{"03:30", "2026-10-25T02:30:00Z", "03:30 CET"},
	}},
	"New York forward at 07:00 UTC": {"America/New_York", "2026-03-08", [][3]string{
		{"01:30", "2026-03-08T06:30:00Z", "01:30 EST"},
		{"01:59", "2026-03-08T06:59:00Z", "01:59 EST"},
		{"02:00", "2026-03-08T07:00:00Z", "03:00 EDT"},
		{"02:30", "2026-03-08T07:00:00Z", "03:00 EDT"},
		{"02:59", "2026-03-08T07:00:00Z", "03:00 EDT"},
		{"03:00", "2026-03-08T07:00:00Z", "03:00 EDT"},
		{"03:01", "2026-03-08T07:01:00Z", "03:01 EDT"},
	}},
	"New York back at 06:00 UTC": {"America/New_York", "2026-11-01", [][3]string{
		{"00:59", "2026-11-01T04:59:00Z", "00:59 EDT"},
		{"01:00", "2026-11-01T05:00:00Z", "01:00 EDT"},
		{"01:30", "2026-11-01T05:30:00Z", "01:30 EDT"},
		{"01:59", "2026-11-01T05:59:00Z", "01:59 EDT"},
		{"02:00", "2026-11-01T07:00:00Z", "02:00 EST"},
		{"02:30", "2026-11-01T07:30:00Z", "02:30 EST"},
	}},
	"Lord Howe forward at 15:30 UTC": {"Australia/Lord_Howe", "2026-10-04", [][3]string{
		{"01:30", "2026-10-03T15:00:00Z", "01:30 +1030"},
		{"01:59", "2026-10-03T15:29:00Z", "01:59 +1030"},
		{"02:00", "2026-10-03T15:30:00Z", "02:30 +11"},
		{"02:15", "2026-10-03T15:30:00Z", "02:30 +11"},
		{"02:29", "2026-10-03T15:30:00Z", "02:30 +11"},
		{"02:30", "2026-10-03T15:30:00Z", "02:30 +11"},
		{"02:31", "2026-10-03T15:31:00Z", "02:31 +11"},
	}},
	"Lord Howe back at 15:00 UTC": {"Australia/Lord_Howe", "2026-04-05", [][3]string{
		{"01:29", "2026-04-04T14:29:00Z", "01:29 +11"},
		{"01:30", "2026-04-04T14:30:00Z", "01:30 +11"},
		{"01:45", "2026-04-04T14:45:00Z", "01:45 +11"},
		{"01:59", "2026-04-04T14:59:00Z", "01:59 +11"},
		{"02:00", "2026-04-04T15:30:00Z", "02:00 +1030"},
		{"02:30", "2026-04-04T16:00:00Z", "02:30 +1030"},
	}},
	"Sydney forward at 16:00 UTC": {"Australia/Sydney", "2026-10-04", [][3]string{
		{"01:59", "2026-10-03T15:59:00Z", "01:59 AEST"},
		{"02:00", "2026-10-03T16:00:00Z", "03:00 AEDT"},
		{"02:30", "2026-10-03T16:00:00Z", "03:00 AEDT"},
		{"02:59", "2026-10-03T16:00:00Z", "03:00 AEDT"},
		{"03:00", "2026-10-03T16:00:00Z", "03:00 AEDT"},
		{"03:30", "2026-10-03T16:30:00Z", "03:30 AEDT"},
	}},
	"Sydney back at 16:00 UTC": {"Australia/Sydney", "2026-04-05", [][3]string{
		{"01:59", "2026-04-04T14:59:00Z", "01:59 AEDT"},
		{"02:00", "2026-04-04T15:00:00Z", "02:00 AEDT"},
		{"02:30", "2026-04-04T15:30:00Z", "02:30 AEDT"},
		{"02:59", "2026-04-04T15:59:00Z", "02:59 AEDT"},
		{"03:00", "2026-04-04T17:00:00Z", "03:00 AEST"},
		{"03:30", "2026-04-04T17:30:00Z", "03:30 AEST"},
	}},
}

func TestNights(t *testing.T) {
	for name, night := range nights {
		t.Run(name, func(t *testing.T) {
			for _, c := range night.opens {
				opensAlone(t, night.zone, night.date, c)
			}
		})
	}
}

// opensAlone checks a window's only opening on the date of the night.
func opensAlone(t *testing.T, zoneName, date string, c [3]string) {
	t.Helper()
	p := mustParse(t, map[string]any{"timeZone": zoneName, "windows": []any{
		map[string]any{"name": "night", "start": c[0], "duration": "40m"},
	}})
	opens, err := time.Parse(time.RFC3339, c[1])
	if err != nil {
		t.Fatal(err)
	}
	var found []Opening
	for _, o := range p.Between(opens.Add(-30*time.Hour), opens.Add(30*time.Hour)) {
		if o.Opens.In(p.Zone).Format(time.DateOnly) == date {
			found = append(found, o)
		}
	}
	want := Opening{Name: "night", Opens: opens.UTC(), Closes: opens.Add(40 * time.Minute).UTC()}
	if len(found) != 1 || found[0] != want {
		t.Errorf("%s: %v; want %v", c[0], found, want)
	}
	if wall := opens.In(p.Zone).Format("15:04 MST"); wall != c[2] {
		t.Errorf("%s opens when the wall shows %s; want %s", c[0], wall, c[2])
	}
	if before := p.Next(opens.Add(-1), 1); len(before) != 1 || before[0] != want {
		t.Errorf("%s: next just before is %v", c[0], before)
	}
	for at, isOpen := range map[time.Time]bool{opens.Add(-1): false, opens: true, want.Closes.Add(-1): true, want.Closes: false} {
		if s := p.At(at); s.Open != isOpen {
			t.Errorf("%s: at %s %+v", c[0], at, s)
		}
	}
}

// What the package takes for granted of time zones: stretches follow each other,
// and in each the offset is the same. The 31st of December of a leap year is where
// Go's ZoneBounds gives an end that is past, in zones that go by a rule by then:
// from 2038 on in any data, long before in those that Go brings along.
func TestStretches(t *testing.T) {
	step, spans := 13*time.Hour, [][2]int{{2027, 2030}, {2039, 2042}}
	if isSoak() {
		step, spans = 15*time.Minute, [][2]int{{1970, 2060}}
	}
	for _, name := range oddZones {
		for _, years := range spans {
			checkStretches(t, loadZone(t, name), newYear(years[0]), newYear(years[1]), step)
		}
	}
}

func checkStretches(t *testing.T, loc *time.Location, from, to time.Time, step time.Duration) {
	t.Helper()
	s := stretchAt(loc, from.Unix())
	for at := from; at.Before(to); at = at.Add(step) {
		for at.Unix() >= s.to {
			before := s
			if s.next(); s.from != before.to || s.to <= s.from {
				t.Fatalf("%s: %d to %d follows %d to %d", loc, s.from, s.to, before.from, before.to)
			}
		}
		if _, offset := at.In(loc).Zone(); int64(offset) != s.offset {
			t.Fatalf("%s at %s: offset %d; in the stretch it is %d", loc, at, offset, s.offset)
		}
	}
}

// A clock that went mad asks for years that nobody lives to see.
func TestAnyTime(t *testing.T) {
	p := mustParse(t, touching("168h")) // in Paris
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Unix(1<<62, 0), time.Unix(-1<<62, 0), time.Unix(1<<40, 0), newYear(2029).Add(-time.Hour), newYear(2041).Add(-time.Hour)} {
		p.At(at)
		p.Next(at, 3)
		p.Slot(at, time.Hour, 0.5)
		p.Between(at, at.Add(time.Hour))
	}
}

func TestZoneData(t *testing.T) {
	p := mustParse(t, map[string]any{"timeZone": "Europe/Paris"})
	loc, data, err := zone.Load("Europe/Paris")
	if err != nil || p.Zone != loc || p.Data != data {
		t.Errorf("%v %q; want %v %q, %v", p.Zone, p.Data, loc, data, err)
	}
}

// Windows that touch again and again have an end for a time that is bounded, and
// so has the way back to their beginning.
func TestForEver(t *testing.T) {
	p := mustParse(t, map[string]any{"windows": []any{map[string]any{"name": "all day", "start": "00:00", "duration": "24h"}}})
	now := newYear(2026)
	want := State{Open: true, Why: WhyWindow, In: Opening{Name: "all day"}}
	if s := p.At(now); s != want {
		t.Errorf("got %+v", s)
	}
	if next := p.Next(now, 3); len(next) != 0 {
		t.Errorf("next: %v", next)
	}
	if at, in, ok := p.Slot(now, time.Hour, 0.5); !at.IsZero() || in != want.In || !ok {
		t.Errorf("slot: %v %v %v", at, in, ok)
	}
}

func TestAfterFourHundredDays(t *testing.T) {
	p := mustParse(t, map[string]any{
		"windows":    []any{map[string]any{"start": "02:00", "duration": "1h"}},
		"exclusions": []any{map[string]any{"from": "2026-01-01", "to": "2027-02-05"}},
	})
	if next := p.Next(newYear(2026), 3); len(next) != 0 {
		t.Errorf("farther than is looked: %v", next)
	}
	if next := p.Next(newYear(2026).AddDate(0, 1, 5), 3); len(next) != 1 || !next[0].Opens.Equal(time.Date(2027, 2, 6, 2, 0, 0, 0, time.UTC)) {
		t.Errorf("366 days and two hours later: %v", next)
	}
	if s := p.At(time.Date(2026, 5, 1, 2, 30, 0, 0, time.UTC)); s.Open || s.Why != WhyExcluded {
		t.Errorf("in an excluded window: %+v", s)
	}
	if s := p.At(time.Date(2026, 5, 1, 3, 0, 0, 0, time.UTC)); s.Open || s.Why != WhyOutside {
		t.Errorf("outside on an excluded date: %+v", s)
	}
}

// A week has 167, 168 or 169 hours.
func TestWeeksOn(t *testing.T) {
	for _, row := range []struct {
		zone, from string
		weeks      int
		want       string
	}{
		{"Europe/Paris", "2026-03-23T00:00:00+01:00", 1, "2026-03-30T00:00:00+02:00"},
		{"Europe/Paris", "2026-03-22T02:30:00+01:00", 1, "2026-03-29T03:00:00+02:00"}, // skipped: the change
		{"Europe/Paris", "2026-10-18T02:30:00+02:00", 1, "2026-10-25T02:30:00+02:00"}, // twice: the first
		{"Europe/Paris", "2026-10-18T12:00:00+02:00", 2, "2026-11-01T12:00:00+01:00"},
		{"UTC", "2026-10-18T12:00:00Z", 53, "2027-10-24T12:00:00Z"},
	} {
		p, err := Parse(map[string]any{"timeZone": row.zone}, 0)
		from, err1 := time.Parse(time.RFC3339, row.from)
		want, err2 := time.Parse(time.RFC3339, row.want)
		if err := errors.Join(err, err1, err2); err != nil {
			t.Fatal(err)
		}
		if got := p.WeeksOn(from, row.weeks); !got.Equal(want) {
			t.Errorf("%s, %s and %d weeks: %s, want %s", row.zone, row.from, row.weeks, got.In(p.Zone), want)
		}
	}
}
