package gpio

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestButtonOpensInEveryMode(t *testing.T) {
	for name, put := range map[string]func(*rig){
		"resting":    func(*rig) {},
		"heldLocked": func(r *rig) { _, err := r.lock.LockDoor(nil); r.must(err) },
		"lockdown":   func(r *rig) { r.lockFor(time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.withInputs()
				r.open()
				put(r)
				mode := r.lock.Status().Mode
				r.must(r.button.Set(Active))
				r.pass(100 * time.Millisecond)
				s := r.lock.Status()
				if want := map[Mode]Mode{ModeResting: ModeMomentary}[mode]; s.State != StateUnlocked || s.Mode != mode && s.Mode != want {
					t.Errorf("%s, %s", s.State, s.Mode)
				}
				if !s.UnlockRunning || !slices.Contains(s.RebootBlockers(), BlockUnlockRunning) {
					t.Error("no unlock runs")
				}
				r.pass(DefaultUnlockTime)
				r.is(StateLocked, mode)
				e := r.edges(2)
				if took := e[1].At - e[0].At; took != DefaultUnlockTime {
					t.Errorf("open for %s", took)
				}
			})
		})
	}
}

func TestButtonNeedsNeitherDiskNorListener(t *testing.T) {
	for _, name := range []string{"failing disk", "hanging disk", "blocked listener", "all commands waiting"} {
		t.Run(name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.withInputs()
				release := make(chan struct{})
				switch name {
				case "failing disk":
					r.cfg.write = func(string, []byte, os.FileMode) error { return errors.New("no space left on device") }
				case "hanging disk", "all commands waiting":
					r.cfg.write = func(string, []byte, os.FileMode) error { <-release; return nil }
				case "blocked listener":
					r.cfg.OnChange = func(Change) { <-release }
				}
				r.open()
				if name == "all commands waiting" {
					for range 10 {
						go func() { d := time.Hour; _, _ = r.lock.LockDoor(&d) }()
					}
					synctest.Wait()
				}
				start := r.cfg.BootTime()
				r.must(r.button.Set(Active))
				r.pass(200 * time.Millisecond)
				e := r.edges(1)
				if took := e[0].At - start; took > 100*time.Millisecond {
					t.Errorf("opened after %s", took)
				}
				r.pass(DefaultUnlockTime)
				r.edges(2)
				close(release)
				r.pass(recordWait)
			})
		})
	}
}

func TestButtonHeldTooLongIsStuck(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		r.open()
		r.must(r.button.Set(Active))
		r.pass(time.Second)
		r.crash() // a restart does not make it a new press
		r.open()
		r.pass(28 * time.Second)
		if a := r.lock.Status().Alarm; a != AlarmNone {
			t.Errorf("alarm %q", a)
		}
		r.pass(2 * time.Second)
		if a := r.lock.Status().Alarm; a != AlarmButtonStuck {
			t.Errorf("alarm %q", a)
		}
		r.edges(2)
		r.must(r.button.Set(Inactive))
		r.pass(time.Second)
		if a := r.lock.Status().Alarm; a != AlarmNone {
			t.Errorf("alarm %q", a)
		}
	})
}

func TestButtonReleasedWhileNobodyWatchedWorksAgain(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		r.open()
		r.must(r.button.Set(Active))
		r.pass(10 * time.Second)
		r.crash()
		r.must(r.button.Set(Inactive))
		r.open()
		r.pass(time.Second)
		r.press()
		r.is(StateUnlocked, ModeMomentary)
		r.edges(3)
	})
}

func TestFaultyButtonIsToldAndIsNoPress(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		r.open()
		r.must(r.button.Set(Active))
		r.pass(10 * time.Second)
		for range 5 { // a loose wire
			r.must(os.WriteFile(r.button.path, []byte("?"), 0o600))
			r.pass(time.Second)
			if s := r.lock.Status(); s.Fault == "" {
				t.Error("no fault is told")
			}
			r.must(r.button.Set(Active))
			r.pass(time.Second)
		}
		if s := r.lock.Status(); s.Fault != "" {
			t.Errorf("fault %q", s.Fault)
		}
		r.edges(2)
	})
}

func TestCloseServesTheButtonToTheLast(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		release := make(chan struct{})
		var slow atomic.Bool
		r.cfg.write = func(string, []byte, os.FileMode) error {
			if slow.Load() {
				<-release
			}
			return nil
		}
		l := r.open()
		slow.Store(true)
		r.unlock(time.Second)
		ctx, cancel := ctxFor(10 * time.Second)
		defer cancel()
		closed := make(chan error)
		go func() { closed <- l.Close(ctx) }()
		r.pass(time.Second)
		r.edges(2)
		r.press()
		r.edges(3)
		close(release)
		r.must(<-closed)
		r.edges(4)
		r.is(StateLocked, ModeResting)
		r.lock = nil
	})
}

