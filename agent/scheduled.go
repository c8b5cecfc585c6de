package agent

import (
	"context"
	"strings"
	"time"

	"latchd/agent/ledger"
	"latchd/agent/maintenance"
)

// stepScheduled waits for the operation's time, and starts it when nothing is
// in its way.
func (a *Agent) stepScheduled(ctx context.Context, op ledger.Operation) time.Duration {
	now, isTrusted := a.now()
	if last, expired := a.expired(op, now, isTrusted); expired {
		a.finishOperation(op, ledger.Receipt{State: stateExpired, Error: "it could not start before " + last + blockedText(op.BlockedBy)})
		return 0
	}
	earliest := a.earliest(op, now, isTrusted)
	g := a.gate(op, earliest)
	if a.replan(op, earliest, g) {
		return 0
	}
	if wait, known := a.untilEarliest(op, now, isTrusted); !known {
		return a.block(op, maintenance.WhyClock)
	} else if wait > 0 {
		a.block(op, g.blockedBy())
		return min(wait, lookAgain) // the wall clock may be stepped meanwhile
	}
	if g.why != "" {
		a.block(op, g.blockedBy())
		if wait := g.notBefore.Sub(now); isTrusted && wait > 0 {
			return min(wait, lookAgain)
		}
		return lookAgain // a change of policy or clock wakes the loop at once
	}
	if !isTrusted && !op.NotAfter.IsZero() {
		return a.block(op, maintenance.WhyClock)
	}
	// The gate looked at the end of the delay, from which the present may differ by
	// what the two clocks do.
	if why, ok := a.inWindow(op); !ok {
		return a.block(op, why)
	}
	if by, wait := a.heldBack(op); by != "" {
		a.block(op, by)
		return min(wait, lookAgain)
	}
	if err := a.askCanReboot(ctx); err != nil {
		return a.block(op, err.Error())
	}
	if blockers := a.doorBlockers(); len(blockers) > 0 {
		if !op.Force {
			return a.block(op, strings.Join(blockers, ", "))
		}
		a.log.Warn("rebooting although the door forbids it", "blockers", blockers, "operationId", op.ID)
	}
	a.enter(op, ledger.PhaseAccepted)
	return 0
}

// sameMoment is how far the ends of a delay by the two clocks may be apart before
// the wall clock must have been stepped.
const sameMoment = 5 * time.Second

// earliest is when the operation's delay ends, by the wall clock. In the boot that
// scheduled it the boot-time clock says so, which does not jump.
func (a *Agent) earliest(op ledger.Operation, now time.Time, isTrusted bool) time.Time {
	if !a.inItsBoot(op) || !isTrusted {
		return op.Earliest
	}
	end := now.Add(op.StartUptime - a.Machine.Uptime())
	if d := end.Sub(op.Earliest); -sameMoment < d && d < sameMoment {
		return op.Earliest
	}
	return end
}

// untilEarliest is how long the operation's delay goes on; it is not known while
// only the wall clock could tell, and cannot be trusted.
func (a *Agent) untilEarliest(op ledger.Operation, now time.Time, isTrusted bool) (wait time.Duration, known bool) {
	if a.inItsBoot(op) {
		return op.StartUptime - a.Machine.Uptime(), true
	}
	return op.Earliest.Sub(now), isTrusted
}

// replan keeps when the operation will start, where that has changed: by another
// policy, by the rules of the zone, by a step of the clock, or because a window
// went by that it could not use.
func (a *Agent) replan(op ledger.Operation, earliest time.Time, g gate) (changed bool) {
	if op.Earliest.Equal(earliest) && op.NotBefore.Equal(g.notBefore) && op.Closes.Equal(g.closes) && op.Deferred == g.deferred {
		return false
	}
	a.changing.lock()
	if !a.isCurrent(op) {
		a.changing.unlock()
		return true
	}
	next := op
	next.Earliest, next.NotBefore, next.Closes, next.Deferred, next.BlockedBy = earliest, g.notBefore, g.closes, g.deferred, g.blockedBy()
	// A time that went by unused is no reason to live longer.
	if now := a.trustedNow(); op.NotBefore.IsZero() || op.NotBefore.After(now) {
		next = expireLater(next)
	}
	a.keepChanging(func(o *ledger.Operations) { setPending(o, next) })
	a.changing.unlock()
	a.log.Info("a pending operation has another time", "operationId", op.ID, "notBefore", logTime(next.NotBefore), "was", logTime(op.NotBefore), "why", g.why)
	a.report()
	return true
}

