package agent

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"latchd/agent/ledger"
	"latchd/iothub"
)

// method is one direct method.
type method struct {
	// parse reads the payload's known keys and gives what will carry the
	// command out. Nothing moves in it; errors are in the params.
	parse func(a *Agent, p *params) action
	// moves is set for a command that moves something: it takes commandId and
	// notAfter.
	moves bool
	// door is set for a lock command: one at a time, in order of arrival.
	door bool
	// evenWithout: acts also where its id cannot be recorded or the clock
	// cannot judge notAfter. Only locking is that harmless.
	evenWithout bool
}

// action carries a command out.
type action func(ctx context.Context, cmd command) answer

// command is what an action knows of the request.
type command struct {
	id       string
	notAfter time.Time
}

var methods = map[string]method{
	"lockDoor":        {parse: parseLockDoor, moves: true, door: true, evenWithout: true},
	"unlockDoor":      {parse: parseUnlockDoor, moves: true, door: true},
	"rebootDevice":    {parse: parseRebootDevice, moves: true},
	"cancelOperation": {parse: parseCancelOperation},
	"getStatus":       {parse: parseGetStatus},
}

// Serve answers one direct method by calling respond exactly once. It is
// called in order of arrival and returns without waiting for the answer.
func (a *Agent) Serve(ctx context.Context, req iothub.MethodRequest, respond func(iothub.MethodResponse)) {
	m, known := methods[req.Name]
	if !known {
		respond(reply(404, "Unknown method").response())
		return
	}
	p, err := decodePayload(req.Payload)
	if err != nil {
		respond(reply(400, err.Error()).response())
		return
	}
	act := m.parse(a, p)
	cmd := command{}
	if m.moves {
		cmd.id, cmd.notAfter = p.commandID(), p.time("notAfter")
	}
	if p.has("door") {
		p.fail("door", "is reserved: this device has one door")
	}
	if p.err != nil {
		respond(reply(400, p.err.Error()).response())
		return
	}
	if p.rehearsal {
		cmd = command{}
	}
	c := newCall(ctx, req.Name, respond)
	work := func() {
		c.run(func(ctx context.Context) answer {
			return a.guard(req.Name, func() answer { return a.carryOut(ctx, req.Name, m, p, cmd, act) })
		})
	}
	if m.door {
		a.doorQueue.add(work)
		return
	}
	go work()
}

// guard turns a panic into an answer. The process goes on: a door must not
// stand open because of one request.
func (a *Agent) guard(name string, f func() answer) (ans answer) {
	defer func() {
		if r := recover(); r != nil {
			a.log.Error("a method panicked", "method", name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			ans = reply(500, name+" failed inside the agent; its log says where")
		}
	}()
	return f()
}

// carryOut is at-most-once: record, act, record the outcome.
func (a *Agent) carryOut(ctx context.Context, name string, m method, p *params, cmd command, act action) answer {
	if cmd.id == "" {
		if refusal, ok := a.tooLate(m, cmd); !ok {
			return refusal
		}
		return act(ctx, cmd)
	}
	now, isTrusted := a.now()
	entry := ledger.Command{ID: cmd.id, Method: name, Hash: p.hash(), NotAfter: cmd.notAfter}
	started, stored, err := a.commands.Begin(entry, now, isTrusted)
	var inFlight *ledger.InFlightError
	switch {
	case err == nil && stored != nil:
		return a.replay(stored)
	case errors.As(err, &inFlight):
		select {
		case <-inFlight.Done:
			return a.carryOut(ctx, name, m, p, cmd, act)
		case <-ctx.Done():
			return reply(503, name+" with this commandId is still being carried out").with("state", "pending")
		}
	case errors.Is(err, ledger.ErrConflict):
		return reply(409, "commandId "+cmd.id+" was used for another command; choose a new one")
	case errors.Is(err, ledger.ErrInterrupted):
		return a.interrupted(name, cmd)
	case err != nil && m.evenWithout:
		a.log.Warn("carrying out a command that cannot be recorded", "method", name, "commandId", cmd.id, "error", err)
		if refusal, ok := a.tooLate(m, cmd); !ok {
			return refusal
		}
		return act(ctx, cmd).with("recorded", false)
	case errors.Is(err, ledger.ErrFull):
		return reply(503, fmt.Sprintf("the device remembers %d commands of the last 7 days and cannot take a new commandId yet", ledger.MaxCommands))
	case err != nil:
		a.log.Warn("refusing a command that cannot be recorded", "method", name, "commandId", cmd.id, "error", err)
		return reply(503, "the command cannot be recorded, so it was not carried out: "+err.Error())
	}
	return a.finish(started, name, func() answer {
		if refusal, ok := a.tooLate(m, cmd); !ok {
			return refusal
		}
		return act(ctx, cmd)
	})
}

// finish carries a recorded command out and records what came of it: an
// accepted command and a failure after acting for good, any other refusal not
// at all. A panic leaves it "interrupted", which is what it is.
func (a *Agent) finish(s *ledger.Started, name string, act func() answer) answer {
	ended := false
	defer func() {
		if !ended {
			_ = s.End(reply(500, name+" failed inside the agent").with("state", "interrupted").stored())
		}
	}()
	ans := act()
	ended = true
	var err error
	if ans.accepted() || ans.acted {
		err = s.End(ans.stored())
	} else {
		err = s.Drop()
	}
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
	if ans.status != 202 {
		return ans
	}
	if id, ok := ans.payload["operationId"].(string); ok {
		if present, ok := a.operationState(func(op operationRef) bool { return op.id == id }); ok {
			return present.with("replayed", true)
		}
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
