package device

import (
	"context"
	"log/slog"
	"sync"

	"latchd/iothub"
)

// news brings the handler what happened, one call at a time, without holding
// up the session. What a slow handler has not seen is replaced by what came
// later; only the last break of a connection is kept, so it never grows.
type news struct {
	log     *slog.Logger
	handler Handler
	wake    chan struct{} // receives when there is something to tell

	mu          sync.Mutex // guards the fields below
	state       string     // "up", or the gist of why it is down; "" at the start
	connections []connectionChange
	held        map[string]any // nil: nothing new
	section     *iothub.Section
	told        *iothub.Section // the last desired section that was told, or is section
}

type connectionChange struct {
	up  bool
	why error
}

func newNews(h Handler, log *slog.Logger) *news {
	return &news{log: log, handler: h, wake: make(chan struct{}, 1)}
}

// connection notes whether the device is connected, and tells whether that is
// a change. Another reason for being down is one.
func (n *news) connection(up bool, why error) bool {
	state := "up"
	if !up {
		state = "down: " + gist(why)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.state == state {
		return false
	}
	n.state = state
	change := connectionChange{up, why}
	if last := len(n.connections) - 1; last >= 0 && n.connections[last].up == up {
		n.connections[last] = change
	} else if last >= 1 {
		// Up and down again, or down and up again, before the handler came to
		// it: the older two tell nothing more.
		n.connections = []connectionChange{change}
	} else {
		n.connections = append(n.connections, change)
	}
	n.poke()
	return true
}

// reported notes what the hub holds.
func (n *news) reported(held map[string]any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.held = held
	if n.held == nil {
		n.held = map[string]any{}
	}
	n.poke()
}

// desired notes the desired section, unless it is the one that was told.
func (n *news) desired(section iothub.Section) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.told != nil && n.told.Version == section.Version && iothub.Equal(n.told.Properties, section.Properties) {
		return
	}
	n.told = &section
	n.section = &section
	n.poke()
}

// poke wakes tell. The caller holds mu.
func (n *news) poke() {
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// tell calls the handler until ctx ends.
func (n *news) tell(ctx context.Context) {
	for ctx.Err() == nil {
		if call := n.take(); call != nil {
			guard(n.log, "a notification", call)
			continue
		}
		select {
		case <-n.wake:
		case <-ctx.Done():
		}
	}
}

// take gives the next call of the handler, or nil: the connection first, then
// what the hub holds, then what it wants.
func (n *news) take() func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	h := n.handler
	if len(n.connections) > 0 {
		change := n.connections[0]
		n.connections = n.connections[1:]
		if h.Connection != nil {
			return func() { h.Connection(change.up, change.why) }
		}
	}
	if held := n.held; held != nil {
		n.held = nil
		if h.Reported != nil {
			return func() { h.Reported(held) }
		}
	}
	if section := n.section; section != nil {
		n.section = nil
		if h.Desired != nil {
			return func() { h.Desired(*section) }
		}
	}
	return nil
}
