package maintenance

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// slotsHold checks what must hold of each slot.
func slotsHold(t *testing.T, random *rand.Rand, p *Policy, from, to time.Time) bool {
	t.Helper()
	for range 4 {
		earliest := from.Add(time.Duration(random.Int64N(int64(to.Sub(from)))))
		need := time.Duration(random.Int64N(int64(3 * time.Hour)))
		share := []float64{0, 0.999, 1 - 1.0/(1<<53), random.Float64()}[random.IntN(4)]
		if err := slotHolds(p, earliest, need, share); err != nil {
			t.Errorf("slot from %s for %s, share %v: %v", earliest.In(p.Zone), need, share, err)
			return false
		}
	}
	return true
}

func slotHolds(p *Policy, earliest time.Time, need time.Duration, share float64) error {
	at, in, ok := p.Slot(earliest, need, share)
	if !ok {
		for _, o := range p.Next(earliest, 100) {
			if o.Closes.IsZero() || o.Closes.Sub(o.Opens) >= need {
				return fmt.Errorf("none, and there is room in %v", o)
			}
		}
		return nil
	}
	begin := at
	if earliest.After(begin) {
		begin = earliest
	}
	state := p.At(begin)
	switch {
	case at.IsZero() != in.Opens.IsZero():
		return fmt.Errorf("at %v in %v", at, in)
	case at.Before(in.Opens):
		return fmt.Errorf("at %v, before %v", at, in)
	case !in.Closes.IsZero() && begin.Add(need).After(in.Closes):
		return fmt.Errorf("at %v no room in %v", at, in)
	case !state.Open || state.In.Name != in.Name && !state.In.Opens.IsZero():
		return fmt.Errorf("at %v: %+v, not open in %v", begin, state, in)
	case share == 0 && !at.Equal(in.Opens):
		return fmt.Errorf("a share of 0 gives %v in %v", at, in)
	}
	// While earliest moves within the opening up to at, the slot stays.
	for _, e := range []time.Time{in.Opens, in.Opens.Add(at.Sub(in.Opens) / 2), at} {
		if e.Before(earliest) {
			continue
		}
		if again, _, _ := p.Slot(e, need, share); !again.Equal(at) {
			return fmt.Errorf("at %v, but %v if asked for from %v on", at, again, e)
		}
	}
	return nil
}

func TestSlot(t *testing.T) {
	daily := func(duration, spread string) *Policy {
		doc := map[string]any{"windows": []any{
			map[string]any{"start": "02:00", "duration": duration},
			map[string]any{"start": "12:00", "duration": "6h", "days": []any{"sat"}},
		}}
		if spread != "" {
			doc["spread"] = spread
		}
		return mustParse(t, doc)
	}
	friday := func(hour, minute int) time.Time { return time.Date(2026, 11, 20, hour, minute, 0, 0, time.UTC) }
	saturday := friday(24, 0)
	for _, c := range []struct {
		name     string
		policy   *Policy
		earliest time.Time
		need     time.Duration
		share    float64
		want     time.Time
	}{
		{"a tenth", daily("1h", ""), friday(0, 0), 2 * time.Minute, 0.5, friday(2, 3)},
		{"ten minutes", daily("6h", ""), friday(0, 0), 2 * time.Minute, 0.5, friday(2, 5)},
		{"as given", daily("6h", "2h"), friday(0, 0), 2 * time.Minute, 0.5, friday(3, 0)},
		{"no spread", daily("6h", "0s"), friday(0, 0), 2 * time.Minute, 0.999, friday(2, 0)},
		{"with room", daily("1h", "24h"), friday(0, 0), 40 * time.Minute, 0.5, friday(2, 10)},
		{"exactly as long", daily("40m", "24h"), friday(0, 0), 40 * time.Minute, 0.999, friday(2, 0)},
		{"too short", daily("39m", ""), friday(0, 0), 40 * time.Minute, 0, saturday.Add(12 * time.Hour)},
		{"its part is over", daily("1h", ""), friday(2, 30), 30 * time.Minute, 0, friday(2, 0)},
		{"a moment too late", daily("1h", ""), friday(2, 30).Add(1), 30 * time.Minute, 0, saturday.Add(2 * time.Hour)},
		{"no room left", daily("1h", ""), friday(2, 31), 30 * time.Minute, 0, saturday.Add(2 * time.Hour)},
		{"too long for all", daily("1h", ""), friday(2, 31), 7 * time.Hour, 0, time.Time{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			at, in, ok := c.policy.Slot(c.earliest, c.need, c.share)
			if !at.Equal(c.want) || ok == c.want.IsZero() {
				t.Errorf("got %v in %v, %v; want %v", at, in, ok, c.want)
			}
		})
	}
}

func TestSlotWithoutBounds(t *testing.T) {
	now := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	always := mustParse(t, map[string]any{})
	if at, in, ok := always.Slot(now, time.Hour, 0.9); !ok || !at.IsZero() || in != (Opening{}) {
		t.Errorf("always open: %v in %v, %v", at, in, ok)
	}
	holiday := mustParse(t, map[string]any{"exclusions": []any{map[string]any{"from": "2026-11-20", "to": "2026-11-21"}}})
	want := time.Date(2026, 11, 22, 0, 5, 0, 0, time.UTC)
	if at, in, ok := holiday.Slot(now, time.Hour, 0.5); !ok || !at.Equal(want) || !in.Closes.IsZero() {
		t.Errorf("after an exclusion: %v in %v, %v", at, in, ok)
	}
	never := mustParse(t, map[string]any{"windows": []any{}})
	if at, in, ok := never.Slot(now, 0, 0); ok {
		t.Errorf("never open: %v in %v", at, in)
	}
}

// A thousand devices behind one window must not act in the same second.
func TestShare(t *testing.T) {
	var buckets [20]int
	for i := range 1000 {
		s := Share(fmt.Sprintf("door-%04d", i))
		if s < 0 || s >= 1 {
			t.Fatalf("share %v", s)
		}
		buckets[int(s*20)]++
	}
	for i, n := range buckets {
		if n < 25 || n > 80 { // 50 is even; 3.6 standard deviations
			t.Errorf("%d of 1000 devices are in part %d of 20", n, i+1)
		}
	}
	if got := Share("door-1"); got != Share("door-1") || got == Share("door-2") {
		t.Error("a share is the device's own, and stays")
	}
}

func mustParse(t testing.TB, doc map[string]any) *Policy {
	t.Helper()
	p, err := Parse(doc, RebootTime)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
