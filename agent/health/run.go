package health

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// checkWithin bounds one check: long enough for a name server that is asked
	// twice, and well within reportWithin.
	checkWithin = 2500 * time.Millisecond
	// reportWithin bounds a run. The contract gives a method 4 s, the agent keeps
	// half a second of them for the way to the hub, and another half is for a
	// process that has the one slow core to itself only sometimes.
	reportWithin = 3 * time.Second
	// atOnce is how many checks run side by side. Some ten of them wait for the
	// network or D-Bus and may all have to wait to the end; the others read a few
	// files and are over at once.
	atOnce = 12
)

// Checker runs the checks. Its methods may be called from any goroutine.
type Checker struct {
	facts  func() Facts
	checks []Check
	slots  chan struct{} // holds one element per check that runs

	mu      sync.Mutex         // guards running
	running map[string]*flight // by id
}

// flight is a check that is under way. All who ask for it meanwhile get its
// result.
type flight struct {
	done   chan struct{} // closed when result is there
	result Result
}

// New makes a Checker of a machine. facts is called at the start of each run, so
// that what is looked at may change; it waits for nothing.
func New(facts func() Facts) *Checker {
	return &Checker{facts: facts, checks: checks, slots: make(chan struct{}, atOnce), running: map[string]*flight{}}
}

// UnknownError says that there are no such checks.
type UnknownError struct{ IDs []string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("there is no check %s; there are %s", strings.Join(e.IDs, ", "), strings.Join(IDs(), ", "))
}

// Known is nil if there is a check of each id; otherwise it is an *UnknownError.
func Known(ids []string) error {
	var unknown []string
	for _, id := range ids {
		if !slices.Contains(IDs(), id) {
			unknown = append(unknown, plain(id))
		}
	}
	if len(unknown) > 0 {
		return &UnknownError{unknown}
	}
	return nil
}

// Run runs the checks of these ids, or all where there are none, and returns
// when they are over, when 3 s have passed or when ctx ends, whichever is first.
// What is not over by then is pending. The error is an *UnknownError.
func (c *Checker) Run(ctx context.Context, ids []string) (Report, error) {
	if err := Known(ids); err != nil {
		return Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, reportWithin)
	defer cancel()
	facts := c.facts()
	var flights []*flight
	var asked []string
	for _, check := range c.checks {
		if len(ids) == 0 || slices.Contains(ids, check.ID) {
			asked = append(asked, check.ID)
			flights = append(flights, c.start(check, &facts))
		}
	}
	report := Report{Checks: []Result{}}
	for i, f := range flights {
		select {
		case <-f.done:
		case <-ctx.Done():
		}
		select { // the time may be up, and the check over all the same
		case <-f.done:
			report.Checks = append(report.Checks, f.result)
		default:
			report.Pending = append(report.Pending, asked[i])
		}
	}
	return report, nil
}

// start starts a check, or gives the one that is under way.
func (c *Checker) start(check Check, facts *Facts) *flight {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f := c.running[check.ID]; f != nil {
		return f
	}
	f := &flight{done: make(chan struct{})}
	c.running[check.ID] = f
	go func() {
		c.slots <- struct{}{}
		f.result = look(check, facts)
		<-c.slots
		c.mu.Lock()
		delete(c.running, check.ID)
		c.mu.Unlock()
		close(f.done)
	}()
	return f
}

// look carries a check out. One that panics is a fault like another: the process
// holds a door.
func look(check Check, facts *Facts) (r Result) {
	ctx, cancel := context.WithTimeout(context.Background(), checkWithin)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			r = faultCheckPanics.with(check.ID, p).result(check.ID)
		}
	}()
	return check.look(ctx, facts).result(check.ID)
}
