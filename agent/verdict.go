package agent

import (
	"fmt"
	"slices"
	"time"

	"latchd/agent/ledger"
)

// States of a receipt.
const (
	stateStarted   = "started"
	stateCompleted = "completed"
	stateFailed    = "failed"
	stateExpired   = "expired"
	stateCancelled = "cancelled"
)

// Causes of a boot that this package decides; others come from the machine.
const (
	causeExternal = "external"
	causeUnknown  = "unknown"
)

// judge compares what the last run left behind with the present boot and says
// what is true now. The only proof of a reboot is another boot id; the only
// proof that it was the one asked for is the mark of an orderly shutdown. It
// is pure; notes are lines for the log.
func judge(o ledger.Operations, boot Boot, uptime time.Duration) (after ledger.Operations, notes []string) {
	o = o.Clone()
	if o.Boot.ID == boot.ID {
		return judgeSameBoot(o, boot, uptime)
	}
	previous, mark := o.Boot.ID, o.Mark
	if mark != nil && mark.BootID != previous {
		mark = nil
	}
	o.Boot, o.Mark = ledger.Boot{ID: boot.ID}, nil
	if previous == "" {
		return o, []string{"first start on this device"}
	}
	started := takeStarted(&o)
	for i := range o.Pending {
		o.Pending[i] = carryOver(o.Pending[i], boot, uptime)
	}
	r := ledger.StoredReceipt{Receipt: ledger.Receipt{
		State: stateCompleted, BootID: boot.ID, PreviousBootID: previous,
	}}
	r.Cause, r.Orderly = whyBooted(boot, mark, started)
	if mark != nil {
		r.DownAt = ledger.Time{Time: mark.At}
	}
	switch {
	case started != nil:
		r.Receipt = fill(r.Receipt, *started)
		addReceipt(&o, r)
	case mark != nil && correct(&o, mark.OperationID, r):
		notes = append(notes, "the reboot that had failed to come in time came after all")
	default:
		addReceipt(&o, r)
	}
	return o, append(notes, fmt.Sprintf("the machine rebooted: cause %s, orderly %t", r.Cause, *r.Orderly))
}

// carryOver takes a scheduled operation into another boot. Its time is the wall
// clock's from now on. Where no wall clock knew its time, its delay begins
// anew: later than asked for, but never earlier.
func carryOver(op ledger.Operation, boot Boot, uptime time.Duration) ledger.Operation {
	delay := max(op.StartUptime-op.Uptime, 0)
	op.StartUptime, op.EndUptime, op.Uptime = 0, 0, 0
	if op.Earliest.IsZero() {
		op.BootID, op.Uptime, op.StartUptime, op.EndUptime = boot.ID, uptime, uptime+delay, uptime+expiry
	}
	return op
}

// whyBooted tells apart a reboot that was asked for, one that somebody else
// ordered, and one that nobody did.
func whyBooted(boot Boot, mark *ledger.Mark, started *ledger.Operation) (cause string, orderly *bool) {
	yes, no := true, false
	switch {
	case mark == nil && boot.Cause == "":
		return causeUnknown, &no
	case mark == nil:
		return boot.Cause, &no
	case started != nil && mark.OperationID == started.ID:
		return started.Kind, &yes
	}
	return causeExternal, &yes
}

// takeStarted takes the operation that had started off the pending ones.
func takeStarted(o *ledger.Operations) *ledger.Operation {
	for i, op := range o.Pending {
		if op.Phase != ledger.PhaseScheduled {
			o.Pending = append(o.Pending[:i], o.Pending[i+1:]...)
			return &op
		}
	}
	return nil
}

// correct turns the verdict "failed, still up" of an operation into what the
// boot has proved since.
func correct(o *ledger.Operations, operationID string, boot ledger.StoredReceipt) bool {
	for i, r := range o.Receipts {
		if operationID == "" || r.OperationID != operationID || !r.StillUp {
			continue
		}
		was := r.Receipt
		was.State, was.Error = stateCompleted, ""
		was.Cause, was.Orderly = kindReboot, boot.Orderly
		was.BootID, was.PreviousBootID = boot.BootID, boot.PreviousBootID
		o.Receipts = append(append([]ledger.StoredReceipt(nil), o.Receipts[:i]...), o.Receipts[i+1:]...)
		addReceipt(o, ledger.StoredReceipt{Receipt: was, DownAt: boot.DownAt})
		return true
	}
	return false
}

