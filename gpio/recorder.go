package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"latchd/internal/atomicfile"
	"latchd/internal/backoff"
)

const (
	// recordWait is how long a command waits for its record. Together with what
	// comes before and after it, the answer to a command stays below 4 s.
	recordWait = 2 * time.Second
	// recordRetryCap bounds the pause before a failed write is tried again: soon
	// enough after somebody made space, and seldom enough for a dying card.
	recordRetryCap = time.Minute
)

// writeFile is how a record gets onto a disk; tests make it fail.
type writeFile func(path string, data []byte, perm os.FileMode) error

// recorder keeps one file true to the newest record, from a goroutine of its own:
// a disk that hangs holds up nobody but those who choose to wait for it.
type recorder struct {
	path  string
	write writeFile
	// removeStale deletes the old content when new content could not be written.
	// For a record of the running unlock, none is better than an old one.
	removeStale bool
	// outcome is called, without locks, after a write that failed or that
	// succeeded after a failure.
	outcome func()
	wake    chan struct{}

	mu    sync.Mutex    // guards everything below
	data  []byte        // the newest record
	since time.Time     // when the oldest unwritten record was put
	put   uint64        // records given
	tried uint64        // the newest record whose writing was tried
	err   error         // of that try
	turn  chan struct{} // closed after each try
	aside string        // why the present content must be kept under another name first
}

func newRecorder(path string, write writeFile, removeStale bool, outcome func()) *recorder {
	return &recorder{
		path: path, write: write, removeStale: removeStale, outcome: outcome,
		wake: make(chan struct{}, 1), turn: make(chan struct{}),
	}
}

// keepOld makes the next write set the present content aside first.
func (r *recorder) keepOld(why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aside = why
}

// record gives the newest content. It never blocks.
func (r *recorder) record(data []byte) {
	r.mu.Lock()
	if r.put == r.tried {
		r.since = time.Now()
	}
	r.data = data
	r.put++
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// settled waits until writing the newest record has been tried, and returns how
// that went. It is nil if nothing was ever recorded.
func (r *recorder) settled(ctx context.Context) error {
	r.mu.Lock()
	want := r.put
	for r.tried < want {
		turn := r.turn
		r.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			return fmt.Errorf("write %s: not done yet: %w", r.path, ctx.Err())
		}
		r.mu.Lock()
	}
	defer r.mu.Unlock()
	return r.err
}

// fault says why the newest record is not on disk; nil if it is, or if there was
// no time yet to write it.
func (r *recorder) fault() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.put > r.tried && time.Since(r.since) >= recordWait {
		return fmt.Errorf("write %s: not done after %s", r.path, recordWait)
	}
	return r.err
}

// run writes until ctx ends. A failed write is tried again, at growing intervals.
func (r *recorder) run(ctx context.Context) {
	pause := backoff.Policy{Cap: recordRetryCap}
	for {
		var again <-chan time.Time
		if r.attempt() {
			pause.Reset()
		} else {
			again = time.After(pause.Next())
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-again:
		}
	}
}

// attempt writes the newest record if it is not on disk, and tells whether it is
// now.
func (r *recorder) attempt() bool {
	r.mu.Lock()
	data, number, aside := r.data, r.put, r.aside
	idle := number == r.tried && r.err == nil
	r.mu.Unlock()
	if idle {
		return true
	}
	err := r.replace(data, aside)

	r.mu.Lock()
	changed := err != nil || r.err != nil
	r.tried, r.err = number, err
	if err == nil {
		r.aside = ""
	}
	r.since = time.Now() // a record put meanwhile has waited for less than this try took
	close(r.turn)
	r.turn = make(chan struct{})
	r.mu.Unlock()
	if changed && r.outcome != nil {
		r.outcome()
	}
	return err == nil
}

// writing holds a lock for each file: a recorder that was left behind by a disk that
// hangs must not replace, later, what the next recorder of the same file wrote.
var writing sync.Map // path → *sync.Mutex

func (r *recorder) replace(data []byte, aside string) error {
	turn, _ := writing.LoadOrStore(r.path, new(sync.Mutex))
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	if aside != "" {
		if _, err := atomicfile.SetAside(r.path, aside); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err := r.write(r.path, data, 0o600)
	if err != nil && r.removeStale && aside == "" {
		_ = os.Remove(r.path) // as far as it can be done: Open does not rely on it
	}
	return err
}
