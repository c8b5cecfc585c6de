package broker

import (
	"log/slog"
	"sync"
	"time"
)

const (
	// refusalInterval and refusalLines bound what strangers can write into the
	// log: somebody who knocks without end must not fill the disk, nor bury
	// what else the log says.
	refusalInterval = time.Minute
	refusalLines    = 10 // each in full; a site with more devices that fail at once has one trouble, not many
)

// refusals logs the connections that were refused: the first of an interval
// each in a line of its own, the others as a number at the interval's end.
type refusals struct {
	log *slog.Logger

	mu      sync.Mutex  // guards the fields below
	lines   int         // logged in this interval
	more    int         // counted only
	last    error       // of those
	pending *time.Timer // ends the interval; nil before the first refusal of one
}

func (r *refusals) note(remote string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending == nil {
		r.pending = time.AfterFunc(refusalInterval, r.summarize)
	}
	if r.lines < refusalLines {
		r.lines++
		r.log.Warn("device refused", "remote", remote, "err", logText(err.Error()))
		return
	}
	r.more++
	r.last = err
}

// summarize ends the interval.
func (r *refusals) summarize() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pending != nil {
		r.pending.Stop()
		r.pending = nil
	}
	if r.more > 0 {
		r.log.Warn("more devices refused", "connections", r.more, "within", refusalInterval, "last", logText(r.last.Error()))
	}
	r.lines, r.more, r.last = 0, 0, nil
}
