package gpio

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchd/internal/atomicfile"
)

func TestCommandsOutOfRangeDoNothing(t *testing.T) {
	play(t, func(r *rig) {
		l := r.open()
		lock := func(d time.Duration) error { _, err := l.LockDoor(&d); return err }
		unlock := func(d time.Duration) error { _, err := l.UnlockDoor(&d, false); return err }
		for _, row := range []struct {
			name string
			err  error
			want string // the field, or empty if it is accepted
		}{
			{"lockTime below zero", lock(-1), "lockTime"},
			{"lockTime below a second", lock(time.Second - 1), "lockTime"},
			{"lockTime above a day", lock(24*time.Hour + 1), "lockTime"},
			{"unlockTime below zero", unlock(-time.Second), "unlockTime"},
			{"unlockTime zero", unlock(0), "unlockTime"},
			{"unlockTime above the maximum", unlock(DefaultMaxUnlockTime + 1), "unlockTime"},
			{"policy", l.SetPolicy(Policy{Resting: RestLocked, UnlockTime: time.Hour, HeldOpenAfter: time.Second}), "unlockTime"},
			{"policy of zeros", l.SetPolicy(Policy{Resting: RestLocked}), "unlockTime"},
			{"heldOpenAfter", l.SetPolicy(Policy{Resting: RestLocked, UnlockTime: time.Second}), "heldOpenAfter"},
		} {
			var out *RangeError
			if !errors.As(row.err, &out) || out.Name != row.want {
				t.Errorf("%s: %v", row.name, row.err)
			}
		}
		var choice *ChoiceError
		if err := l.SetPolicy(Policy{Resting: "ajar"}); !errors.As(err, &choice) || choice.Name != "resting" {
			t.Errorf("resting: %v", err)
		}
		d := time.Second
		if _, err := l.UnlockDoor(&d, true); !errors.Is(err, ErrTimeAndHold) {
			t.Errorf("both: %v", err)
		}
		r.is(StateLocked, ModeResting)
		r.edges(0)
	})
}

func TestLockdownRefusalTellsUntilWhen(t *testing.T) {
	for _, trusted := range []bool{true, false} {
		play(t, func(r *rig) {
			r.trusted = trusted
			r.open()
			s := r.lockFor(10 * time.Minute)
			r.pass(time.Minute)
			_, err := r.lock.UnlockDoor(nil, false)
			var refused *LockdownError
			if !errors.As(err, &refused) || refused.Until != s.Until || refused.Remaining != 9*time.Minute {
				t.Fatalf("%v, want until %s", err, s.Until)
			}
			if refused.Until.IsZero() == trusted {
				t.Errorf("until %s, clock trusted %t", refused.Until, trusted)
			}
			r.edges(0)
		})
	}
}

func TestTimesInTheStatus(t *testing.T) {
	play(t, func(r *rig) {
		r.trusted = false
		r.open()
		s := r.unlock(time.Minute)
		if !s.Since.IsZero() || !s.Until.IsZero() || s.Remaining != time.Minute {
			t.Errorf("untrusted: %+v", s)
		}
		r.pass(10*time.Second + 123456)
		r.trusted = true
		r.must(r.lock.WallClockChanged())
		s = r.lock.Status()
		now, _ := r.cfg.Wall()
		if got := now.Sub(s.Since).Truncate(time.Millisecond); got != 10*time.Second {
			t.Errorf("since %s ago", got)
		}
		if got := s.Until.Sub(s.Since).Round(time.Millisecond); got != time.Minute {
			t.Errorf("from since to until %s", got)
		}
		for _, at := range []time.Time{s.Since, s.Until} {
			if at.Location() != time.UTC || at.Nanosecond()%1e6 != 0 {
				t.Errorf("%s is not UTC in milliseconds", at)
			}
		}
		r.lock.Status()
		if again := r.lock.Status(); again != s {
			t.Errorf("%+v, then %+v", s, again)
		}
	})
}

