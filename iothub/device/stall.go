package device

import (
	"fmt"
	"time"
)

const (
	// pulseEvery is how often a session notes that it is running.
	pulseEvery = time.Second

	// stallLimit is how long a session may not have run before what it finds
	// waiting counts as old: the shortest time that a hub waits for the
	// answer to a direct method (Learn, "Direct methods").
	stallLimit = 5 * time.Second
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
