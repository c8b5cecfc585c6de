package rest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"latchd/iothub"
)

// Time is a time of the service API. It is written in UTC with seven
// fractional digits; never set is the year 1. It is read leniently, because
// hubs differ: any number of fractional digits, with or without a zone (UTC
// is meant), or null.
type Time struct{ time.Time }

// MarshalJSON fails for a year after 9999, which no reader would understand.
func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`"0001-01-01T00:00:00Z"`), nil
	}
	if t.UTC().Year() > lastYear {
		return nil, errors.New("a time is after the year 9999")
	}
	return json.Marshal(iothub.FormatTwinTime(t.Time))
}

func (t *Time) UnmarshalJSON(text []byte) error {
	var s *string
	if err := json.Unmarshal(text, &s); err != nil {
		return fmt.Errorf("a time must be text: %w", err)
	}
	if s == nil || *s == "" {
		*t = Time{}
		return nil
	}
	got, err := ParseTime(*s)
	if err != nil {
		return err
	}
	*t = Time{got}
	return nil
}

const (
	lastYear    = 9999 // the end of RFC 3339
	longestTime = 64   // more than any time has; bounds what an error repeats
)

// ParseTime reads a time of the service API, as [Time] does. The year 1 gives
// the zero time.
func ParseTime(s string) (time.Time, error) {
	if len(s) > longestTime {
		return time.Time{}, fmt.Errorf("a time has at most %d characters", longestTime)
	}
	// Both layouts also read fractions of a second.
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05"} {
		got, err := time.Parse(layout, strings.Replace(s, "z", "Z", 1))
		got = got.UTC()
		switch {
		case err != nil || got.Year() > lastYear:
		case got.Year() <= 1:
			return time.Time{}, nil
		default:
			return got, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time like 2026-11-22T02:30:00Z", s)
}
