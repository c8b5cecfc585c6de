package service

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"latchd/internal/backoff"
)

const (
	// An operator watches the beginning of a wait; after that, one look in
	// five seconds stays far below the 100 job operations a minute that the
	// smallest hub allows.
	pollOften    = time.Second
	pollOftenFor = 30 * time.Second
	pollSeldom   = 5 * time.Second
)

// Poll calls step at once and then every second, later every five (each
// spread by a fifth), until it is done or fails for good, or ctx ends. A
// failure that is [Transient] does not end the wait: the hub may be gone for
// a minute while the device reboots. When ctx ends, the error is its cause,
// with the last failure if there was one since the last good look.
func Poll(ctx context.Context, step func(context.Context) (done bool, err error)) error {
	began := time.Now()
	for {
		done, err := step(ctx)
		switch {
		case err == nil && done:
			return nil
		case err != nil && ctx.Err() != nil:
			err = nil // of our own making: it says nothing about the hub
		case err != nil && !Transient(err):
			return err
		}
		interval := pollOften
		if time.Since(began) >= pollOftenFor {
			interval = pollSeldom
		}
		spread := 0.8 + 0.4*rand.Float64()
		if backoff.Sleep(ctx, time.Duration(float64(interval)*spread)) != nil {
			if err != nil {
				return fmt.Errorf("%w (last: %w)", context.Cause(ctx), err)
			}
			return context.Cause(ctx)
		}
	}
}
