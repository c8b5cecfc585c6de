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
// answers: the outcome, or the end of the time. What may move something asks
// begin right before: a call that was answered before it began never begins,
// so nothing moves after its caller was told that it did not.
type call struct {
	ctx     context.Context // ends with the time for the answer
	cancel  context.CancelFunc
	name    string
	respond func(iothub.MethodResponse)
	inTime  func() bool // no more timeUp: spares each call that is in time a goroutine for it

	mu       sync.Mutex // guards the fields below
	late     answer     // what is answered when the time is up
	answered bool
}

func newCall(ctx context.Context, name string, respond func(iothub.MethodResponse)) *call {
	c := &call{name: name, respond: respond, late: reply(503, "the device was busy, "+name+" was not carried out; try again")}
	c.ctx, c.cancel = context.WithTimeout(ctx, answerWithin)
	c.inTime = context.AfterFunc(c.ctx, c.timeUp)
	return c
}

// run carries the call out, unless it was answered already.
func (c *call) run(act func() answer) {
	defer c.cancel()
	c.mu.Lock()
	tooLate := c.answered
	c.mu.Unlock()
	if !tooLate {
		c.answer(act())
	}
}

// begin tells whether the call may move something now. Once it may, the end
// of the time no longer says that nothing happened.
//
// It looks at the clock too: when the process stood still, the time may be long
// up and the timer that says so not yet run.
func (c *call) begin() bool {
	deadline, _ := c.ctx.Deadline()
	return c.ctx.Err() == nil && time.Now().Before(deadline) && c.ifLate(reply(503, c.name+" is still being carried out; getStatus shows what comes of it").with("state", "pending"))
}

// ifLate sets what is answered when the time is up. It is false if that has
// happened already.
func (c *call) ifLate(ans answer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answered {
		return false
	}
	c.late = ans
	return true
}

func (c *call) timeUp() {
	c.mu.Lock()
	first, late := !c.answered, c.late
	c.answered = true
	c.mu.Unlock()
	if first {
		c.respond(late.response())
	}
}

// answer sends the first answer; for a later one it only tells its sender
// that it did not go out.
func (c *call) answer(ans answer) {
	c.inTime()
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