func TestListenerHearsEveryChangeInOrder(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		for range 3 {
			r.unlock(time.Second)
			r.pass(2 * time.Second)
		}
		var states []State
		for _, c := range r.changes {
			states = append(states, c.Status.State)
			for _, e := range c.Events {
				if e.Time.IsZero() || e.At == 0 {
					t.Errorf("event without a time: %+v", e)
				}
			}
		}
		want := []State{"locked", "unlocked", "locked", "unlocked", "locked", "unlocked", "locked"}
		if !slices.Equal(states, want) {
			t.Errorf("heard %v", states)
		}
		if e := r.changes[1].Events[0]; e.Name != EventUnlocked || e.Cause != CauseCommand {
			t.Errorf("%+v", e)
		}
		if e := r.changes[2].Events[0]; e.Name != EventLocked || e.Cause != CauseTime {
			t.Errorf("%+v", e)
		}
	})
}

func TestNotifierDropsTheOldestAndCounts(t *testing.T) {
	n := newNotifier(func(Change) {})
	for range maxWaitingChanges + 5 {
		n.put(Change{Events: make([]Event, 2)})
	}
	c, ok := n.take()
	if !ok || c.Missed != 10 {
		t.Errorf("missed %d", c.Missed)
	}
	if c, _ := n.take(); c.Missed != 0 {
		t.Errorf("missed %d again", c.Missed)
	}
}

func TestCommandsRunInOrderOfArrival(t *testing.T) {
	play(t, func(r *rig) {
		// The first command hangs in the line while the others arrive.
		release := make(chan struct{})
		slow := &slowLine{hold: release}
		open := r.cfg.Line
		r.cfg.Line = func(initial Level) (line Line, err error) {
			slow.Line, err = open(initial)
			return slow, err
		}
		r.open()
		var group sync.WaitGroup
		slow.armed.Store(true)
		group.Go(func() { _, _ = r.lock.UnlockDoor(nil, true) })
		synctest.Wait()
		const n = 20
		ends := make([]time.Duration, n)
		for i := range n {
			group.Go(func() {
				d := time.Duration(i+1) * time.Hour
				if i%2 == 0 {
					d = time.Duration(i+1) * time.Minute
				}
				s, err := r.lock.LockDoor(&d)
				ends[i] = s.Remaining
				if err != nil {
					t.Errorf("command %d: %v", i, err)
				}
			})
			synctest.Wait()
		}
		close(release)
		group.Wait()
		if s := r.lock.Status(); s.Remaining != n*time.Hour {
			t.Errorf("the last command was not the last: %s left", s.Remaining)
		}
		for i, end := range ends {
			if want := time.Duration(i+1) * time.Hour; i%2 == 1 && end != want {
				t.Errorf("command %d was answered with %s left", i, end)
			}
		}
	})
}

// slowLine holds up its first Set once armed.
type slowLine struct {
	Line
	armed atomic.Bool
	hold  chan struct{}
}

func (l *slowLine) Set(level Level) error {
	if l.armed.CompareAndSwap(true, false) {
		<-l.hold
	}
	return l.Line.Set(level)
}

func TestHangingLineFailsTheUnlockInTimeAndForGood(t *testing.T) {
	play(t, func(r *rig) {
		slow := &slowLine{hold: make(chan struct{})}
		open := r.cfg.Line
		r.cfg.Line = func(initial Level) (line Line, err error) {
			slow.Line, err = open(initial)
			return slow, err
		}
		r.open()
		slow.armed.Store(true)
		for range 2 { // one hangs in the line, one behind it
			start := time.Now()
			_, err := r.lock.UnlockDoor(nil, true)
			var hardware *HardwareError
			if took := time.Since(start); !errors.As(err, &hardware) || took >= 4*time.Second {
				t.Errorf("%v after %s", err, took)
			}
		}
		close(slow.hold)
		r.pass(time.Second)
		r.is(StateLocked, ModeResting)
	})
}

