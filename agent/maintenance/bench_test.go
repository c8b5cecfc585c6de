package maintenance

import (
	"fmt"
	"testing"
	"time"
)

// The costs that a policy can cause. A Raspberry Pi Zero is some forty times
// slower than a computer of today and may take a millisecond: 25 µs here.
var dear = map[string]func(testing.TB) *Policy{
	"32 windows":        func(t testing.TB) *Policy { return mustParse(t, manyWindows(nil)) },
	"weekly, excluded":  func(t testing.TB) *Policy { return mustParse(t, manyWindows(everyMonday)) },
	"touching for ever": func(t testing.TB) *Policy { return mustParse(t, touching("46m")) },
	"all at once":       func(t testing.TB) *Policy { return mustParse(t, touching("168h")) },
	"without windows":   func(t testing.TB) *Policy { return mustParse(t, map[string]any{"exclusions": mondays()}) },
}

var benchTime = time.Date(2026, 10, 24, 11, 12, 13, 0, time.UTC) // the night before clocks change

func BenchmarkNext(b *testing.B) {
	for name, policy := range dear {
		b.Run(name, func(b *testing.B) {
			p := policy(b)
			for b.Loop() {
				p.Next(benchTime, 3)
			}
		})
	}
}

func BenchmarkAt(b *testing.B) {
	for name, policy := range dear {
		b.Run(name, func(b *testing.B) {
			p := policy(b)
			for b.Loop() {
				p.At(benchTime)
			}
		})
	}
}

// BenchmarkNextNaive is what is usually written, for comparison: wrong on the
// nights when clocks change, and without touching windows and exclusions.
func BenchmarkNextNaive(b *testing.B) {
	for _, name := range []string{"32 windows", "weekly, excluded"} {
		b.Run(name, func(b *testing.B) {
			p := dear[name](b)
			for b.Loop() {
				naiveNext(p, benchTime, 3)
			}
		})
	}
}

func naiveNext(p *Policy, t time.Time, n int) (list []time.Time) {
	year, month, dayOfMonth := t.In(p.Zone).Date()
	for d := range 366 {
		for _, w := range p.windows {
			start := time.Date(year, month, dayOfMonth+d, int(w.start/3600), int(w.start%3600/60), 0, 0, p.Zone)
			if !w.days[start.Weekday()] || !start.After(t) || naiveExcluded(p, start) {
				continue
			}
			if list = append(list, start); len(list) == n {
				return list
			}
		}
	}
	return list
}

func naiveExcluded(p *Policy, t time.Time) bool {
	date := t.Format(time.DateOnly)
	for _, e := range p.exclusions {
		if formatDate(e.from) <= date && date <= formatDate(e.to) {
			return true
		}
	}
	return false
}

// manyWindows are 32 that start on Mondays, or on all days.
func manyWindows(exclusions func() []any) map[string]any {
	var list []any
	for i := range maxWindows {
		w := map[string]any{"start": fmt.Sprintf("%02d:%02d", i*44/60, i*44%60), "duration": "30m"}
		if exclusions != nil {
			w["days"] = []any{"mon"}
		}
		list = append(list, w)
	}
	doc := map[string]any{"timeZone": "Europe/Paris", "windows": list}
	if exclusions != nil {
		doc["exclusions"] = exclusions()
	}
	return doc
}

// everyMonday is excluded for more than a year.
func everyMonday() []any { return mondays() }

func mondays() []any {
	var list []any
	for i := range maxExclusions {
		date := time.Date(2026, 10, 5+7*i, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
		list = append(list, map[string]any{"from": date, "to": date})
	}
	return list
}

// touching are 32 windows a day that leave no minute out.
func touching(duration string) map[string]any {
	doc := manyWindows(nil)
	for i, w := range doc["windows"].([]any) {
		w.(map[string]any)["start"] = fmt.Sprintf("%02d:%02d", i*45/60, i*45%60)
		w.(map[string]any)["duration"] = duration
	}
	return doc
}
