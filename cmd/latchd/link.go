package main

import (
	"sync"
	"time"
)

// link is what is known of the connection to the hub. The zero value has not been
// up yet.
type link struct {
	mu    sync.Mutex // guards the fields below
	up    bool
	why   error     // why it is down; nil: not tried yet, or up
	since time.Time // of the last change; with Go's monotonic reading
	heard func()    // called after a change, without mu; nil: nobody
}

// changed is the client's report.
func (l *link) changed(up bool, why error) {
	l.mu.Lock()
	if l.up != up || l.since.IsZero() {
		l.since = time.Now()
	}
	l.up, l.why = up, why
	heard := l.heard
	l.mu.Unlock()
	if heard != nil {
		heard()
	}
}

// state is whether the hub is connected, for how long that is so, and why not.
func (l *link) state() (up bool, lasts time.Duration, why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.since.IsZero() {
		lasts = time.Since(l.since)
	}
	return l.up, lasts, l.why
}

// onChange says who hears of changes.
func (l *link) onChange(heard func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = heard
}
