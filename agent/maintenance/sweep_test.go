package maintenance

import (
	"math/rand/v2"
	"testing"
	"time"

	"latchd/internal/zone"
)

// Zones whose clocks do what others' do not: half-hour changes (Lord Howe), two
// hours (Troll), quarter-hour offsets (Chatham, Kathmandu), changes at midnight
// (Havana, Cairo, Beirut, Gaza, Santiago), winter as the exception (Dublin), time
// stopped for Ramadan (Casablanca), a day that never was (Apia).
var oddZones = []string{
	"Europe/Paris", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Chatham",
	"Antarctica/Troll", "America/St_Johns", "Asia/Gaza", "America/Havana", "Africa/Cairo", "Asia/Beirut", "Australia/Sydney",
	"Pacific/Apia", "America/Santiago", "Europe/Dublin", "America/Nuuk", "Africa/El_Aaiun", "Asia/Jerusalem", "America/Asuncion",
}

// changes are the instants in [from, to) at which the offset of a zone changes.
// It looks at every hour, so that it does not depend on what the package does,
// and where the hour makes a difference at every minute.
func changes(loc *time.Location, from, to time.Time) (list []time.Time) {
	_, before := from.In(loc).Zone()
	for t := from; t.Before(to); t = t.Add(time.Hour) {
		if _, offset := t.In(loc).Zone(); offset == before {
			continue
		}
		for m := t.Add(-59 * time.Minute); !m.After(t); m = m.Add(time.Minute) {
			if _, offset := m.In(loc).Zone(); offset != before {
				list, before = append(list, m), offset
			}
		}
	}
	return list
}

func loadZone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, _, err := zone.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

func TestAboutEveryChange(t *testing.T) {
	n := seed(t)
	zones, policies := oddZones, 3
	if isSoak() {
		var err error
		if zones, err = zone.Names(); err != nil {
			t.Fatal(err)
		}
		policies = 20
	}
	for i, name := range zones {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(n, uint64(i)))
			loc := loadZone(t, name)
			years := [][2]int{{2024, 2029}}
			if name == "Pacific/Apia" || name == "America/St_Johns" {
				years = append(years, [2]int{2011, 2012})
			}
			for _, y := range years {
				for _, change := range changes(loc, newYear(y[0]), newYear(y[1])) {
					sweep(t, random, loc, change, 3*24*time.Hour, policies)
				}
			}
		})
	}
}

func newYear(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestRandomWeeks(t *testing.T) {
	random := rand.New(rand.NewPCG(seed(t), 0))
	for range 200 {
		loc := loadZone(t, oddZones[random.IntN(len(oddZones))])
		about := newYear(2020).Add(time.Duration(random.IntN(20*365*24)) * time.Hour)
		sweep(t, random, loc, about, 84*time.Hour, 1)
	}
}

// sweep compares random policies with the oracle from margin before to margin
// after an instant.
func sweep(t *testing.T, random *rand.Rand, loc *time.Location, about time.Time, margin time.Duration, policies int) {
	t.Helper()
	about = about.Truncate(time.Minute)
	from, to := about.Add(-margin), about.Add(margin)
	minutes := []int64{0}
	clock := faces(loc, from, to)
	for i := 1; i < len(clock); i++ {
		if clock[i].civil()-clock[i-1].civil() != 1 {
			minutes = append(minutes, clock[i].minute, (clock[i-1].minute+1)%1440)
		}
	}
	for range policies {
		p := randomPolicy(t, random, loc.String(), minutes, about)
		// The oracle begins before the first minute that counts: by the longest
		// window, and some time for a change of the clocks.
		lead := time.Duration(p.longest)*time.Second + 3*time.Hour
		before := faces(loc, from.Add(-lead), from)
		moments := watch(p, append(before, clock...))[len(before):]
		if !agrees(t, p, moments, from) || !answersAgree(t, random, p, moments, from) || !slotsHold(t, random, p, from, to) {
			t.Fatalf("policy %v about %s", p.Document(), about.In(loc))
		}
	}
}

// agrees compares Between with the oracle.
func agrees(t *testing.T, p *Policy, moments []moment, from time.Time) bool {
	t.Helper()
	to := from.Add(time.Duration(len(moments)) * time.Minute)
	want, got := intervals(moments, from), p.Between(from, to)
	if len(got) != len(want) {
		t.Errorf("%d openings, and the oracle sees %d: %v, %v", len(got), len(want), got, want)
		return false
	}
	for i, o := range got {
		opens, closes := o.Opens, o.Closes
		if i == 0 && opens.Before(from) { // as the zero time is
			opens = from
		}
		if i == len(got)-1 && (closes.IsZero() || closes.After(to)) {
			closes = to
		}
		if !opens.Equal(want[i][0]) || !closes.Equal(want[i][1]) {
			t.Errorf("opening %d is %s to %s; the oracle sees %s to %s", i, opens.In(p.Zone), closes.In(p.Zone), want[i][0].In(p.Zone), want[i][1].In(p.Zone))
			return false
		}
	}
	return true
}

// answersAgree compares At and Next with the oracle where something changes, and
// at random; of many changes only with some.
func answersAgree(t *testing.T, random *rand.Rand, p *Policy, moments []moment, from time.Time) bool {
	t.Helper()
	list := intervals(moments, from)
	to := from.Add(time.Duration(len(moments)) * time.Minute)
	for i, m := range moments {
		edge := i > 0 && m != moments[i-1] && random.IntN(1+len(list)/8) == 0
		if !edge && random.IntN(1000) > 0 {
			continue
		}
		at := from.Add(time.Duration(i) * time.Minute)
		if !edge {
			at = at.Add(time.Duration(random.Int64N(int64(time.Minute))))
		}
		if !stateIs(t, p, at, m) || edge && !stateIs(t, p, at.Add(-1), moments[i-1]) {
			return false
		}
		if !nextIs(t, p, at, list, to) {
			return false
		}
	}
	return true
}

func stateIs(t *testing.T, p *Policy, at time.Time, m moment) bool {
	t.Helper()
	want := WhyOutside
	switch {
	case m.open:
		want = WhyWindow
	case m.excluded:
		want = WhyExcluded
	}
	s := p.At(at)
	if s.Open != m.open || s.Why != want {
		t.Errorf("at %s: %+v; the oracle says %q", at.In(p.Zone), s, want)
		return false
	}
	if s.Open && (s.In.Opens.After(at) || !s.In.Closes.IsZero() && !s.In.Closes.After(at)) {
		t.Errorf("at %s: open in %+v", at.In(p.Zone), s.In)
		return false
	}
	return true
}

// nextIs compares with what opens before to.
func nextIs(t *testing.T, p *Policy, at time.Time, list [][2]time.Time, to time.Time) bool {
	t.Helper()
	got := p.Next(at, 3)
	n := 0
	for _, o := range list {
		if n == 3 || !o[0].After(at) {
			continue
		}
		if n >= len(got) || !got[n].Opens.Equal(o[0]) {
			t.Errorf("next after %s: %v; the oracle sees number %d at %s", at.In(p.Zone), got, n+1, o[0].In(p.Zone))
			return false
		}
		n++
	}
	if n < len(got) && got[n].Opens.Before(to) {
		t.Errorf("next after %s: %v; the oracle sees only %d before %s", at.In(p.Zone), got, n, to)
		return false
	}
	return true
}
