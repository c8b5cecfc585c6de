package gpio

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"
)

// pollInput is how long an input may go unread. Edges tell of a change at once,
// but they get lost: the kernel's queue holds sixteen, and some controllers raise
// none.
const pollInput = 250 * time.Millisecond

// KernelInput is an input of the kernel's GPIO character device. The line is
// requested when it is first read, and again and again until that succeeds: a
// button must come to life whatever came up too late.
type KernelInput struct {
	wiring InputWiring

	mu     sync.Mutex
	file   *os.File // nil until the line was requested
	closed bool
}

// NewKernelInput is an input on the line that the wiring names.
func NewKernelInput(w InputWiring) *KernelInput { return &KernelInput{wiring: w} }

// open gives the requested line.
func (in *KernelInput) open() (*os.File, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.file != nil {
		return in.file, nil
	}
	if in.closed {
		return nil, os.ErrClosed
	}
	at, err := locate(in.wiring.Line)
	if err != nil {
		return nil, err
	}
	flags := flagInput | biasFlags[in.wiring.Bias]
	in.file, err = request(at, consumer, flags|flagEdgeRising|flagEdgeFalling, Low)
	if err != nil {
		// A controller without interrupts refuses edges; polling does without.
		in.file, err = request(at, consumer, flags, Low)
	}
	return in.file, err
}

// Close gives the line back, for good: whoever still reads gets an error, and does
// not take the line from the next one.
func (in *KernelInput) Close() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	if in.file == nil {
		return nil
	}
	err := in.file.Close()
	in.file = nil
	return err
}

// Read implements [Input].
func (in *KernelInput) Read() (Signal, error) {
	file, err := in.open()
	if err != nil {
		return Absent, err
	}
	level, err := readLevel(file)
	if err != nil {
		return Absent, err
	}
	if level == Level(!in.wiring.ActiveLow) {
		return Active, nil
	}
	return Inactive, nil
}

// Wait implements [Input]: it returns at an edge, and after a quarter of a second
// without one.
func (in *KernelInput) Wait(ctx context.Context) {
	until := time.Now().Add(pollInput)
	if file, err := in.open(); err == nil && waitEdge(ctx, file, until) {
		return
	}
	timer := time.NewTimer(time.Until(until)) // it cannot be waited for: poll
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// waitEdge waits for an edge, the time or the end of ctx; ok is false if it could
// not wait.
func waitEdge(ctx context.Context, file *os.File, until time.Time) (ok bool) {
	if err := file.SetReadDeadline(until); err != nil {
		return false
	}
	stop := context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var events [16 * eventSize]byte // all that the kernel keeps
	_, err := file.Read(events[:])
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// eventSize is that of struct gpio_v2_line_event.
const eventSize = 48