// putBack makes an operation that had started, and whose machine was not asked
// yet, wait again: the windows have closed over it, by the clock or by a policy.
func (a *Agent) putBack(op ledger.Operation, why string) {
	a.changing.lock()
	if !a.isCurrent(op) {
		a.changing.unlock()
		return
	}
	next := op
	next.Phase, next.BlockedBy, next.Resumed = ledger.PhaseScheduled, clip(why), false
	next.BootID, next.Uptime = a.Boot.ID, a.Machine.Uptime()
	if !a.inItsBoot(op) || op.EndUptime == 0 {
		next.EndUptime = next.Uptime + expiry
	}
	next.StartUptime, next.StartedAt = next.Uptime, time.Time{}
	a.keepChanging(func(o *ledger.Operations) { setPending(o, next) })
	a.changing.unlock()
	a.log.Warn("an operation that had started waits again", "operationId", op.ID, "why", why)
	a.report()
}

// inItsBoot tells whether the boot-time clock, which does not jump, can say
// when the operation starts: in the boot that scheduled it.
func (a *Agent) inItsBoot(op ledger.Operation) bool {
	return op.BootID == a.Boot.ID && op.StartUptime > 0
}

// expired tells whether the operation has waited too long, and until when it
// might have started.
func (a *Agent) expired(op ledger.Operation, now time.Time, isTrusted bool) (last string, ok bool) {
	switch {
	case !op.NotAfter.IsZero():
		return formatTime(op.NotAfter), isTrusted && now.After(op.NotAfter)
	case a.inItsBoot(op) && op.EndUptime > 0: // a stepped clock is no reason
		last = "its time was over"
		if !op.ExpiresAt.IsZero() {
			last = formatTime(op.ExpiresAt)
		}
		return last, a.Machine.Uptime() > op.EndUptime
	}
	return formatTime(op.ExpiresAt), isTrusted && !op.ExpiresAt.IsZero() && now.After(op.ExpiresAt)
}

// expireLater lets an operation live until the window in which it is to start has
// closed, if that is later than it would expire: what is said to happen at
// notBefore is not to expire before.
func expireLater(op ledger.Operation) ledger.Operation {
	end := op.Closes
	if end.IsZero() {
		end = op.NotBefore.Add(expiry)
	}
	if op.ExpiresAt.IsZero() || !op.NotBefore.After(op.ExpiresAt) {
		return op
	}
	if op.EndUptime > 0 {
		op.EndUptime += end.Sub(op.ExpiresAt)
	}
	op.ExpiresAt = end
	return op
}

func blockedText(by string) string {
	if by == "" {
		return ""
	}
	return "; it was blocked by " + by
}

// block notes why the operation waits. The note is for the report only, so
// it is not written to disk: a door that opens and closes must not wear it out.
func (a *Agent) block(op ledger.Operation, by string) time.Duration {
	by = clip(by)
	if op.BlockedBy == by {
		return recheck
	}
	a.changing.lock()
	if !a.isCurrent(op) {
		a.changing.unlock()
		return 0
	}
	blocked := op
	blocked.BlockedBy = by
	o := a.ops.Clone()
	setPending(&o, blocked)
	a.remember(o)
	a.changing.unlock()
	if by != "" {
		a.log.Info("a pending operation is blocked", "operationId", op.ID, "by", by)
	}
	a.report()
	return recheck
}

// logTime is a time for the log, where one that there is not is no time.
func logTime(t time.Time) string {
	if t.IsZero() {
		return "none"
	}
	return formatTime(t)
}
