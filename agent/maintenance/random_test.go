package maintenance

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"
)

// LATCHD_SOAK of 2 or more makes the sweeps over random cases whole, which takes
// minutes; LATCHD_SOAK_SEED repeats the choices of an earlier run.
func isSoak() bool {
	n, err := strconv.Atoi(os.Getenv("LATCHD_SOAK"))
	return err == nil && n >= 2
}

func seed(t *testing.T) uint64 {
	t.Helper()
	n := rand.Uint64()
	if text := os.Getenv("LATCHD_SOAK_SEED"); text != "" {
		var err error
		if n, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("LATCHD_SOAK_SEED: %v", err)
		}
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to repeat the choices: LATCHD_SOAK_SEED=%d", n)
		}
	})
	return n
}

// randomPolicy gives a policy whose windows like to begin and end about some
// civil minutes of the day, and whose exclusions like to be about some dates.
func randomPolicy(t *testing.T, random *rand.Rand, zoneName string, minutes []int64, about time.Time) *Policy {
	t.Helper()
	doc := map[string]any{"timeZone": zoneName}
	if random.IntN(20) > 0 {
		doc["windows"] = randomWindows(random, minutes)
	}
	if random.IntN(3) > 0 {
		doc["exclusions"] = randomExclusions(random, about)
	}
	if random.IntN(2) == 0 {
		doc["spread"] = seconds(random.Int64N(3 * 60 * 60))
	}
	p, err := Parse(doc, time.Minute)
	if err != nil {
		t.Fatalf("%v: %v", doc, err)
	}
	return p
}

func randomWindows(random *rand.Rand, minutes []int64) []any {
	list := []any{}
	n := 1 + random.IntN(6)
	if random.IntN(20) == 0 {
		n = maxWindows
	}
	minute := func() int64 {
		m := random.Int64N(1440)
		if random.IntN(3) > 0 {
			m = minutes[random.IntN(len(minutes))] + []int64{-120, -61, -60, -59, -30, -15, -1, 0, 0, 0, 1, 15, 30, 59, 60, 61}[random.IntN(16)]
		}
		return (m%1440 + 1440) % 1440
	}
	start := minute()
	for range n {
		length := 1 + random.Int64N(180)
		switch random.IntN(12) {
		case 0:
			length = 1 + random.Int64N(7*1440)
		case 1:
			length = 60 * (1 + random.Int64N(24))
		}
		w := map[string]any{"start": fmt.Sprintf("%02d:%02d", start/60, start%60), "duration": seconds(length * 60)}
		if random.IntN(2) == 0 {
			w["days"] = randomDays(random)
		}
		list = append(list, w)
		if start = (start + length) % 1440; random.IntN(4) > 0 { // else they touch
			start = minute()
		}
	}
	return list
}

func randomDays(random *rand.Rand) []any {
	days := []any{}
	for _, i := range random.Perm(7)[:1+random.IntN(7)] {
		days = append(days, weekdays[i])
	}
	return days
}

func randomExclusions(random *rand.Rand, about time.Time) []any {
	list := []any{}
	for range 1 + random.IntN(4) {
		from := about.AddDate(0, 0, random.IntN(12)-6)
		to := from.AddDate(0, 0, random.IntN(1+random.IntN(4)))
		list = append(list, map[string]any{"from": from.Format(time.DateOnly), "to": to.Format(time.DateOnly)})
	}
	return list
}
