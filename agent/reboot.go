package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"latchd/agent/ledger"
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
	r := rebootRequest{delay: a.RebootDelay, reason: p.text("reason", maxReason), force: p.boolean("force")}
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

	a.changing.Lock()
	defer a.changing.Unlock()
	if !cmd.begin() {
		return notBegun()
	}
	if op := a.pendingLocked(kindReboot); op != nil {
		return a.joinChanging(*op, r)
	}
	if forbidden != nil {
		return reply(503, "this device may not reboot itself: "+forbidden.Error())
	}
	deferred := r.delay > promptly // the door's state counts when it starts, not now
	if len(blockers) > 0 && !deferred {
		if !r.force {
			return reply(409, "the door forbids a reboot now; force overrides it").with("blockers", blockers)
		}
		a.log.Warn("rebooting although the door forbids it", "blockers", blockers, "commandId", cmd.id)
	}
	op := a.newReboot(r, cmd)
	sent := a.awaitAnswer(op.ID) // before the operations loop can see it
	if err := a.updateChanging(func(o *ledger.Operations) { o.Pending = append(o.Pending, op) }); err != nil {
		a.forgetAnswer(op.ID)
		return reply(503, "the reboot cannot be recorded, so it was not begun; free or repair the device's disk: "+err.Error())
	}
	a.log.Info("reboot accepted", "operationId", op.ID, "commandId", op.CommandID, "delay", r.delay, "reason", r.reason)
	ans := a.operationAnswer(op)
	ans.payload["Response"] = "rebootDevice called successfully"
	if deferred {
		a.forgetAnswer(op.ID) // it has long been sent when the operation starts
	} else {
		ans.sent = sent
	}
	a.operationsChanged()
	return ans
}

func (a *Agent) newReboot(r rebootRequest, cmd command) ledger.Operation {
	now := a.trustedNow()
	op := ledger.Operation{
		ID: newOperationID(), Kind: kindReboot, CommandID: cmd.id,
		Reason: r.reason, Force: r.force, NotAfter: cmd.notAfter,
		Phase: ledger.PhaseAccepted, BootID: a.Boot.ID, Uptime: a.Machine.Uptime(),
		RequestedAt: now,
	}
	op.StartUptime = op.Uptime + r.delay
	if !now.IsZero() {
		op.NotBefore = now.Add(r.delay)
		op.ExpiresAt = now.Add(expiry)
	}
	if r.delay > promptly {
		op.Phase = ledger.PhaseScheduled
	} else {
		op.StartedAt = now
	}
	return op
}

// joinChanging answers while a reboot is pending already: one that has started
// is not to be joined, one that waits is; force makes it go now.
func (a *Agent) joinChanging(op ledger.Operation, r rebootRequest) answer {
	if op.Phase != ledger.PhaseScheduled {
		return reply(409, "a reboot has started already").with("operationId", op.ID).with("state", "started")
	}
	if r.force {
		op.Force, op.BlockedBy = true, ""
		op.StartUptime = a.Machine.Uptime() + r.delay
		op.BootID, op.Uptime = a.Boot.ID, a.Machine.Uptime()
		if now := a.trustedNow(); !now.IsZero() {
			op.NotBefore = now.Add(r.delay)
		}
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
	var blockers []string
	if err := a.askCanReboot(ctx); err != nil {
		blockers = append(blockers, err.Error())
	}
	if !r.force {
		blockers = append(blockers, a.doorBlockers()...)
	}
	a.mu.Lock()
	op := a.pendingLocked(kindReboot)
	a.mu.Unlock()
	ans := reply(200, "this was a dry run, nothing was done")
	if op != nil && op.Phase != ledger.PhaseScheduled {
		blockers = append(blockers, "a reboot has started already")
	}
	if now := a.trustedNow(); !now.IsZero() {
		ans = ans.with("notBefore", formatTime(now.Add(r.delay)))
	}
	if blockers == nil {
		blockers = []string{}
	}
	return ans.with("wouldRun", len(blockers) == 0).with("blockers", blockers)
}

func parseCancelOperation(a *Agent, p *params) action {
	const longest = 64
	id := p.text("operationId", longest)
	if id == "" && p.err == nil {
		p.fail("operationId", "is missing; pendingOperations in the twin names it")
	}
	return func(_ context.Context, cmd command) answer { return a.cancelOperation(id, cmd) }
}

// cancelOperation withdraws an operation that has not started. Cancelling it
// again is no error: the operator gets what he wanted.
func (a *Agent) cancelOperation(id string, cmd command) answer {
	a.changing.Lock()
	defer a.changing.Unlock()
	if !cmd.begin() {
		return notBegun()
	}
	for _, op := range a.ops.Pending {
		if op.ID != id {
			continue
		}
		if op.Phase != ledger.PhaseScheduled {
			return reply(409, "the operation has started and cannot be cancelled").with("operationId", id)
		}
		receipt := ledger.StoredReceipt{Receipt: ledger.Receipt{State: stateCancelled}}
		if err := a.updateChanging(func(o *ledger.Operations) { end(o, op, receipt) }); err != nil {
			return reply(503, "the cancellation cannot be recorded, so the operation stays: "+err.Error())
		}
		a.log.Info("operation cancelled", "operationId", id)
		a.operationsChanged()
		return reply(200, "operation cancelled").with("operationId", id).with("state", stateCancelled)
	}
	for _, r := range a.ops.Receipts {
		if r.OperationID == id && r.State == stateCancelled {
			return reply(200, "operation cancelled").with("operationId", id).with("state", stateCancelled)
		}
	}
	return reply(404, "no pending operation has this id").with("operationId", id)
}

func newOperationID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	return "op-" + hex.EncodeToString(b[:])
}

