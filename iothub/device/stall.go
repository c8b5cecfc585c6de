package device

import (
	"fmt"
	"time"
)

const (
	// pulseEvery is how often a session notes that it is running.
	pulseEvery = time.Second

	// stallLimit is how long a session may not have run before what it finds
	// waiting counts as old. A hub waits five seconds at least for the answer
	// to a direct method (Learn, "Direct methods"); two of them are for the
	// request's way here, before the process stood still, and for what is to be
	// done between its receipt and its effect.
	stallLimit = 3 * time.Second
)

// pulse tells whether the process stood still: stopped, starved or swapped
// out. Requests that arrived meanwhile look fresh and are not: their callers
// may have given up, and a door must not open then. It belongs to the session's
// loop, so that nothing is received between the stall and its discovery.
type pulse struct{ last time.Time }

// check gives an error when the last beat is too long ago. The session ends
// then, and what waits in it is lost with it.
func (p *pulse) check() error {
	if stood := time.Since(p.last); stood > stallLimit {
		return fmt.Errorf("this process stood still for %v; requests from then are too old", stood.Round(time.Second))
	}
	return nil
}

// beat is check, and notes that all is well.
func (p *pulse) beat() error {
	err := p.check()
	p.last = time.Now()
	return err
}