// lateReboot names the operation whose reboot is coming late: the last one, if
// it failed in this boot because the machine had not gone down in time.
func lateReboot(receipts []ledger.StoredReceipt, bootID string) string {
	if len(receipts) == 0 {
		return ""
	}
	if r := receipts[len(receipts)-1]; r.StillUp && r.PreviousBootID == bootID {
		return r.OperationID
	}
	return ""
}

// judgeSameBoot is a restart of the agent (or a soft-reboot, which keeps the
// kernel and its boot id). An operation that was not asked yet is taken up
// once, if it is still young; from asked on the guard time decides.
func judgeSameBoot(o ledger.Operations, boot Boot, uptime time.Duration) (ledger.Operations, []string) {
	var notes []string
	o.Mark = nil
	for _, op := range slices.Clone(o.Pending) {
		if op.Phase != ledger.PhaseAccepted && op.Phase != ledger.PhaseAnswered {
			continue
		}
		if !op.Resumed && uptime-op.Uptime <= guardTime {
			op.Resumed = true
			setPending(&o, op)
			notes = append(notes, "taking up the reboot that the last run had accepted: "+op.ID)
			continue
		}
		end(&o, op, ledger.StoredReceipt{Receipt: ledger.Receipt{
			State: stateFailed, PreviousBootID: boot.ID,
			Error: "the agent was restarted before the machine was asked, and it was too late to go on",
		}})
		notes = append(notes, "giving up the reboot that the last run had accepted: "+op.ID)
	}
	return o, notes
}

// settleClock completes what had to wait for a clock that can be believed: the
// time of this boot, once, from the boot-time clock.
func (a *Agent) settleClock() {
	now := a.trustedNow()
	if now.IsZero() {
		return
	}
	uptime := a.Machine.Uptime()
	a.mu.Lock()
	if a.startedAt.IsZero() {
		a.startedAt = now.Add(a.startedOn - uptime)
	}
	a.mu.Unlock()
	a.changing.lock()
	o := a.ops.Clone()
	if settle(&o, now, uptime) {
		a.keepChanging(func(to *ledger.Operations) { *to = o })
	}
	a.changing.unlock()
	a.tellBootLoop()
}

// settle puts in the times that were not known.
func settle(o *ledger.Operations, now time.Time, uptime time.Duration) (changed bool) {
	if o.Boot.RebootTime.IsZero() {
		o.Boot.RebootTime = now.Add(-uptime).Truncate(time.Millisecond)
		changed = true
	}
	for i := range o.Pending {
		op := &o.Pending[i]
		if op.Phase != ledger.PhaseScheduled {
			continue // the times below do not concern it any more
		}
		if op.ExpiresAt.IsZero() {
			op.ExpiresAt, changed = now.Add(expiry), true
		}
		switch {
		case op.Earliest.IsZero() && op.BootID == o.Boot.ID:
			op.Earliest, changed = now.Add(op.StartUptime-uptime), true
			if !op.Deferred {
				op.NotBefore = op.Earliest
			}
		case op.BootID != o.Boot.ID:
			// From here on the boot-time clock of this boot tells its times, so that
			// no step of the wall clock makes it late, early or void.
			op.BootID, op.Uptime, changed = o.Boot.ID, uptime, true
			op.StartUptime = uptime + max(op.Earliest.Sub(now), 1)
			op.EndUptime = uptime + max(op.ExpiresAt.Sub(now), 1)
		}
	}
	for i := range o.Receipts {
		r := &o.Receipts[i]
		if r.BootID != o.Boot.ID || r.BootedAt != nil {
			continue
		}
		r.BootedAt, r.Delivered, changed = ledger.At(o.Boot.RebootTime), false, true
		if down := o.Boot.RebootTime.Sub(r.DownAt.Time); !r.DownAt.IsZero() && down > 0 {
			seconds := down.Round(100 * time.Millisecond).Seconds()
			r.DownSeconds = &seconds
		}
	}
	return changed
}
