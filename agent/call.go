package agent

import (
	"context"
	"errors"
	"sync"
	"time"

	"latchd/iothub"
)

// answerWithin is how long after its arrival a method is answered at the
// latest: the contract's 4 s, less the way to the hub.
const answerWithin = 3500 * time.Millisecond

// call is one request on its way to its one answer. Whichever comes first
// answers: the outcome, or the end of the time. A call that was answered
// before it began never begins, so nothing moves late.
type call struct {
	ctx     context.Context
	cancel  context.CancelFunc
	name    string
	respond func(iothub.MethodResponse)

	mu       sync.Mutex // guards the fields below
	begun    bool
	answered bool
}

func newCall(ctx context.Context, name string, respond func(iothub.MethodResponse)) *call {
	c := &call{name: name, respond: respond}
	c.ctx, c.cancel = context.WithTimeout(ctx, answerWithin)
	context.AfterFunc(c.ctx, c.timeUp)
	return c
}

// run carries the call out, unless it was answered already.
func (c *call) run(act func(context.Context) answer) {
	defer c.cancel()
	c.mu.Lock()
	begin := !c.answered
	c.begun = c.begun || begin
	c.mu.Unlock()
	if begin {
		c.answer(act(c.ctx))
	}
}

func (c *call) timeUp() {
	c.mu.Lock()
	begun := c.begun
	c.answered = c.answered || !begun // from here on it may not begin
	done := c.answered && begun
	c.mu.Unlock()
	switch {
	case done:
	case begun:
		c.answer(reply(503, c.name+" is still being carried out").with("state", "pending"))
	default:
		c.respond(reply(503, "the device was busy, "+c.name+" was not carried out").response())
	}
}

// answer sends the first answer; for a later one it only tells its sender
// that it did not go out.
func (c *call) answer(ans answer) {
	c.mu.Lock()
	first := !c.answered
	c.answered = true
	c.mu.Unlock()
	switch {
	case first:
		c.respond(ans.response())
	case ans.sent != nil:
		ans.sent(errors.New("another answer went out in its place"))
	}
}
