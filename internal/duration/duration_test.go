package duration

import (
	"encoding/json"
	"testing"
	"time"
)

func TestFromJSON(t *testing.T) {
	for _, c := range []struct {
		in   any
		want time.Duration
		bad  bool
	}{
		{in: "10m", want: 10 * time.Minute},
		{in: "1h30m", want: 90 * time.Minute},
		{in: "0", want: 0},
		{in: "0s", want: 0},
		{in: "1.5s", want: 1500 * time.Millisecond},
		{in: "PT10M", want: 10 * time.Minute},
		{in: "PT0S", want: 0},
		{in: "P1DT2H", want: 26 * time.Hour},
		{in: "P2W", want: 14 * 24 * time.Hour},
		{in: "PT1,5S", want: 1500 * time.Millisecond},
		{in: json.Number("600"), want: 10 * time.Minute},
		{in: json.Number("0.25"), want: 250 * time.Millisecond},
		{in: json.Number("1e2"), want: 100 * time.Second},
		{in: "600", bad: true}, // no unit: text that looks like seconds is more often a mistake
		{in: "", bad: true},
		{in: "-5s", bad: true},
		{in: "P", bad: true},
		{in: "PT", bad: true},
		{in: "P1DT", bad: true},
		{in: "P1M", bad: true}, // a month has no fixed length
		{in: "P1Y", bad: true},
		{in: "P1W2D", bad: true},
		{in: "P1WT1S", bad: true},
		{in: "PT10m", bad: true},
		{in: "PT999999999H", bad: true},
		{in: "PT1M2H", bad: true}, // out of order
		{in: "PT1H1H", bad: true},
		{in: "PT1.5M", bad: true},
		{in: "PT1.5.5S", bad: true},
		{in: "PT.5S", bad: true},
		{in: "PT1.S", bad: true},
		{in: "PT1,000.5S", bad: true},
		{in: "P1D2", bad: true},
		{in: "P1H", bad: true},
		{in: "PT1D", bad: true},
		{in: "PTT1S", bad: true},
		{in: "PT1ST", bad: true},
		{in: "PT0000000001S", bad: true},
		{in: json.Number("-1"), bad: true},
		{in: json.Number("1e400"), bad: true},
		{in: json.Number("1e300"), bad: true},
		{in: true, bad: true},
		{in: nil, bad: true},
		{in: []any{}, bad: true},
	} {
		got, err := FromJSON(c.in)
		if (err != nil) != c.bad || got != c.want {
			t.Errorf("FromJSON(%v) = %v, %v; want %v, error %v", c.in, got, err, c.want, c.bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"10m", "PT10M", "P1DT2H3M4.5S", "-1s", "P9999999W", "1e9h"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := Parse(s); err == nil && d < 0 {
			t.Errorf("Parse(%q) = %v, negative without an error", s, d)
		}
	})
}
