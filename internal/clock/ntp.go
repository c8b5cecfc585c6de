package clock

import (
	"context"
	"os"
	"time"

	"latchd/internal/backoff"
)

// TimesyncdMarker is what systemd-timesyncd touches at each synchronization
// (systemd-timesyncd.service(8)).
const TimesyncdMarker = "/run/systemd/timesync/synchronized"

const (
	// askFirst bounds the first pause between two questions that were answered
	// no, and askCap the longest. A question may start systemd-timedated, which
	// takes a small machine a moment and the journal two lines; a step of the clock
	// or the marker end the pause, so only NTP that needs no step and has no marker
	// is noticed late.
	askFirst = 4 * time.Second
	askCap   = 30 * time.Minute
	// askCapTrusted is askCap while there is no hurry: the hub vouches, or NTP did.
	askCapTrusted = 2 * time.Hour

	// askWithin bounds one question: starting timedated on a busy Pi takes seconds.
	askWithin = 15 * time.Second

	// askAtMost keeps evidence that comes again and again from starting timedated
	// all the time.
	askAtMost = time.Second

	// askAgain is when NTP that vouched is asked whether it still does. The kernel's
	// flag falls after nine hours without news from a time server (the error grows
	// by 500 ppm up to 16 s, ntp_adjtime in the kernel).
	askAgain = 12 * time.Hour
)

// keepAskingNTP asks whether NTP vouches for the system clock when there is a
// reason to.
func (c *Clock) keepAskingNTP(ctx context.Context) {
	pauses := backoff.Policy{Base: askFirst}
	for {
		c.askNTP(ctx)
		if backoff.Sleep(ctx, askAtMost) != nil {
			return
		}
		timer := time.NewTimer(c.untilAsking(&pauses))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-c.evidence:
			pauses.Reset()
		}
		timer.Stop()
	}
}

// untilAsking is how long NTP is left alone unless something happens.
func (c *Clock) untilAsking(pauses *backoff.Policy) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.belief.isSettled() {
		pauses.Reset()
		return spread(askAgain)
	}
	pauses.Cap = askCap
	if trusted(c.belief.state()) {
		pauses.Cap = askCapTrusted
	}
	return askFirst/4 + pauses.Next()
}

// askNTP asks once. What is answered holds for the system clock of that moment,
// so a step during the question makes it be asked again.
func (c *Clock) askNTP(ctx context.Context) {
	const attempts = 3
	for range attempts {
		before := c.look()
		vouches := c.vouchesNTP(ctx, before)
		if ctx.Err() != nil {
			return
		}
		if after := c.look(); abs(after.ahead(before)) > jitterBelow {
			continue
		}
		err := c.update(func(b *belief) error { return b.ntp(vouches) })
		if err != nil {
			c.log.Warn("the system clock is wrong, although NTP vouches for it", "error", err)
		}
		return
	}
}

// vouchesNTP asks timedate1, or the marker where that cannot be asked.
func (c *Clock) vouchesNTP(ctx context.Context, system reading) bool {
	if c.Synchronized != nil {
		ctx, cancel := context.WithTimeout(ctx, askWithin)
		defer cancel()
		vouches, err := c.Synchronized(ctx)
		if err == nil {
			return vouches
		}
		c.log.Debug("whether NTP has set the clock cannot be asked", "error", err)
	}
	return c.vouchesMarker(system)
}

// vouchesMarker tells whether the marker was touched since the last step of the
// system clock, by that clock. The marker of an earlier boot is not there: it is in
// memory.
func (c *Clock) vouchesMarker(system reading) bool {
	if c.Marker == "" {
		return false
	}
	info, err := os.Stat(c.Marker)
	if err != nil {
		return false
	}
	c.mu.Lock()
	after := c.belief.steppedAfter
	c.mu.Unlock()
	touched := system.boot + info.ModTime().Sub(system.wall)
	const coarse = time.Second // the stamps of files are as coarse as the kernel's tick
	return touched >= after && touched <= system.boot+coarse
}
