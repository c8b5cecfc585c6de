package gpio

import (
	"context"
	"time"

	"latchd/internal/backoff"
)

const (
	// contactDebounce outlasts the bouncing of a reed contact in a door that
	// shakes in its frame. The bolt sensor gets the same.
	contactDebounce = 50 * time.Millisecond
	// buttonDebounce outlasts a push button, and is far below what a person at a
	// door notices.
	buttonDebounce = 30 * time.Millisecond
	// faultPause is the least time between two reads of an input that cannot be
	// read, whose Wait may not wait either.
	faultPause = 100 * time.Millisecond
)

// reading is what an input said, or why it could not be read.
type reading struct {
	signal Signal
	fault  string
}

func read(in Input) reading {
	signal, err := in.Read()
	if err != nil {
		return reading{fault: err.Error()}
	}
	return reading{signal: signal}
}

// watch follows an input until ctx ends, and emits each reading that held for
// the settle time and differs from the one accepted before. A fault is a reading
// like any other: one that passes within the settle time is noise.
func watch(ctx context.Context, in Input, settle time.Duration, accepted reading, emit func(reading)) {
	candidate, since := accepted, time.Now()
	for ctx.Err() == nil {
		now := time.Now()
		if r := read(in); r != candidate {
			candidate, since = r, now
		}
		if candidate == accepted {
			in.Wait(ctx)
		} else if rest := settle - now.Sub(since); rest > 0 {
			waitAtMost(ctx, in, rest)
		} else {
			accepted = candidate
			emit(accepted)
			continue
		}
		if candidate.fault != "" {
			_ = backoff.Sleep(ctx, faultPause-time.Since(now)) // the loop looks at ctx
		}
	}
}

func waitAtMost(ctx context.Context, in Input, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	in.Wait(ctx)
}
