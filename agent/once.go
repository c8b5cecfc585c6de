package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchd/agent/ledger"
)

// carryOut is at-most-once: record, act, record the outcome.
func (a *Agent) carryOut(c *call, m method, p *params, cmd command, act action) answer {
	perform := func() answer {
		if refusal, ok := a.tooLate(m, cmd); !ok {
			return refusal
		}
		return act(c.ctx, cmd)
	}
	if cmd.id == "" {
		return perform()
	}
	started, stored, err := a.record(c.ctx, ledger.Command{ID: cmd.id, Method: c.name, Hash: p.hash(), NotAfter: cmd.notAfter})
	var inFlight *ledger.InFlightError
	switch {
	case err == nil && stored != nil:
		return a.replay(stored)
	case err == nil:
		return a.finish(started, c.name, perform)
	case errors.As(err, &inFlight):
		same := reply(503, c.name+" with this commandId is still being carried out").with("state", "pending")
		c.ifLate(same)
		select {
		case <-inFlight.Done:
			return a.carryOut(c, m, p, cmd, act)
		case <-c.ctx.Done():
			return same
		}
	case errors.Is(err, ledger.ErrConflict):
		return reply(409, "commandId "+cmd.id+" was used for another command; choose a new one")
	case errors.Is(err, ledger.ErrInterrupted):
		return a.interrupted(c.name, cmd)
	case m.evenWithout:
		a.log.Warn("carrying out a command that cannot be recorded", "method", c.name, "commandId", cmd.id, "error", err)
		ans := perform()
		if ans.accepted() || ans.acted {
			ans = ans.with("recorded", false)
		}
		return ans
	case errors.Is(err, ledger.ErrFull):
		return reply(503, fmt.Sprintf("the device remembers %d commands of the last 7 days and cannot take a new commandId yet; try again later", ledger.MaxCommands))
	}
	a.log.Warn("refusing a command that cannot be recorded", "method", c.name, "commandId", cmd.id, "error", err)
	return reply(503, "the command cannot be recorded, so it was not carried out; free or repair the device's disk: "+err.Error())
}

// recordWithin is how long a command waits for the disk, each time. An SD card
// that tidies up may take a second; one that takes longer is sick, and must
// hold up neither the answer nor the lock commands behind.
const recordWithin = 1200 * time.Millisecond

// record is ledger.Commands.Begin, bounded. A record that comes later is taken
// back, because its command was refused or acted without it.
func (a *Agent) record(ctx context.Context, cmd ledger.Command) (*ledger.Started, *ledger.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, recordWithin)
	defer cancel()
	type outcome struct {
		started *ledger.Started
		stored  *ledger.Answer
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		now, isTrusted := a.now()
		started, stored, err := a.commands.Begin(ctx, cmd, now, isTrusted)
		done <- outcome{started, stored, err}
	}()
	select {
	case o := <-done:
		if o.err == nil || !errors.Is(o.err, ctx.Err()) {
			return o.started, o.stored, o.err
		}
		done <- o
	case <-ctx.Done():
	}
	go func() {
		if o := <-done; o.started != nil {
			if err := o.started.Drop(); err != nil {
				a.log.Warn("cannot take back the record of a command", "method", cmd.Method, "error", err)
			}
		}
	}()
	return nil, nil, fmt.Errorf("%w: the disk did not take it within %s", ledger.ErrUnwritable, recordWithin)
}

// bounded waits for something to be written, but not longer than recordWithin.
// After that the write goes on by itself.
func bounded(write func() error) error {
	done := make(chan error, 1)
	go func() { done <- write() }()
	timeout := time.NewTimer(recordWithin)
	defer timeout.Stop()
	select {
	case err := <-done:
		return err
	case <-timeout.C:
		return fmt.Errorf("the disk did not take it within %s", recordWithin)
	}
}

// finish carries a recorded command out and records what came of it: an
// accepted command and a failure after acting for good, any other refusal not
// at all. A panic leaves it "interrupted", which is what it is.
func (a *Agent) finish(s *ledger.Started, name string, act func() answer) answer {
	ended := false
	defer func() {
		if !ended {
			_ = bounded(func() error {
				return s.End(reply(500, name+" failed inside the agent").with("state", "interrupted").stored())
			})
		}
	}()
	ans := act()
	ended = true
	err := bounded(func() error {
		if ans.accepted() || ans.acted {
			return s.End(ans.stored())
		}
		return s.Drop()
	})
	if err != nil {
		a.log.Warn("cannot record the outcome of a command", "method", name, "error", err)
	}
	return ans
}

// tooLate judges notAfter. It gives false with the refusal.
func (a *Agent) tooLate(m method, cmd command) (answer, bool) {
	if cmd.notAfter.IsZero() {
		return answer{}, true
	}
	now, isTrusted := a.now()
	if !isTrusted {
		if m.evenWithout {
			return answer{}, true
		}
		return reply(503, "the device's clock is not trusted yet, so it cannot tell whether notAfter has passed"), false
	}
	if now.After(cmd.notAfter) {
		return reply(410, "notAfter has passed: it was "+formatTime(cmd.notAfter)+", the device's time is "+formatTime(now)), false
	}
	return answer{}, true
}

// replay answers a command that was carried out before. One that was deferred
// answers with the operation's present state.
func (a *Agent) replay(stored *ledger.Answer) answer {
	ans := replayed(stored)
	id, ok := ans.payload["operationId"].(string)
	if ok && ans.status == 200 { // it may wait again, see putBack
		a.mu.Lock()
		op := a.pendingLocked(kindReboot)
		a.mu.Unlock()
		if op != nil && op.ID == id && op.Phase == ledger.PhaseScheduled {
			return a.operationAnswer(*op).with("replayed", true)
		}
	}
	if ans.status != 202 {
		return ans
	}
	if ok {
		present, ok := a.operationState(func(op operationRef) bool { return op.id == id })
		if !ok { // so many came after it that its receipt was forgotten
			present = reply(200, "the operation has ended; its receipt is no longer kept").with("operationId", id)
		}
		return present.with("replayed", true)
	}
	return ans
}

// interrupted answers a command that was begun before the agent last stopped
// and whose outcome was not recorded.
func (a *Agent) interrupted(name string, cmd command) answer {
	if present, ok := a.operationState(func(op operationRef) bool { return op.commandID == cmd.id }); ok {
		return present.with("replayed", true)
	}
	return reply(500, name+" was interrupted and its outcome is not known; nothing was moved now").
		with("state", "interrupted").with("door", a.doorDocument())
}
