package agent

import (
	"context"
	"log/slog"

	"latchd/agent/ledger"
)

func (a *Agent) fail(op ledger.Operation, why string, stillUp bool) {
	a.conclude(op, ledger.StoredReceipt{
		Receipt: ledger.Receipt{State: stateFailed, Error: clip(why), PreviousBootID: a.Boot.ID},
		StillUp: stillUp,
	})
}

func (a *Agent) finishOperation(op ledger.Operation, r ledger.Receipt) {
	a.conclude(op, ledger.StoredReceipt{Receipt: r})
}

// conclude ends an operation, unless somebody changed it meanwhile. An end
// that cannot be written is an end all the same: the operator is told the
// truth, and this process does not go on with it.
func (a *Agent) conclude(op ledger.Operation, r ledger.StoredReceipt) {
	a.changing.lock()
	current := a.isCurrent(op)
	if current {
		a.keepChanging(func(o *ledger.Operations) { end(o, op, r) })
	}
	a.changing.unlock()
	if !current {
		return
	}
	a.tellEnd(op, r)
	level := slog.LevelInfo
	if r.State == stateFailed {
		level = slog.LevelError
	}
	a.log.Log(context.Background(), level, "operation ended", "operationId", op.ID, "state", r.State, "error", r.Error)
	a.report()
}

// markGoingDown leaves the proof of an orderly shutdown when the whole machine
// is going down.
func (a *Agent) markGoingDown() error {
	if !a.goingDown(context.Background()) {
		return nil
	}
	a.log.Info("the machine is going down")
	return a.update(func(o *ledger.Operations) {
		o.Mark = &ledger.Mark{BootID: a.Boot.ID, At: a.trustedNow()}
		for i, op := range o.Pending {
			if op.Phase == ledger.PhaseAsked || op.Phase == ledger.PhaseGoingDown {
				o.Pending[i].Phase = ledger.PhaseGoingDown
				o.Mark.OperationID = op.ID
			}
		}
		if o.Mark.OperationID == "" {
			o.Mark.OperationID = lateReboot(o.Receipts, a.Boot.ID)
		}
	})
}
