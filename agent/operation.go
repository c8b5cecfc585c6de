package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"

	"latchd/agent/ledger"
)

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
	a.changing.lock()
	defer a.changing.unlock()
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
