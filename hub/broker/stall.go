package broker

import (
	"context"
	"sync"
	"time"

	"latchd/internal/backoff"
)

const (
	// pulseEvery is how often the hub notes that it is running.
	pulseEvery = time.Second

	// stallLimit is how long it may not have run before it takes notice: a
	// beat more than the time between two.
	stallLimit = 2 * pulseEvery

	// settleTime is how long it waits then. The system has noticed long ago
	// who hung up, and the callers' contexts end as soon as goroutines run.
	settleTime = time.Second
)

// pulse notices that the process stood still: stopped, starved or swapped out.
// Callers may have given up meanwhile, while what they asked for lies there as
// if it were new; a door must not open for somebody who is gone. The zero value
// takes no notice of anything until run.
type pulse struct {
	mu      sync.Mutex // guards the fields below
	last    time.Time  // when it was known to run; zero before run
	settled time.Time  // when it is known who is still there
}

// run keeps the pulse until ctx ends.
func (p *pulse) run(ctx context.Context) {
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		p.mu.Lock()
		p.check()
		p.last = time.Now()
		p.mu.Unlock()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// check looks for a stall. The caller holds mu.
func (p *pulse) check() {
	now := time.Now()
	if !p.last.IsZero() && now.Sub(p.last) > stallLimit {
		p.last, p.settled = now, now.Add(settleTime)
	}
}

// settle waits, after a stall, until a caller who has hung up is known to have:
// ctx has ended then, and its error is returned.
func (p *pulse) settle(ctx context.Context) error {
	p.mu.Lock()
	p.check()
	wait := time.Until(p.settled)
	p.mu.Unlock()
	return backoff.Sleep(ctx, max(wait, 0))
}
