package agent

import (
	"latchd/agent/ledger"
	"latchd/iothub"
)

// report tells the hub's client what the reported section shall hold. Each
// key that is the agent's own is in it, nil where there is nothing to say; the
// client sends only what differs from the twin.
func (a *Agent) report() {
	a.reporting.Lock() // the last call wins at the hub, so it must be the newest state
	defer a.reporting.Unlock()
	a.mu.Lock()
	ready, want := a.asked, a.reportedLocked()
	a.mu.Unlock()
	if !ready {
		return // a report that would be corrected at once makes every start a change
	}
	// Outside the lock: the door has one of its own.
	if door := a.doorDocument(); door != nil {
		want["door"] = door
	} else {
		want["door"] = nil
	}
	doc, err := iothub.ToDocument(want)
	if err != nil { // only values of this package's making are in it
		a.log.Error("the reported state cannot be encoded", "error", err)
		return
	}
	a.hub.Report(doc)
}

func (a *Agent) reportedLocked() map[string]any {
	want := map[string]any{
		"rebootTime":        nil,
		"lastReboot":        nil,
		"pendingOperations": nil,
		"clock":             a.clockDocument(),
		"agent":             a.agentDocumentLocked(),
		"deviceInformation": nil,
		"maintenanceStatus": a.maintenanceStatusLocked(),
	}
	if !a.ops.Boot.RebootTime.IsZero() {
		want["rebootTime"] = formatTime(a.ops.Boot.RebootTime)
	}
	if r := a.lastRebootLocked(); r != nil {
		want["lastReboot"] = r
	}
	if pending := a.pendingDocumentLocked(); len(pending) > 0 {
		want["pendingOperations"] = pending
	}
	if len(a.Information) > 0 {
		want["deviceInformation"] = a.Information
	}
	for name, ack := range a.desired.acks {
		want[name] = ack
	}
	return want
}

func (a *Agent) clockDocument() map[string]any {
	state, since := a.Clock.State()
	doc := map[string]any{"state": state}
	if trusted(state) && !since.IsZero() {
		doc["since"] = formatTime(since)
	}
	return doc
}

func (a *Agent) agentDocumentLocked() map[string]any {
	doc := map[string]any{
		"version": a.Version, "bootId": a.Boot.ID,
		"simulated": a.Simulated, "canReboot": a.canReboot,
	}
	if !a.startedAt.IsZero() {
		doc["startedAt"] = formatTime(a.startedAt)
	}
	if a.inBootLoopLocked() {
		doc["bootLoop"] = true
	}
	if a.localNow.Fault != "" {
		doc["fault"] = clip(a.localNow.Fault)
	}
	return doc
}

func (a *Agent) pendingDocumentLocked() map[string]any {
	doc := map[string]any{}
	for _, op := range a.ops.Pending {
		if op.Phase != ledger.PhaseScheduled {
			continue
		}
		one := map[string]any{"kind": op.Kind, "state": string(op.Phase)}
		if !op.NotBefore.IsZero() {
			one["notBefore"] = formatTime(op.NotBefore)
		}
		if !op.NotAfter.IsZero() {
			one["expiresAt"] = formatTime(op.NotAfter)
		} else if !op.ExpiresAt.IsZero() {
			one["expiresAt"] = formatTime(op.ExpiresAt)
		}
		if op.Reason != "" {
			one["reason"] = op.Reason
		}
		if op.BlockedBy != "" {
			one["blockedBy"] = op.BlockedBy
		}
		doc[op.ID] = one
	}
	return doc
}

// lastRebootLocked is the receipt to show: the oldest requested one that the
// hub has not acknowledged, else the operation that has started, else the
// last receipt there is.
func (a *Agent) lastRebootLocked() *ledger.Receipt {
	if i := undelivered(a.ops.Receipts); i >= 0 {
		return &a.ops.Receipts[i].Receipt
	}
	for _, op := range a.ops.Pending {
		if op.Phase != ledger.PhaseScheduled {
			r := fill(ledger.Receipt{State: stateStarted, PreviousBootID: a.Boot.ID}, op)
			return &r
		}
	}
	if n := len(a.ops.Receipts); n > 0 {
		return &a.ops.Receipts[n-1].Receipt
	}
	return nil
}

// undelivered finds the oldest requested receipt that the hub has not
// acknowledged; -1 if there is none.
func undelivered(receipts []ledger.StoredReceipt) int {
	for i, r := range receipts {
		if r.OperationID != "" && !r.Delivered {
			return i
		}
	}
	return -1
}

// Reported hears what the hub holds in the reported section. It is how a
// receipt counts as delivered, and the next one gets its turn.
func (a *Agent) Reported(held map[string]any) {
	if a.delivered(held) {
		a.report()
	}
}

func (a *Agent) delivered(held map[string]any) bool {
	a.changing.lock()
	defer a.changing.unlock()
	i := undelivered(a.ops.Receipts)
	if i < 0 {
		return false
	}
	shown, err := iothub.ToDocument(a.ops.Receipts[i].Receipt)
	if err != nil || !iothub.Equal(held["lastReboot"], shown) {
		return false
	}
	a.keepChanging(func(o *ledger.Operations) { o.Receipts[i].Delivered = true })
	return true
}
