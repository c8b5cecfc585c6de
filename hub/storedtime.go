package hub

import (
	"fmt"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// storedTime is a time as the database keeps it. NULL reads as the zero time.
type storedTime time.Time

// formatTime writes a time for the database; the zero time is the year 1,
// which is how IoT Hub says never.
func formatTime(t time.Time) string { return iothub.FormatTwinTime(t) }

// Scan implements sql.Scanner.
func (t *storedTime) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*t = storedTime{}
		return nil
	case string:
		got, err := rest.ParseTime(v)
		*t = storedTime(got)
		return err
	}
	return fmt.Errorf("a %T is not a stored time", value)
}

// nullTime is formatTime with NULL for never.
func nullTime(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return formatTime(t)
}

func timePointer(t time.Time) *rest.Time {
	if t.IsZero() {
		return nil
	}
	return &rest.Time{Time: t}
}
