package device

import "sync"

// gauge counts what is in flight, and can be shut for what asks first.
type gauge struct {
	zero chan struct{} // receives after the count has fallen to zero

	mu     sync.Mutex // guards the fields below
	n      int
	isShut bool
}

func newGauge() *gauge { return &gauge{zero: make(chan struct{}, 1)} }

// begin counts one more, unless the gauge is shut.
func (g *gauge) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.isShut {
		return false
	}
	g.n++
	return true
}

// enter counts one more, shut or not.
func (g *gauge) enter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
}

// end counts one less.
func (g *gauge) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n--
	if g.n == 0 {
		select {
		case g.zero <- struct{}{}:
		default:
		}
	}
}

func (g *gauge) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.isShut = true
}

func (g *gauge) isZero() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n == 0
}
