package agent

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

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
	// changes is set for one that moves nothing and yet is more than a look, or
	// a look that takes its time.
	changes bool
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
	// begin is to be asked right before anything moves, and nothing may move
	// when it is false: the caller was told so already.
	begin func() bool
}

// notBegun is for a command whose time was up before it could begin.
func notBegun() answer {
	return reply(503, "the device was busy, the command was not carried out; try again")
}

var methods = map[string]method{
	"lockDoor":        {parse: parseLockDoor, moves: true, door: true, evenWithout: true},
	"unlockDoor":      {parse: parseUnlockDoor, moves: true, door: true},
	"rebootDevice":    {parse: parseRebootDevice, moves: true},
	"cancelOperation": {parse: parseCancelOperation, changes: true},
	"getStatus":       {parse: parseGetStatus},
	"runDiagnostics":  {parse: parseRunDiagnostics, changes: true},
}

// Serve answers one direct method by calling respond exactly once. It is
// called in order of arrival and waits for nothing: not for the door, the disk
// or the machine.
func (a *Agent) Serve(ctx context.Context, req iothub.MethodRequest, respond func(iothub.MethodResponse)) {
	if methods[req.Name].moves {
		respond = a.tellingRefusals(req, respond)
	}
	var act func(*call) answer
	refusal := a.guard(req.Name, func() (refusal answer) {
		act, refusal = a.prepare(req)
		return refusal
	})
	if act == nil {
		respond(refusal.response())
		return
	}
	c := newCall(ctx, req.Name, respond)
	work := func() {
		c.run(func() answer {
			return a.guard(req.Name, func() answer { return act(c) })
		})
	}
	if !a.start(methods[req.Name], work) {
		c.answer(reply(503, "the device's agent is stopping, "+req.Name+" was not carried out; try again in a minute"))
		c.cancel()
	}
}

// prepare reads a request. It gives what will carry it out, or a refusal.
func (a *Agent) prepare(req iothub.MethodRequest) (func(*call) answer, answer) {
	m, known := methods[req.Name]
	if !known {
		return nil, reply(404, "Unknown method")
	}
	p, err := decodePayload(req.Payload)
	if err != nil {
		return nil, reply(400, err.Error())
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
		return nil, reply(400, p.err.Error())
	}
	if p.rehearsal {
		cmd.id = ""
	}
	return func(c *call) answer {
		cmd.begin = c.begin
		return a.carryOut(c, m, p, cmd, act)
	}, answer{}
}

// start starts the work of a method: a lock command behind those that came
// before it, any other at once. It is false once the agent stops. What only
// looks waits for nothing, so it is done here and now.
func (a *Agent) start(m method, work func()) bool {
	if !m.moves && !m.changes {
		work()
		return true
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopping {
		return false
	}
	a.serving.Add(1)
	counted := func() {
		defer a.serving.Done()
		work()
	}
	if m.door {
		a.doorQueue.add(counted)
	} else {
		go counted()
	}
	return true
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
