package gpio

import (
	"context"
	"errors"
	"io"
)

// Signal is what an input says, before anybody decides what it means.
type Signal int8

const (
	// Absent: no such input is fitted, or it says nothing. The zero value.
	Absent Signal = iota
	// Inactive: the door contact is closed, the bolt is withdrawn, the button is
	// released.
	Inactive
	// Active: the door contact is open, the bolt is thrown, the button is pressed.
	Active
)

// Input is one sensed line. Its polarity (which level is Active) is the
// implementation's business, and so is the pull resistor. Debouncing is not: it
// is done here, alike for all. One that is also an [io.Closer] is closed when the
// lock ends.
type Input interface {
	// Read returns what the input says now. An error means that nothing is known:
	// it must not be hidden as one of the signals, or a broken wire looks like a
	// closed door.
	Read() (Signal, error)
	// Wait returns when the input may have changed since the last Read, or when
	// ctx ends. It may return early without a change, but it must wait: an input
	// without edge detection waits its polling interval.
	Wait(ctx context.Context)
}

// closeAll closes the inputs that can be closed.
func closeAll(inputs [inputKinds]Input) error {
	var errs []error
	for _, in := range inputs {
		if c, ok := in.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}
