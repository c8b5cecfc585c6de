package agent

import (
	"slices"
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

// countAttempt notes that the machine is being asked, and forgets what no longer
// counts.
func (a *Agent) countAttempt(o *ledger.Operations) {
	now, uptime := a.trustedNow(), a.Machine.Uptime()
	var kept []ledger.Attempt
	for i, age := range ages(o.Attempts, a.Boot.ID, uptime, now) {
		if age < day {
			kept = append(kept, o.Attempts[i])
		}
	}
	kept = append(kept, ledger.Attempt{BootID: a.Boot.ID, Uptime: uptime, At: now})
	l := a.local() // more than are allowed say no more
	o.Attempts = kept[max(0, len(kept)-max(l.MaxPerHour, l.MaxPerDay)):]
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
		// The ages never increase, so the last ones are those within.
		since := ages(attempts, bootID, uptime, now)
		first := slices.IndexFunc(since, func(age time.Duration) bool { return age < limit.within })
		if first < 0 {
			continue
		}
		if n := len(since) - first; n >= limit.most {
			wait = max(wait, limit.within-since[len(since)-limit.most])
		}
	}
	return wait
}

// ages tells how long ago each attempt was, at least. Within a boot the boot-time
// clock knows. Across boots it is the longer of what the wall clock says, where it
// was trusted both times, and of how long the machine has certainly been up since:
// a clock that cannot be trusted must not open the breaker. None is younger than
// the one after it.
func ages(attempts []ledger.Attempt, bootID string, uptime time.Duration, now time.Time) []time.Duration {
	all := make([]time.Duration, len(attempts))
	up, age := uptime, time.Duration(0) // since the boot that is looked at ended, at least
	for i := len(attempts) - 1; i >= 0; i-- {
		one := attempts[i]
		if one.BootID == bootID {
			age = max(age, uptime-one.Uptime)
			all[i] = age
			continue
		}
		lived := one.Uptime // of its boot, at least
		for j := i + 1; j < len(attempts) && attempts[j].BootID == one.BootID; j++ {
			lived = attempts[j].Uptime
		}
		age = max(age, up+lived-one.Uptime)
		if !one.At.IsZero() && !now.IsZero() {
			age = max(age, now.Sub(one.At))
		}
		all[i] = age
		if i > 0 && attempts[i-1].BootID != one.BootID {
			up += lived
		}
	}
	return all
}

// heldBack tells what holds a scheduled operation back although its time has come,
// and how long at most; "" is nothing.
func (a *Agent) heldBack(op ledger.Operation) (by string, wait time.Duration) {
	if wait := a.retryAfter(); wait > 0 {
		return whyLoopBreaker, wait
	}
	if a.inBootLoop() && !op.Force {
		return whyBootLoop, lookAgain
	}
	return "", 0
}

// Boots is how many boots that nobody asked for this machine has had within that
// time, this one included, as far as it is known: while the clock cannot be trusted
// nothing is.
func (a *Agent) Boots(within time.Duration) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bootsLocked(within)
}

func (a *Agent) bootsLocked(within time.Duration) int {
	now := a.trustedNow()
	if now.IsZero() {
		return 0
	}
	booted := map[string]bool{} // by boot id
	recent := false             // an earlier boot was within, so this one was too
	for _, r := range a.ops.Receipts {
		if r.State != stateCompleted {
			continue
		}
		recent = recent || r.BootedAt != nil && now.Sub(r.BootedAt.Time) < within
		if asked := r.OperationID != "" || r.Orderly != nil && *r.Orderly; recent && !asked {
			booted[r.BootID] = true
		}
	}
	return len(booted)
}

func (a *Agent) inBootLoopLocked() bool {
	return a.bootsLocked(health.BootLoopWithin) >= health.BootLoopBoots
}

func (a *Agent) inBootLoop() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.inBootLoopLocked()
}

// untilBootLoopEnds is when a boot loop is to be looked at again; never where there
// is none.
func (a *Agent) untilBootLoopEnds() time.Duration {
	if a.inBootLoop() {
		return lookAgain
	}
	return never
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
