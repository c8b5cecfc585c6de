package rest

import (
	"encoding/json"
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

func (t Time) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte(`"0001-01-01T00:00:00Z"`), nil
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

// ParseTime reads a time of the service API, as [Time] does.
func ParseTime(s string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05"} {
		if got, err := time.Parse(layout, strings.Replace(s, "z", "Z", 1)); err == nil {
			if got.Year() <= 1 {
				return time.Time{}, nil
			}
			return got.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time like 2026-11-22T02:30:00Z", s)
}
