package broker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestPulse(t *testing.T) {
	for _, row := range []struct {
		name  string
		stall time.Duration // before the request
		later time.Duration // and between the first beat after it and the request
		wait  time.Duration
	}{
		{"no stall", 0, 0, 0},
		{"a late beat", pulseEvery, 0, 0},
		{"the request comes first", time.Minute, 0, settleTime},
		{"a beat comes first", time.Minute, settleTime / 2, settleTime / 2},
		{"long after", time.Minute, time.Hour, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				var p pulse
				go p.run(ctx)
				time.Sleep(10*pulseEvery + pulseEvery/2)
				p.mu.Lock()
				p.last = p.last.Add(-row.stall)
				if row.later > 0 {
					p.check()
				}
				p.mu.Unlock()
				time.Sleep(row.later)
				began := time.Now()
				if err := p.settle(ctx); err != nil || time.Since(began) != row.wait {
					t.Errorf("it waited %v, want %v: %v", time.Since(began), row.wait, err)
				}
				p.mu.Lock()
				p.last = p.last.Add(-time.Minute)
				p.mu.Unlock()
				cancel() // the caller hangs up
				if err := p.settle(ctx); err == nil {
					t.Error("a caller who has hung up is served")
				}
			})
		})
	}
	if err := new(pulse).settle(t.Context()); err != nil {
		t.Errorf("before run: %v", err)
	}
}