func TestContactThroughTheDriver(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		r.must(r.contact.Set(Inactive))
		r.open()
		if s := r.is(StateLocked, ModeResting); s.Contact != ContactClosed || !s.Assumed {
			t.Errorf("at the start: %+v", s)
		}
		r.must(r.contact.Set(Active))
		r.pass(time.Second)
		s := r.lock.Status()
		if s.Contact != ContactOpen || s.Alarm != AlarmForcedOpen || s.Assumed || s.State == StateLocked {
			t.Errorf("forced: %+v", s)
		}
		r.crash()
		r.open()
		if s := r.lock.Status(); s.Alarm != AlarmForcedOpen {
			t.Errorf("a restart lost the alarm: %+v", s)
		}
		r.must(r.contact.Set(Inactive))
		r.pass(time.Second)
		if s := r.is(StateLocked, ModeResting); s.Alarm != AlarmNone {
			t.Errorf("closed: %+v", s)
		}
		r.must(r.contact.Set(Absent))
		r.pass(time.Second)
		if s := r.lock.Status(); s.Contact != ContactNone || s.Fault != "" {
			t.Errorf("taken away: %+v", s)
		}
		r.must(os.WriteFile(r.contact.path, []byte("ajar"), 0o600))
		r.pass(time.Second)
		if s := r.lock.Status(); s.Contact != ContactNone || s.Fault == "" {
			t.Errorf("unreadable: %+v", s)
		}
		// It was shut again before it counted as jammed, so it never stopped being locked.
		want := []EventName{EventOpened, EventForcedOpen, EventClosed}
		if got := r.events(); !slices.Equal(got, want) {
			t.Errorf("events %v", got)
		}
	})
}

func TestDoorForcedWhileNobodyWatchedIsForced(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		r.must(r.contact.Set(Inactive))
		r.open()
		r.crash()
		r.must(r.contact.Set(Active))
		r.open()
		if s := r.lock.Status(); s.Alarm != AlarmForcedOpen {
			t.Errorf("%+v", s)
		}
	})
}

// scripted is an input that follows a script: what it says from which time on.
type scripted struct {
	start time.Time
	says  []says
}

type says struct {
	from   time.Duration
	signal Signal
	err    error
}

func (in *scripted) Read() (Signal, error) {
	last := in.says[0]
	for _, s := range in.says {
		if s.from <= time.Since(in.start) {
			last = s
		}
	}
	return last.signal, last.err
}

// Wait returns at each edge, as a kernel's edge detection does.
func (in *scripted) Wait(ctx context.Context) {
	for _, s := range in.says {
		if wait := s.from - time.Since(in.start); wait > 0 {
			select {
			case <-time.After(wait):
			case <-ctx.Done():
			}
			return
		}
	}
	<-ctx.Done()
}

func TestDebounce(t *testing.T) {
	ms := time.Millisecond
	noise := errors.New("noise")
	for _, row := range []struct {
		name string
		says []says
		want []says // what is accepted, and when
	}{
		{"a clean edge", []says{{0, Inactive, nil}, {100 * ms, Active, nil}}, []says{{150 * ms, Active, nil}}},
		{"a glitch", []says{{0, Inactive, nil}, {100 * ms, Active, nil}, {149 * ms, Inactive, nil}}, nil},
		{"bouncing", []says{{0, Inactive, nil}, {100 * ms, Active, nil}, {110 * ms, Inactive, nil}, {120 * ms, Active, nil}}, []says{{170 * ms, Active, nil}}},
		{"it says so from the start", []says{{0, Active, nil}}, []says{{50 * ms, Active, nil}}},
		{"two edges", []says{{0, Inactive, nil}, {100 * ms, Active, nil}, {200 * ms, Inactive, nil}}, []says{{150 * ms, Active, nil}, {250 * ms, Inactive, nil}}},
		{"an error that passes", []says{{0, Inactive, nil}, {100 * ms, Absent, noise}, {120 * ms, Inactive, nil}}, nil},
		{"an error that stays", []says{{0, Inactive, nil}, {100 * ms, Absent, noise}}, []says{{200 * ms, Absent, noise}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := ctxFor(time.Second)
				defer cancel()
				in := &scripted{start: time.Now(), says: row.says}
				var got []says
				watch(ctx, in, contactDebounce, reading{signal: Inactive}, func(r reading) {
					s := says{from: time.Since(in.start), signal: r.signal}
					if r.fault != "" {
						s.err = noise
					}
					got = append(got, s)
				})
				if !slices.Equal(got, row.want) {
					t.Errorf("accepted %v, want %v", got, row.want)
				}
			})
		})
	}
}