func TestUnlockThatWaitedTooLongMovesNothing(t *testing.T) {
	play(t, func(r *rig) {
		slow := &slowLine{hold: make(chan struct{})}
		open := r.cfg.Line
		r.cfg.Line = func(initial Level) (line Line, err error) {
			slow.Line, err = open(initial)
			return slow, err
		}
		r.open()
		slow.armed.Store(true)
		var group sync.WaitGroup
		for range 2 { // one in the line, one behind it; both senders have almost given up
			group.Go(func() {
				var hardware *HardwareError
				if _, err := r.lock.UnlockDoor(nil, true); !errors.As(err, &hardware) {
					t.Errorf("error %v", err)
				}
			})
			synctest.Wait()
		}
		r.pass((lineSlow + lineWait) / 2)
		close(slow.hold)
		group.Wait()
		r.is(StateLocked, ModeResting)
		r.edges(2) // of the one that was in the line already
	})
}

func TestFailedUnlockDoesNotHappenLater(t *testing.T) {
	play(t, func(r *rig) {
		line := r.breakable()
		r.open()
		r.lockFor(0) // heldLocked, which must come back too
		line.fail(errors.New("input/output error"))
		_, err := r.lock.UnlockDoor(nil, true)
		var hardware *HardwareError
		if !errors.As(err, &hardware) || err.Error() != "drive the lock's line high to unlock: input/output error" {
			t.Errorf("error %v", err)
		}
		if s := r.is(StateUnknown, ModeHeldLocked); !strings.Contains(s.Fault, "input/output error") {
			t.Errorf("fault %q", s.Fault)
		}
		line.fail(nil)
		r.pass(time.Second)
		if s := r.is(StateLocked, ModeHeldLocked); s.Fault != "" {
			t.Errorf("fault %q", s.Fault)
		}
		r.edges(0)
		if got := r.events(); len(got) != 0 {
			t.Errorf("events %v", got)
		}
	})
}

func TestFailedLockIsTriedUntilItLocks(t *testing.T) {
	play(t, func(r *rig) {
		line := r.breakable()
		r.open()
		r.unlock(time.Minute)
		line.fail(errors.New("input/output error"))
		lockTime := time.Hour // so that there is a deadline besides the retries
		_, err := r.lock.LockDoor(&lockTime)
		var hardware *HardwareError
		if !errors.As(err, &hardware) {
			t.Errorf("error %v", err)
		}
		r.is(StateUnknown, ModeLockdown)
		before := line.tried.Load()
		r.pass(10 * time.Second)
		if tries := line.tried.Load() - before; tries < 30 || tries > 51 {
			t.Errorf("tried %d times in 10 s", tries)
		}
		line.fail(nil)
		r.pass(time.Second)
		r.is(StateLocked, ModeLockdown)
		r.edges(2)
	})
}

func TestPolicyIsInForceThoughTheLineFails(t *testing.T) {
	play(t, func(r *rig) {
		line := r.breakable()
		r.open()
		line.fail(errors.New("input/output error"))
		r.must(r.lock.SetPolicy(Policy{Resting: RestUnlocked}.withDefaults()))
		if s := r.is(StateUnknown, ModeResting); s.Fault == "" {
			t.Error("no fault is told")
		}
		line.fail(nil)
		r.pass(time.Second)
		r.is(StateUnlocked, ModeResting)
	})
}

func TestLineThatCannotBeOpened(t *testing.T) {
	play(t, func(r *rig) {
		busy := errors.New("device or resource busy")
		r.cfg.Line = func(Level) (Line, error) { return nil, busy }
		r.cfg.BootID = "boot"
		_, err := Open(r.cfg)
		var hardware *HardwareError
		if !errors.As(err, &hardware) || !errors.Is(err, busy) {
			t.Errorf("error %v", err)
		}
	})
}

