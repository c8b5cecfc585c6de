package clock

import (
	"context"
	"math/rand/v2"
	"os"
	"sync"
	"time"
)

const (
	// lookFirst is the pause between two looks at the system clock and the marker
	// after something happened, because more is to come. It doubles to one of the
	// others. The kernel tells of steps; looking finds them where it does not, and
	// finds the touch of the marker.
	lookFirst     = time.Second
	lookUntrusted = 10 * time.Second
	lookTrusted   = 30 * time.Second
)

// Run finds out whether the time is to be believed, until ctx ends.
func (c *Clock) Run(ctx context.Context) {
	state, _ := c.State()
	c.log.Info("the clock is "+state, "time", text(c.Now()))
	var work sync.WaitGroup
	work.Go(func() { c.keepLooking(ctx) })
	work.Go(func() { c.keepAskingNTP(ctx) })
	work.Go(func() { c.keepAskingHub(ctx) })
	work.Go(func() { c.keepTelling(ctx) })
	work.Wait()
}

// keepLooking watches the system clock and the marker.
func (c *Clock) keepLooking(ctx context.Context) {
	jumps, pause := c.jumps(ctx), lookFirst
	for {
		c.look()
		c.lookAtMarker()
		changed, _ := c.watch()
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case _, ok := <-jumps:
			if !ok { // the kernel does not tell; looking has to do
				jumps = nil
			}
			pause = lookFirst
		case <-changed:
			pause = lookFirst
		case <-timer.C:
			longest := lookUntrusted
			if c.Trusted() {
				longest = lookTrusted
			}
			pause = min(2*pause, longest)
		}
		timer.Stop()
	}
}

// look takes note of the system clock as it is, and gives the reading.
func (c *Clock) look() reading {
	var system reading
	_ = c.update(func(b *belief) error {
		system = c.readSystem() // under the lock, so that looks keep their order
		if b.look(system) {
			poke(c.evidence)
		}
		return nil
	})
	return system
}

// lookAtMarker notices a synchronization. One that confirms what is known anyway
// is no news.
func (c *Clock) lookAtMarker() {
	if c.Marker == "" {
		return
	}
	info, err := os.Stat(c.Marker)
	if err != nil || info.ModTime().Equal(c.touched) {
		return
	}
	c.touched = info.ModTime()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.belief.isSettled() {
		poke(c.evidence)
	}
}

// keepTelling calls the user and saves the time, away from everything that has to
// go on while those take long.
func (c *Clock) keepTelling(ctx context.Context) {
	wasTrusted := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.tell:
		}
		if c.OnChange != nil {
			c.OnChange()
		}
		isTrusted := c.Trusted()
		if isTrusted && !wasTrusted {
			if err := c.Save(); err != nil {
				c.log.Warn("the time cannot be kept for the next start", "error", err)
			}
		}
		wasTrusted = isTrusted
	}
}

// spread draws a time from d to 2d: many devices begin to ask at once, when the
// power is back.
func spread(d time.Duration) time.Duration { return d + rand.N(d) }
