// Package backoff spaces out retries so that a thousand devices which lost one
// hub do not all come back in the same second.
//
// It is exponential with full jitter: the n-th wait is drawn evenly from zero up
// to Base·2ⁿ, and that bound stops growing at Cap. Drawing from the whole range,
// rather than a little around its end, finishes the work of many competing
// clients soonest (AWS Architecture Blog, "Exponential Backoff And Jitter").
//
// It only counts and waits. Whether an error deserves a retry, and when things
// have been good for long enough to start again from Base, its user decides.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	// DefaultBase bounds the first wait. A second is long enough for a broker
	// that restarts to listen again, and short enough for nobody to notice.
	DefaultBase = time.Second
	// DefaultCap bounds every wait. Five minutes is what an operator waits for
	// a device to return after an outage before suspecting the device itself.
	DefaultCap = 5 * time.Minute
)

// Policy is a sequence of waits. The zero value is ready to use. It is meant for
// one retry loop: its methods are not safe for concurrent use.
type Policy struct {
	// Base bounds the first wait; zero or less means DefaultBase.
	Base time.Duration
	// Cap bounds every wait; zero or less means DefaultCap. One below Base
	// bounds the first wait too.
	Cap time.Duration
	// Rand returns an evenly distributed number in [0, n), n > 0; nil means
	// math/rand/v2, which is seeded differently in every process.
	Rand func(n int64) int64

	bound time.Duration // of the wait drawn last; zero at the start
}

// Next draws the next wait, from zero up to and including the present bound,
// and doubles the bound for the one after.
func (p *Policy) Next() time.Duration {
	base, limit := p.Base, p.Cap
	if base <= 0 {
		base = DefaultBase
	}
	if limit <= 0 {
		limit = DefaultCap
	}
	switch {
	case p.bound <= 0:
		p.bound = base
	case p.bound > limit/2: // doubling would pass the limit, or overflow
		p.bound = limit
	default:
		p.bound *= 2
	}
	p.bound = min(p.bound, limit)
	draw := p.Rand
	if draw == nil {
		draw = rand.Int64N
	}
	if p.bound == 1<<63-1 { // "no cap": n must not overflow
		return time.Duration(draw(int64(p.bound)))
	}
	return time.Duration(draw(int64(p.bound) + 1))
}

// Reset makes the next wait a first one again.
func (p *Policy) Reset() { p.bound = 0 }

// Wait waits for floor plus the next draw, so never less than floor (a floor
// below zero counts as zero) and never more than floor plus Cap. The draw comes
// on top because a bare minimum would let all clients with the same floor return
// at once. It returns ctx.Err() as soon as ctx ends, and nil after a full wait.
func (p *Policy) Wait(ctx context.Context, floor time.Duration) error {
	return Sleep(ctx, max(floor, 0)+p.Next())
}

// Sleep waits for d, or until ctx ends: then it returns ctx.Err(). If ctx has
// ended already it returns at once, even for a d of zero.
func Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
