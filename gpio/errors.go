package gpio

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

var (
	// ErrClosed is returned by commands after Close or Detach began.
	ErrClosed = errors.New("the lock is shutting down")
	// ErrTimeAndHold is returned by an unlock that asks both to end and not to.
	ErrTimeAndHold = errors.New("an unlock has either a time or a hold, not both")
)

// LockdownError refuses an unlock during a lockdown.
type LockdownError struct {
	// Until is the wall-clock end, or zero while the wall clock is not trusted.
	Until time.Time
	// Remaining is the time left when the unlock was refused.
	Remaining time.Duration
}

func (e *LockdownError) Error() string {
	if e.Until.IsZero() {
		return fmt.Sprintf("the door is in lockdown for another %s", e.Remaining.Round(time.Second))
	}
	return "the door is in lockdown until " + e.Until.Format(time.RFC3339)
}

// RangeError refuses a duration outside its range.
type RangeError struct {
	Name     string // as in the public interface: lockTime, unlockTime, heldOpenAfter
	Value    time.Duration
	Min, Max time.Duration
}

func (e *RangeError) Error() string {
	return fmt.Sprintf("%s is %s; it must be from %s to %s", e.Name, e.Value, e.Min, e.Max)
}

// ChoiceError refuses a word that is not one of the known ones.
type ChoiceError struct {
	Name    string
	Value   string
	Choices []string
}

func (e *ChoiceError) Error() string {
	return fmt.Sprintf("%s is %.40q; it must be one of %s", e.Name, e.Value, strings.Join(e.Choices, ", "))
}

// RestartError refuses settings that take effect only when the lock is opened anew.
type RestartError struct {
	What string // the setting, as the configuration calls it
}

func (e *RestartError) Error() string {
	return e.What + " was changed, which needs a restart: systemctl restart latchd"
}

// HardwareError says that the lock's hardware did not do what it was told.
type HardwareError struct {
	What string // what was tried, such as "drive the lock's line high to lock"
	Err  error
}

func (e *HardwareError) Error() string { return e.What + ": " + e.Err.Error() }

func (e *HardwareError) Unwrap() error { return e.Err }
