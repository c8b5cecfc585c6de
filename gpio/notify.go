package gpio

import (
	"context"
	"sync"
)

// maxWaitingChanges bounds what a slow listener may leave waiting: several hours
// of a busy door. Beyond it the oldest events are dropped and counted.
const maxWaitingChanges = 1024

// notifier hands changes to the listener in order, from a goroutine of its own,
// so that a listener that blocks holds up nobody else.
type notifier struct {
	listener func(Change)
	wake     chan struct{}

	mu      sync.Mutex
	waiting []Change // guarded by mu
	missed  int      // guarded by mu
}

func newNotifier(listener func(Change)) *notifier {
	return &notifier{listener: listener, wake: make(chan struct{}, 1)}
}

// put never blocks.
func (n *notifier) put(c Change) {
	if n.listener == nil {
		return
	}
	n.mu.Lock()
	if len(n.waiting) == maxWaitingChanges {
		n.missed += len(n.waiting[0].Events)
		n.waiting = append(n.waiting[:0], n.waiting[1:]...)
	}
	n.waiting = append(n.waiting, c)
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default: // it is awake already
	}
}

func (n *notifier) take() (Change, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.waiting) == 0 {
		return Change{}, false
	}
	c := n.waiting[0]
	n.waiting = n.waiting[1:]
	c.Missed, n.missed = n.missed, 0
	return c, true
}

// run delivers until ctx ends, and then what is still waiting.
func (n *notifier) run(ctx context.Context) {
	for {
		for c, ok := n.take(); ok; c, ok = n.take() {
			n.listener(c)
		}
		select {
		case <-n.wake:
		case <-ctx.Done():
			for c, ok := n.take(); ok; c, ok = n.take() {
				n.listener(c)
			}
			return
		}
	}
}
