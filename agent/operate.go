package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"latchd/agent/ledger"
)

const (
	// deliverWithin is how long a reboot waits for its answer's PUBACK and its
	// report's 204, together. Then it goes on: the receipt comes after.
	deliverWithin = 3 * time.Second
	// guardTime is how long after being asked the machine may take to begin
	// going down, and how long after its acceptance an operation is taken up
	// again by a restarted agent.
	guardTime = 2 * time.Minute
	// recheck is how often a blocked operation, or a machine that is going
	// down, is looked at again. Changes of the door wake the loop at once.
	recheck = 5 * time.Second
	// never is a wait that only a poke ends.
	never = 24 * time.Hour
)

// operate carries the pending operation through its phases until ctx ends.
func (a *Agent) operate(ctx context.Context) {
	for {
		wait := never
		a.mu.Lock()
		op := a.pendingLocked(kindReboot)
		a.mu.Unlock()
		if op != nil {
			wait = a.step(ctx, *op)
		}
		if wait > 0 && !sleep(ctx, wait, a.wake) {
			return
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// sleep waits for d, a poke, or the end of ctx; false is the last.
func sleep(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-wake:
		return true
	case <-ctx.Done():
		return false
	}
}

// step does what is due for the operation and says how long to wait for the
// next step; 0 is at once.
func (a *Agent) step(ctx context.Context, op ledger.Operation) time.Duration {
	switch op.Phase {
	case ledger.PhaseScheduled:
		return a.stepScheduled(ctx, op)
	case ledger.PhaseAccepted:
		a.deliver(ctx, op)
		if ctx.Err() != nil {
			return never // the agent stops; the next one takes it up
		}
		return a.enter(op, ledger.PhaseAnswered)
	case ledger.PhaseAnswered:
		if wait := op.StartUptime - a.Machine.Uptime(); wait > 0 && op.StartUptime > 0 {
			return wait
		}
		if blockers := a.doorBlockers(); len(blockers) > 0 && !op.Force {
			return a.waitForDoor(op, blockers)
		}
		return a.ask(ctx, op)
	default:
		return a.stepAsked(ctx, op)
	}
}

// enter records the next phase. If it cannot be recorded, the operation fails
// before its act.
func (a *Agent) enter(op ledger.Operation, phase ledger.Phase) time.Duration {
	op.Phase, op.BootID, op.Uptime = phase, a.Boot.ID, a.Machine.Uptime()
	if err := a.update(func(o *ledger.Operations) { setPending(o, op) }); err != nil {
		a.fail(op, err.Error(), false)
	}
	return 0
}

// deliver waits until the operator knows: the answer is acknowledged and the
// report is in the twin.
func (a *Agent) deliver(ctx context.Context, op ledger.Operation) {
	ctx, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	a.report()
	a.mu.Lock()
	answered := a.answers[op.ID]
	delete(a.answers, op.ID)
	a.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() {
		if err := a.hub.Flush(ctx); err != nil {
			a.log.Warn("the start of a reboot is not reported yet", "operationId", op.ID, "error", err)
		}
	})
	if answered != nil {
		select {
		case <-answered:
		case <-ctx.Done():
		}
	}
	both.Wait()
}

// stepScheduled waits for the operation's time, and starts it when nothing is
// in its way.
func (a *Agent) stepScheduled(ctx context.Context, op ledger.Operation) time.Duration {
	now, isTrusted := a.now()
	last := op.ExpiresAt
	if !op.NotAfter.IsZero() {
		last = op.NotAfter
	}
	if isTrusted && !last.IsZero() && now.After(last) {
		a.finishOperation(op, ledger.Receipt{State: stateExpired, Error: "it could not start before " + formatTime(last) + blockedText(op.BlockedBy)})
		return 0
	}
	if op.BootID == a.Boot.ID && op.StartUptime > 0 {
		// In the boot that scheduled it, the boot-time clock counts: it does not jump.
		if wait := op.StartUptime - a.Machine.Uptime(); wait > 0 {
			return wait
		}
	} else {
		if !isTrusted {
			return a.block(op, "clock")
		}
		if wait := op.NotBefore.Sub(now); wait > 0 {
			return min(wait, time.Minute) // the wall clock may be stepped meanwhile
		}
	}
	if !isTrusted && !op.NotAfter.IsZero() {
		return a.block(op, "clock")
	}
	bounded, cancel := context.WithTimeout(ctx, askMachine)
	defer cancel()
	if err := a.Machine.CanReboot(bounded); err != nil {
		return a.block(op, err.Error())
	}
	if blockers := a.doorBlockers(); len(blockers) > 0 {
		if !op.Force {
			return a.block(op, strings.Join(blockers, ", "))
		}
		a.log.Warn("rebooting although the door forbids it", "blockers", blockers, "operationId", op.ID)
	}
	op.StartedAt, op.BlockedBy, op.StartUptime = a.trustedNow(), "", 0
	return a.enter(op, ledger.PhaseAccepted)
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
	a.mu.Lock()
	changed := op.BlockedBy != by
	if changed {
		o := a.ops.Clone()
		op.BlockedBy = by
		setPending(&o, op)
		a.ops = o
	}
	a.mu.Unlock()
	if changed {
		a.log.Info("a pending operation is blocked", "operationId", op.ID, "by", by)
		a.report()
	}
	return recheck
}

// waitForDoor holds a reboot back that was accepted before somebody unlocked
// or opened the door, for as long as the guard time.
func (a *Agent) waitForDoor(op ledger.Operation, blockers []string) time.Duration {
	by := strings.Join(blockers, ", ")
	if a.Machine.Uptime()-op.Uptime > guardTime {
		a.fail(op, "the door forbade it: "+by, false)
		return 0
	}
	return a.block(op, by)
}

// ask asks the machine to go down: once.
func (a *Agent) ask(ctx context.Context, op ledger.Operation) time.Duration {
	if now, ok := a.now(); ok && !op.NotAfter.IsZero() && now.After(op.NotAfter) {
		a.finishOperation(op, ledger.Receipt{State: stateExpired, Error: "notAfter passed before the machine was asked"})
		return 0
	}
	op.Phase, op.BootID, op.Uptime = ledger.PhaseAsked, a.Boot.ID, a.Machine.Uptime()
	if err := a.update(func(o *ledger.Operations) { setPending(o, op) }); err != nil {
		a.fail(op, err.Error(), false)
		return 0
	}
	a.log.Info("asking the machine to reboot", "operationId", op.ID)
	if err := a.Machine.Reboot(ctx); err != nil {
		a.fail(op, "the machine refused to reboot: "+err.Error(), false)
		return 0
	}
	return time.Second
}

// stepAsked watches a machine that was asked. It is never asked again.
func (a *Agent) stepAsked(ctx context.Context, op ledger.Operation) time.Duration {
	waited := a.Machine.Uptime() - op.Uptime
	if waited < guardTime {
		return guardTime - waited
	}
	if a.Machine.Stopping(ctx) {
		return recheck
	}
	a.fail(op, fmt.Sprintf("the machine was asked to reboot and was still up %s later", guardTime), true)
	return 0
}

func (a *Agent) fail(op ledger.Operation, why string, stillUp bool) {
	a.log.Error("reboot failed", "operationId", op.ID, "error", why)
	receipt := ledger.Receipt{State: stateFailed, Error: why, PreviousBootID: a.Boot.ID}
	change := func(o *ledger.Operations) {
		end(o, op, receipt)
		o.Receipts[len(o.Receipts)-1].StillUp = stillUp
	}
	if err := a.update(change); err != nil {
		a.endInMemory(change, err)
	}
	a.report()
}

func (a *Agent) finishOperation(op ledger.Operation, r ledger.Receipt) {
	a.log.Info("operation ended", "operationId", op.ID, "state", r.State, "error", r.Error)
	change := func(o *ledger.Operations) { end(o, op, r) }
	if err := a.update(change); err != nil {
		a.endInMemory(change, err)
	}
	a.report()
}

// endInMemory ends an operation whose end cannot be written: the operator is
// told the truth, and this process at least does not go on with it.
func (a *Agent) endInMemory(change func(*ledger.Operations), err error) {
	a.log.Error("cannot record the end of an operation", "error", err)
	a.mu.Lock()
	o := a.ops.Clone()
	change(&o)
	a.ops = o
	a.mu.Unlock()
}

// markGoingDown leaves the proof of an orderly shutdown when the whole machine
// is going down.
func (a *Agent) markGoingDown() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if !a.Machine.Stopping(ctx) {
		return
	}
	err := a.update(func(o *ledger.Operations) {
		o.Mark = &ledger.Mark{BootID: a.Boot.ID, At: a.trustedNow()}
		for i, op := range o.Pending {
			if op.Phase == ledger.PhaseAsked {
				o.Pending[i].Phase = ledger.PhaseGoingDown
				o.Mark.OperationID = op.ID
			}
		}
		if o.Mark.OperationID == "" {
			o.Mark.OperationID = lateReboot(o.Receipts, a.Boot.ID)
		}
	})
	if err != nil {
		a.log.Error("cannot mark the orderly shutdown; the next boot will not know of it", "error", err)
		return
	}
	a.log.Info("the machine is going down")
}
