package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// rig is a simulated machine: directories, clocks that run on the fake time of a
// synctest bubble, and a lock that can be crashed and restarted.
type rig struct {
	t       *testing.T
	cfg     Config
	lock    *Lock
	sim     string // the simulated hardware, in the runtime directory
	contact *SimulatedInput
	button  *SimulatedInput

	booted  time.Time // by the fake clock
	boots   int
	trusted bool          // the wall clock is
	skew    time.Duration // of the wall clock

	mu      sync.Mutex
	changes []Change // guarded by mu
}

// play runs a test with a rig in a bubble of fake time, and closes what it opened.
func play(t *testing.T, test func(*rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, trusted: true, booted: time.Now().Add(-time.Minute), boots: 1}
		r.sim = filepath.Join(dir, "run", "sim")
		r.cfg = Config{
			RuntimeDir: filepath.Join(dir, "run"),
			StateDir:   filepath.Join(dir, "state"),
			BootTime:   func() time.Duration { return time.Since(r.booted) },
			Wall:       func() (time.Time, bool) { return time.Now().Add(r.skew), r.trusted },
			OnChange: func(c Change) {
				r.mu.Lock()
				defer r.mu.Unlock()
				r.changes = append(r.changes, c)
			},
		}
		r.cfg.Line = SimulatedLine(r.sim, r.cfg.BootTime)
		defer func() {
			if r.lock != nil {
				r.crash()
			}
		}()
		test(r)
	})
}

// withInputs fits a contact and a button. They are polled, so long stretches of
// fake time take real time.
func (r *rig) withInputs() {
	r.contact, r.button = SimulatedContact(r.sim), SimulatedButton(r.sim)
	r.cfg.Contact, r.cfg.Button = r.contact, r.button
	r.must(os.MkdirAll(r.sim, 0o700))
}

func (r *rig) open() *Lock {
	r.t.Helper()
	r.cfg.BootID = fmt.Sprintf("boot-%d", r.boots)
	l, err := Open(r.cfg)
	r.must(err)
	r.lock = l
	synctest.Wait()
	return l
}

// crash ends the process as kill -9 does: nothing is put in order, the hardware
// and the files stay as they are.
func (r *rig) crash() {
	r.t.Helper()
	synctest.Wait() // what was begun is written
	r.lock.kill()
	r.lock = nil
}

// kill stops the goroutines, as the end of a process does.
func (l *Lock) kill() {
	_, _ = l.do(func(*driver) error { return nil }, true)
	l.cancel()
	l.running.Wait()
}

// reboot takes the time down, and loses what a boot loses.
func (r *rig) reboot(down time.Duration) {
	r.t.Helper()
	r.must(os.RemoveAll(r.cfg.RuntimeDir))
	time.Sleep(down)
	r.boots++
	r.booted = time.Now().Add(-10 * time.Second)
}

// pass lets fake time go by, and everything settle.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) is(state State, mode Mode) Status {
	r.t.Helper()
	s := r.lock.Status()
	if s.State != state || s.Mode != mode {
		r.t.Errorf("%s, %s; want %s, %s", s.State, s.Mode, state, mode)
	}
	return s
}

// edges checks how many edges the line made since the last boot.
func (r *rig) edges(want int) []Edge {
	r.t.Helper()
	all, err := Edges(r.sim)
	r.must(err)
	var edges []Edge
	for _, e := range all {
		if !e.Requested {
			edges = append(edges, e)
		}
	}
	if len(edges) != want {
		r.t.Errorf("%d edges, want %d: %v", len(edges), want, all)
	}
	return edges
}

func (r *rig) unlock(d time.Duration) Status {
	r.t.Helper()
	s, err := r.lock.UnlockDoor(&d, false)
	r.must(err)
	return s
}

func (r *rig) lockFor(d time.Duration) Status {
	r.t.Helper()
	s, err := r.lock.LockDoor(&d)
	r.must(err)
	return s
}

func (r *rig) press() {
	r.t.Helper()
	r.must(r.button.Set(Active))
	r.pass(200 * time.Millisecond)
	r.must(r.button.Set(Inactive))
	r.pass(200 * time.Millisecond)
}

func (r *rig) events() []EventName {
	r.mu.Lock()
	defer r.mu.Unlock()
	var names []EventName
	for _, c := range r.changes {
		for _, e := range c.Events {
			names = append(names, e.Name)
		}
	}
	return names
}

func (r *rig) statePath() string   { return statePath(r.cfg.StateDir) }
func (r *rig) runtimePath() string { return runtimePath(r.cfg.RuntimeDir) }

// fileInfo identifies one version of a file.
func (r *rig) fileInfo(path string) os.FileInfo {
	r.t.Helper()
	info, err := os.Stat(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	r.must(err)
	return info
}

func (r *rig) sameFile(a, b os.FileInfo) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime())
}

// brokenLine is a line whose Set can be made to fail or to hang.
type brokenLine struct {
	Line
	err   atomic.Pointer[error]
	tried atomic.Int64
}

func (l *brokenLine) Set(level Level) error {
	l.tried.Add(1)
	if err := l.err.Load(); err != nil {
		return *err
	}
	return l.Line.Set(level)
}

func (l *brokenLine) fail(err error) {
	if err == nil {
		l.err.Store(nil)
		return
	}
	l.err.Store(&err)
}

// breakable puts a brokenLine before the simulated one.
func (r *rig) breakable() *brokenLine {
	b := &brokenLine{}
	open := r.cfg.Line
	r.cfg.Line = func(initial Level) (line Line, err error) {
		b.Line, err = open(initial)
		return b, err
	}
	return b
}

func ctxFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
