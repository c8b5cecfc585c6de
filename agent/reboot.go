package agent

import (
	"context"
	"fmt"
	"math"
	"time"

	"latchd/agent/ledger"
	"latchd/agent/maintenance"
)

const (
	kindReboot = "rebootDevice"

	// maxRebootDelay bounds delay; later than that is what windows are for.
	maxRebootDelay = time.Hour
	// maxReason bounds what is echoed in the twin, in characters.
	maxReason = 256
	// promptly is the longest delay that still counts as "now": the caller
	// is told "rebooting" and not "scheduled".
	promptly = 10 * time.Second
	// expiry is how long a pending operation waits at most, unless notAfter
	// says otherwise.
	expiry = 7 * 24 * time.Hour
	// askMachine bounds how long the machine may take to say whether it can
	// reboot, so that the method is answered in time.
	askMachine = 2 * time.Second
)

// rebootRequest is a parsed rebootDevice.
type rebootRequest struct {
	delay  time.Duration
	reason string
	force  bool
}

func parseRebootDevice(a *Agent, p *params) action {
	r := rebootRequest{delay: a.local().RebootDelay, reason: p.text("reason", maxReason), force: p.boolean("force")}
	if d := p.duration("delay", func(d time.Duration) error {
		if d > maxRebootDelay {
			return fmt.Errorf("must be at most %s", maxRebootDelay)
		}
		return nil
	}); d != nil {
		r.delay = *d
	}
	if p.boolean("dryRun") {
		p.rehearsal = true
		return func(ctx context.Context, _ command) answer { return a.rehearseReboot(ctx, r) }
	}
	return func(ctx context.Context, cmd command) answer { return a.rebootDevice(ctx, r, cmd) }
}

// rebootDevice accepts or refuses a reboot. What it accepts is on disk before
// it answers; the operations loop does the rest.
func (a *Agent) rebootDevice(ctx context.Context, r rebootRequest, cmd command) answer {
	forbidden := a.askCanReboot(ctx)
	blockers := a.doorBlockers()

	a.changing.lock()
	defer a.changing.unlock()
	if !cmd.begin() {
		return notBegun()
	}
	if op := a.pendingLocked(kindReboot); op != nil {
		return a.joinChanging(*op, r)
	}
	if forbidden != nil {
		return reply(503, "this device may not reboot itself: "+forbidden.Error())
	}
	op, g := a.newReboot(r, cmd)
	if refusal, ok := a.outsideWindow(op, g); !ok {
		return refusal
	}
	if wait := a.retryAfter(); wait > r.delay && g.why == "" {
		return tooOften(wait)
	}
	if len(blockers) > 0 && op.Phase != ledger.PhaseScheduled { // else the door's state counts when it starts
		if !r.force {
			return reply(409, "the door forbids a reboot now; force overrides it").with("blockers", blockers)
		}
		a.log.Warn("rebooting although the door forbids it", "blockers", blockers, "commandId", cmd.id)
	}
	a.warnOfOverride(op)
	return a.acceptChanging(op, r)
}

// acceptChanging puts a new operation among the pending ones.
func (a *Agent) acceptChanging(op ledger.Operation, r rebootRequest) answer {
	sent := a.awaitAnswer(op.ID) // before the operations loop can see it
	if err := a.updateChanging(func(o *ledger.Operations) { o.Pending = append(o.Pending, op) }); err != nil {
		a.forgetAnswer(op.ID)
		return reply(503, "the reboot cannot be recorded, so it was not begun; free or repair the device's disk: "+err.Error())
	}
	a.log.Info("reboot accepted", "operationId", op.ID, "commandId", op.CommandID, "delay", r.delay, "reason", r.reason, "notBefore", logTime(op.NotBefore), "blockedBy", op.BlockedBy)
	ans := a.operationAnswer(op)
	ans.payload["Response"] = "rebootDevice called successfully"
	if op.Phase == ledger.PhaseScheduled {
		a.forgetAnswer(op.ID) // it has long been sent when the operation starts
	} else {
		ans.sent = sent
	}
	a.operationsChanged()
	return ans
}

// outsideWindow refuses what the maintenance policy does not let wait. It gives
// false with the refusal.
func (a *Agent) outsideWindow(op ledger.Operation, g gate) (answer, bool) {
	refuse := func(why string) (answer, bool) {
		ans := reply(423, why+"; force overrides it").with("why", g.why)
		if !g.notBefore.IsZero() {
			ans = ans.with("notBefore", formatTime(g.notBefore))
		}
		return ans, false
	}
	switch {
	case g.why == "":
		return answer{}, true
	case g.reject:
		return refuse("the maintenance policy rejects a reboot now: " + g.why)
	case g.notBefore.IsZero() && g.why != maintenance.WhyClock:
		return refuse("the maintenance policy has no opening for a reboot within 366 days")
	case !op.NotAfter.IsZero() && op.NotAfter.Before(g.notBefore):
		return refuse("the maintenance policy has no opening for a reboot before notAfter: " + g.why)
	}
	return answer{}, true
}

