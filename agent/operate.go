package agent

import (
	"context"
	"fmt"
	"slices"
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
	// rebootCall is how long the machine may take to accept or refuse a
	// reboot: what D-Bus grants a call by default.
	rebootCall = 25 * time.Second
	// never is a wait that only a poke ends.
	never = 24 * time.Hour
)

// operate carries the pending operation through its phases until ctx ends.
//
// It works on a copy, and while it waits for the machine or the hub somebody
// may cancel the operation or promote it. So each change is made only if the
// operation still is what the copy says; else the loop looks again.
func (a *Agent) operate(ctx context.Context) {
	for {
		wait := never
		a.renewZone()
		a.mu.Lock()
		op := a.pendingLocked(kindReboot)
		a.mu.Unlock()
		if op != nil {
			wait = a.step(ctx, *op)
		}
		a.reportChanges()
		wait = min(wait, a.untilWindow(), a.untilBootLoopEnds())
		if !a.catchUp() {
			wait = min(wait, recheck)
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
		a.enter(op, ledger.PhaseAnswered)
		return 0
	case ledger.PhaseAnswered:
		if wait := op.StartUptime - a.Machine.Uptime(); wait > 0 && op.StartUptime > 0 {
			return wait
		}
		if why, ok := a.inWindow(op); !ok {
			a.putBack(op, why)
			return 0
		}
		if blockers := a.doorBlockers(); len(blockers) > 0 && !op.Force {
			if op.Deferred { // nobody waits for it now
				a.putBack(op, strings.Join(blockers, ", "))
				return 0
			}
			return a.waitForDoor(op, blockers)
		}
		return a.ask(ctx, op)
	default:
		return a.stepAsked(ctx, op)
	}
}

// enter records the next phase and gives the operation as it is then. It is
// false if somebody changed the operation meanwhile, and if the phase cannot
// be recorded: the operation has failed then, before its act.
func (a *Agent) enter(op ledger.Operation, phase ledger.Phase) (ledger.Operation, bool) {
	next := op
	next.Phase, next.BootID, next.Uptime, next.BlockedBy = phase, a.Boot.ID, a.Machine.Uptime(), ""
	if op.Phase == ledger.PhaseScheduled {
		next.StartedAt, next.StartUptime = a.trustedNow(), 0
	}
	a.changing.lock()
	if !a.isCurrent(op) {
		a.changing.unlock()
		return op, false
	}
	err := a.updateChanging(func(o *ledger.Operations) {
		setPending(o, next)
		if phase == ledger.PhaseAsked {
			a.countAttempt(o)
		}
	})
	a.changing.unlock()
	if err != nil {
		a.fail(op, err.Error(), false)
		return op, false
	}
	return next, true
}

// isCurrent tells whether the operation is still what the copy says. The
// caller holds changing.
func (a *Agent) isCurrent(op ledger.Operation) bool { return slices.Contains(a.ops.Pending, op) }

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
	asked, ok := a.enter(op, ledger.PhaseAsked)
	if !ok {
		return 0
	}
	a.log.Info("asking the machine to reboot", "operationId", op.ID)
	bounded, cancel := context.WithTimeout(ctx, rebootCall)
	defer cancel()
	err := a.Machine.Reboot(bounded)
	switch {
	case err == nil:
	case bounded.Err() != nil || a.goingDown(ctx):
		// No refusal: the request may have been heard, and the end of this
		// process may be the first sign of it. The guard time decides.
		a.log.Warn("the machine did not say that it reboots", "operationId", op.ID, "error", err)
	default:
		a.fail(asked, "the machine refused to reboot: "+err.Error(), false)
	}
	return 0
}

// stepAsked watches a machine that was asked. It is never asked again.
func (a *Agent) stepAsked(ctx context.Context, op ledger.Operation) time.Duration {
	waited := a.Machine.Uptime() - op.Uptime
	if waited < guardTime {
		return guardTime - waited
	}
	if a.goingDown(ctx) {
		return recheck
	}
	if ctx.Err() != nil { // nobody may have said
		return never
	}
	a.fail(op, fmt.Sprintf("the machine was asked to reboot and was still up %s later", guardTime), true)
	return 0
}
