package agent

import (
	"time"

	"latchd/agent/health"
	"latchd/agent/ledger"
)

// How often the agent asks its machine to reboot at most. Somebody who tries to
// heal a device by rebooting it has learned by the third time that it does not
// help; a script that reboots for ever is stopped within the hour.
const (
	DefaultMaxPerHour = 3
	DefaultMaxPerDay  = 10
)

const day = 24 * time.Hour

// Why a scheduled operation is held back.
const (
	whyLoopBreaker = "loopBreaker"
	whyBootLoop    = "bootLoop"
)

// countAttempt notes that the machine is being asked, and forgets what is more
// than a day old.
func (a *Agent) countAttempt(o *ledger.Operations) {
	now, uptime := a.trustedNow(), a.Machine.Uptime()
	var kept []ledger.Attempt
	for i, one := range o.Attempts {
		if sinceAttempt(o.Attempts, i, a.Boot.ID, uptime, now) < day {
			kept = append(kept, one)
		}
	}
	o.Attempts = append(kept, ledger.Attempt{BootID: a.Boot.ID, Uptime: uptime, At: now})
}

// retryAfter is how long the loop breaker refuses a reboot; 0: it does not.
func (a *Agent) retryAfter() time.Duration {
	a.mu.Lock()
	attempts, local := a.ops.Attempts, a.localNow
	a.mu.Unlock()
	return retryAfter(attempts, a.Boot.ID, a.Machine.Uptime(), a.trustedNow(), local)
}

func retryAfter(attempts []ledger.Attempt, bootID string, uptime time.Duration, now time.Time, l Local) time.Duration {
	wait := time.Duration(0)
	for _, limit := range []struct {
		most   int
		within time.Duration
	}{{l.MaxPerHour, time.Hour}, {l.MaxPerDay, day}} {
		var since []time.Duration // oldest first
		for i := range attempts {
			if d := sinceAttempt(attempts, i, bootID, uptime, now); d < limit.within {
				since = append(since, d)
			}
		}
		if n := len(since); n >= limit.most {
			wait = max(wait, limit.within-since[n-limit.most])
		}
	}
	return wait
}

// sinceAttempt is how long ago an attempt was, at least. Within a boot the
// boot-time clock knows. Across boots it is the longer of what the wall clock
// says, where it was trusted both times, and of how long the machine has certainly
// been up since: a clock that cannot be trusted must not open the breaker.
func sinceAttempt(attempts []ledger.Attempt, i int, bootID string, uptime time.Duration, now time.Time) time.Duration {
	one := attempts[i]
	if one.BootID == bootID {
		return uptime - one.Uptime
	}
	up := uptime - one.Uptime
	for j := i; j < len(attempts) && attempts[j].BootID != bootID; j++ {
		if j+1 == len(attempts) || attempts[j+1].BootID != attempts[j].BootID {
			up += attempts[j].Uptime // the last of its boot
		}
	}
	if !one.At.IsZero() && !now.IsZero() {
		return max(up, now.Sub(one.At))
	}
	return up
}

// heldBack tells what holds scheduled operations back although their time has
// come, and how long at most; "" is nothing.
func (a *Agent) heldBack() (by string, wait time.Duration) {
	if wait := a.retryAfter(); wait > 0 {
		return whyLoopBreaker, wait
	}
	if wait := a.untilBootLoopEnds(); wait < never {
		return whyBootLoop, wait
	}
	return "", 0
}

// Boots is how many boots that nobody asked for this machine has had within that
// time, this one included. A boot whose time is not known counts as long as it may
// have been.
func (a *Agent) Boots(within time.Duration) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bootsLocked(within)
}

func (a *Agent) bootsLocked(within time.Duration) int {
	uptime, now := a.Machine.Uptime(), a.trustedNow()
	booted := map[string]bool{} // by boot id
	for _, r := range a.ops.Receipts {
		since := uptime // of an earlier boot: at least
		if r.BootedAt != nil && !now.IsZero() && r.BootID != a.Boot.ID {
			since = max(since, now.Sub(r.BootedAt.Time))
		}
		if r.OperationID == "" && r.State == stateCompleted && since < within {
			booted[r.BootID] = true
		}
	}
	return len(booted)
}

func (a *Agent) inBootLoopLocked() bool {
	return a.bootsLocked(health.BootLoopWithin) >= health.BootLoopBoots
}

// untilBootLoopEnds is how long a boot loop counts as one at most; never where
// there is none.
func (a *Agent) untilBootLoopEnds() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.inBootLoopLocked() {
		return never
	}
	return max(health.BootLoopWithin-a.Machine.Uptime(), time.Second)
}

// tellBootLoop adds the event of a boot loop, once for each boot in it.
func (a *Agent) tellBootLoop() {
	a.mu.Lock()
	boots := a.bootsLocked(health.BootLoopWithin)
	a.mu.Unlock()
	if boots < health.BootLoopBoots {
		return
	}
	a.log.Error("the machine boots over and over; scheduled operations are held back", "boots", boots, "within", health.BootLoopWithin)
	e := a.newEvent(eventBootLoop, map[string]any{"boots": boots, "bootId": a.Boot.ID})
	e.Once = eventBootLoop + " " + a.Boot.ID
	a.outbox.Add(e)
}