// tooOften is the loop breaker's refusal.
func tooOften(wait time.Duration) answer {
	return reply(429, "this device was rebooted too often of late; look for the reason before it is tried again").
		with("retryAfter", math.Ceil(wait.Seconds()))
}

// newReboot makes the operation of a request, and tells what the maintenance
// policy makes of it.
func (a *Agent) newReboot(r rebootRequest, cmd command) (ledger.Operation, gate) {
	now := a.trustedNow()
	op := ledger.Operation{
		ID: newOperationID(), Kind: kindReboot, CommandID: cmd.id,
		Reason: r.reason, Force: r.force, NotAfter: cmd.notAfter,
		Phase: ledger.PhaseAccepted, BootID: a.Boot.ID, Uptime: a.Machine.Uptime(),
		RequestedAt: now,
	}
	op.StartUptime, op.EndUptime = op.Uptime+r.delay, op.Uptime+expiry
	if !now.IsZero() {
		op.Earliest = now.Add(r.delay)
		op.ExpiresAt = now.Add(expiry)
	}
	g := a.gate(op, op.Earliest)
	op.NotBefore, op.Closes, op.Deferred, op.BlockedBy = g.notBefore, g.closes, g.deferred, g.blockedBy()
	op = expireLater(op)
	if g.why != "" || r.delay > promptly {
		op.Phase = ledger.PhaseScheduled
	} else {
		op.StartedAt = now
	}
	return op, g
}

// warnOfOverride leaves a trace of a force that was needed.
func (a *Agent) warnOfOverride(op ledger.Operation) {
	if !op.Force {
		return
	}
	op.Force = false
	if why := a.gate(op, op.Earliest).why; why != "" {
		a.log.Warn("force overrides the maintenance policy", "operationId", op.ID, "commandId", op.CommandID, "reason", op.Reason, "why", why)
	}
}

// joinChanging answers while a reboot is pending already: one that has started
// is not to be joined, one that waits is; force makes it go now.
func (a *Agent) joinChanging(op ledger.Operation, r rebootRequest) answer {
	if op.Phase != ledger.PhaseScheduled {
		return reply(409, "a reboot has started already").with("operationId", op.ID).with("state", "started")
	}
	if r.force {
		if wait := a.retryAfter(); wait > r.delay {
			return tooOften(wait).with("operationId", op.ID)
		}
		op.Force, op.Deferred, op.BlockedBy, op.Closes = true, false, "", time.Time{}
		op.BootID, op.Uptime = a.Boot.ID, a.Machine.Uptime()
		op.StartUptime, op.EndUptime = op.Uptime+r.delay, op.Uptime+expiry
		op.Earliest, op.NotBefore = time.Time{}, time.Time{}
		if now := a.trustedNow(); !now.IsZero() {
			op.Earliest = now.Add(r.delay)
			op.NotBefore = op.Earliest
		}
		a.warnOfOverride(op)
		if err := a.updateChanging(func(o *ledger.Operations) { setPending(o, op) }); err != nil {
			return reply(503, "the reboot cannot be recorded, so nothing was changed: "+err.Error())
		}
		a.log.Warn("pending reboot promoted by force", "operationId", op.ID)
		a.operationsChanged()
	}
	return a.operationAnswer(op).with("joined", true)
}

// rehearseReboot says what would happen.
func (a *Agent) rehearseReboot(ctx context.Context, r rebootRequest) answer {
	blockers := []string{}
	if err := a.askCanReboot(ctx); err != nil {
		blockers = append(blockers, err.Error())
	}
	op, g := a.newReboot(r, command{})
	if g.why != "" {
		blockers = append(blockers, g.why)
	}
	if !r.force {
		blockers = append(blockers, a.doorBlockers()...)
	}
	if op.Phase == ledger.PhaseScheduled && !op.Force && a.inBootLoop() {
		blockers = append(blockers, whyBootLoop)
	}
	a.mu.Lock()
	pending := a.pendingLocked(kindReboot)
	a.mu.Unlock()
	ans := reply(200, "this was a dry run, nothing was done")
	if pending != nil && pending.Phase != ledger.PhaseScheduled {
		blockers = append(blockers, "a reboot has started already")
	}
	if wait := a.retryAfter(); wait > r.delay {
		blockers = append(blockers, whyLoopBreaker)
		ans = ans.with("retryAfter", math.Ceil(wait.Seconds()))
	}
	if !op.NotBefore.IsZero() {
		ans = ans.with("notBefore", formatTime(op.NotBefore))
	}
	return ans.with("wouldRun", len(blockers) == 0).with("blockers", blockers)
}
