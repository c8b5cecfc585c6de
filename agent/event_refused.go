package agent

import (
	"sync"
	"time"

	"latchd/iothub"
)

// A caller that repeats a refused command all day, or a wire that comes and goes,
// must neither fill the outbox, which would push out what happened at the door,
// nor use up the hub's quota. So such events have a budget each; those beyond it
// are counted in the next one.
const (
	budgetBurst = 20
	budgetEvery = 10 * time.Second
)

// budget is a bucket that fills by one each budgetEvery. The zero value is full.
type budget struct {
	mu         sync.Mutex // guards the fields below
	used       int
	filled     time.Duration // when used was worked out, by the boot-time clock
	suppressed int
}

// take asks for one event. It gives the number of those that had to be left out
// before it.
func (b *budget) take(now time.Duration) (suppressed int, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if more := int((now - b.filled) / budgetEvery); more > 0 {
		b.used = max(b.used-more, 0)
		b.filled += time.Duration(more) * budgetEvery
	}
	if b.used == budgetBurst {
		b.suppressed++
		return 0, false
	}
	b.used++
	suppressed, b.suppressed = b.suppressed, 0
	return suppressed, true
}

// tellingRefusals is respond for a command that moves something: when it is not
// carried out, an event says so.
func (a *Agent) tellingRefusals(req iothub.MethodRequest, respond func(iothub.MethodResponse)) func(iothub.MethodResponse) {
	return func(r iothub.MethodResponse) {
		respond(r)
		if r.Status >= 400 {
			a.tellRefusal(req, r)
		}
	}
}

func (a *Agent) tellRefusal(req iothub.MethodRequest, r iothub.MethodResponse) {
	answer, err := iothub.DecodeObject(r.Payload)
	if err != nil || answer["replayed"] == true || answer["state"] == "pending" {
		return // the answer of an earlier command, or that of one that goes on
	}
	suppressed, ok := a.refusals.take(a.Machine.Uptime())
	if !ok {
		return
	}
	response, _ := answer["Response"].(string)
	more := map[string]any{"method": req.Name, "status": r.Status, "response": clip(response)}
	if suppressed > 0 {
		more["suppressed"] = suppressed
	}
	e := a.newEvent(eventCommandRefused, more)
	if p, err := decodePayload(req.Payload); err == nil {
		if id := p.commandID(); p.err == nil {
			e.CommandID = id
		}
	}
	a.outbox.Add(e)
}