func TestOpenNeedsItsClocksAndDirectories(t *testing.T) {
	good := Config{
		Line: SimulatedLine(t.TempDir(), func() time.Duration { return 0 }), BootID: "b",
		RuntimeDir: t.TempDir(), StateDir: t.TempDir(), BootTime: func() time.Duration { return 0 },
	}
	for name, spoil := range map[string]func(*Config){
		"no line":      func(c *Config) { c.Line = nil },
		"no clock":     func(c *Config) { c.BootTime = nil },
		"no boot id":   func(c *Config) { c.BootID = "" },
		"no state":     func(c *Config) { c.StateDir = "" },
		"one for both": func(c *Config) { c.StateDir = c.RuntimeDir },
		"fail mode":    func(c *Config) { c.Settings.FailMode = "open" },
		"settle time":  func(c *Config) { c.Settings.SettleTime = time.Hour },
		"unlock time":  func(c *Config) { c.Settings.MaxUnlockTime = time.Second },
		"hub policy":   func(c *Config) { c.Settings.Policy.FromHub = true },
	} {
		c := good
		spoil(&c)
		if _, err := Open(c); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestLockActsThoughNothingCanBeRecorded(t *testing.T) {
	for _, hang := range []bool{false, true} {
		play(t, func(r *rig) {
			release := make(chan struct{})
			var broken atomic.Bool
			broken.Store(true)
			r.cfg.write = func(path string, data []byte, perm os.FileMode) error {
				switch {
				case broken.Load() && hang:
					<-release
				case broken.Load():
					return errors.New("read-only file system")
				}
				return atomicfile.WriteFile(path, data, perm)
			}
			r.open()
			r.pass(time.Second)
			start := time.Now()
			s := r.lockFor(time.Hour)
			if took := time.Since(start); s.State != StateLocked || s.Mode != ModeLockdown || s.NotRecorded == "" || took >= 4*time.Second {
				t.Errorf("hang %t: %+v after %s", hang, s, took)
			}
			s = r.lockFor(0)
			_, err := r.lock.UnlockDoor(nil, true)
			r.must(err)
			r.edges(1)
			if s.NotRecorded == "" || r.lock.Status().NotRecorded == "" {
				t.Errorf("hang %t: taken for recorded", hang)
			}
			broken.Store(false)
			close(release)
			r.pass(2 * recordRetryCap)
			if s := r.lock.Status(); s.NotRecorded != "" {
				t.Errorf("hang %t: still not recorded: %s", hang, s.NotRecorded)
			}
			r.crash()
			r.open()
			r.is(StateUnlocked, ModeHeldUnlocked)
		})
	}
}

func TestCloseEndsAnyUnlockAndLocks(t *testing.T) {
	for name, put := range map[string]func(*rig){
		"momentary":        func(r *rig) { r.unlock(time.Minute) },
		"held":             func(r *rig) { _, err := r.lock.UnlockDoor(nil, true); r.must(err) },
		"resting unlocked": func(r *rig) { r.must(r.lock.SetPolicy(Policy{Resting: RestUnlocked}.withDefaults())) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(r *rig) {
				l := r.open()
				put(r)
				ctx, cancel := ctxFor(time.Second)
				defer cancel()
				r.must(l.Close(ctx))
				r.is(StateLocked, ModeResting)
				r.edges(2)
				if _, err := l.LockDoor(nil); !errors.Is(err, ErrClosed) {
					t.Errorf("lock after close: %v", err)
				}
				if _, err := l.UnlockDoor(nil, false); !errors.Is(err, ErrClosed) {
					t.Errorf("unlock after close: %v", err)
				}
				if err := l.SetPolicy((Policy{}).withDefaults()); !errors.Is(err, ErrClosed) {
					t.Errorf("policy after close: %v", err)
				}
				if err := l.Close(ctx); !errors.Is(err, ErrClosed) {
					t.Errorf("second close: %v", err)
				}
				r.lock = nil
				r.open()
				r.is(StateLocked, ModeResting)
				r.edges(2)
			})
		})
	}
}

func TestCloseLocksThoughDiskAndListenerHang(t *testing.T) {
	play(t, func(r *rig) {
		release := make(chan struct{})
		r.cfg.write = func(string, []byte, os.FileMode) error { <-release; return nil }
		r.cfg.OnChange = func(Change) { <-release }
		l := r.open()
		r.unlock(time.Minute)
		ctx, cancel := ctxFor(3 * time.Second)
		defer cancel()
		start := time.Now()
		err := l.Close(ctx)
		if took := time.Since(start); err == nil || took > 4*time.Second {
			t.Errorf("%v after %s", err, took)
		}
		r.is(StateLocked, ModeResting)
		r.edges(2)
		close(release)
		l.running.Wait()
		r.lock = nil
	})
}