// operationRef is what an operation, pending or ended, can be found by.
type operationRef struct{ id, commandID string }

// operationState answers with the present state of an operation.
func (a *Agent) operationState(is func(operationRef) bool) (answer, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, op := range a.ops.Pending {
		if is(operationRef{op.ID, op.CommandID}) {
			return a.operationAnswer(op), true
		}
	}
	for i := len(a.ops.Receipts) - 1; i >= 0; i-- {
		r := a.ops.Receipts[i].Receipt
		if r.OperationID != "" && is(operationRef{r.OperationID, r.CommandID}) {
			return reply(200, "the operation has ended: "+r.State).with("operationId", r.OperationID).with("state", r.State), true
		}
	}
	return answer{}, false
}

// operationAnswer is the answer about an operation that has not ended.
func (a *Agent) operationAnswer(op ledger.Operation) answer {
	if op.Phase != ledger.PhaseScheduled {
		return reply(200, "the device is about to reboot").with("state", "rebooting").with("operationId", op.ID)
	}
	ans := reply(202, "the reboot is scheduled").with("state", "scheduled").with("operationId", op.ID)
	if !op.NotBefore.IsZero() {
		ans = ans.with("notBefore", formatTime(op.NotBefore))
	}
	if op.BlockedBy != "" {
		ans = ans.with("blockedBy", op.BlockedBy)
	}
	return ans
}

// pendingLocked gives the pending operation of a kind. The caller holds mu or
// changing.
func (a *Agent) pendingLocked(kind string) *ledger.Operation {
	for _, op := range a.ops.Pending {
		if op.Kind == kind {
			return &op
		}
	}
	return nil
}

// awaitAnswer gives the function that is told when the answer to the
// operation's request went out.
func (a *Agent) awaitAnswer(id string) func(error) {
	out := make(chan struct{})
	a.mu.Lock()
	a.answers[id] = out
	a.mu.Unlock()
	return func(err error) {
		if err != nil {
			a.log.Warn("the answer to a reboot request did not reach the hub", "operationId", id, "error", err)
		}
		close(out)
	}
}

func (a *Agent) forgetAnswer(id string) {
	a.mu.Lock()
	delete(a.answers, id)
	a.mu.Unlock()
}

// operationsChanged makes a change known. It may be called with changing held.
func (a *Agent) operationsChanged() {
	poke(a.wake)
	go a.report()
}

func setPending(o *ledger.Operations, op ledger.Operation) {
	for i := range o.Pending {
		if o.Pending[i].ID == op.ID {
			o.Pending[i] = op
		}
	}
}

// end takes an operation off the pending ones and adds its receipt.
func end(o *ledger.Operations, op ledger.Operation, r ledger.StoredReceipt) {
	for i := range o.Pending {
		if o.Pending[i].ID == op.ID {
			o.Pending = append(o.Pending[:i], o.Pending[i+1:]...)
			break
		}
	}
	r.Receipt = fill(r.Receipt, op)
	addReceipt(o, r)
}

// fill completes a receipt with what the operation knows.
func fill(r ledger.Receipt, op ledger.Operation) ledger.Receipt {
	r.OperationID, r.CommandID, r.Reason = op.ID, op.CommandID, op.Reason
	r.RequestedAt, r.StartedAt = ledger.At(op.RequestedAt), ledger.At(op.StartedAt)
	return r
}

// keptReceipts is how many receipts are kept; getStatus shows the last 8 and
// the others wait for the hub.
const keptReceipts = 16

func addReceipt(o *ledger.Operations, r ledger.StoredReceipt) {
	o.Receipts = append(o.Receipts, r)
	for len(o.Receipts) > keptReceipts {
		// The oldest that nobody waits for goes first; when all wait, the oldest.
		drop := 0
		for i, old := range o.Receipts[:len(o.Receipts)-1] {
			if old.Delivered || old.OperationID == "" {
				drop = i
				break
			}
		}
		o.Receipts = append(o.Receipts[:drop], o.Receipts[drop+1:]...)
	}
}
