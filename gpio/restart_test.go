package gpio

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchd/internal/atomicfile"
)

func TestRestartInTheSameBootMakesNoEdge(t *testing.T) {
	minute := time.Minute
	for _, row := range []struct {
		name  string
		put   func(*rig)
		state State
		mode  Mode
		edges int
		left  time.Duration
	}{
		{"resting", func(*rig) {}, StateLocked, ModeResting, 0, 0},
		{"momentary", func(r *rig) { r.unlock(minute) }, StateUnlocked, ModeMomentary, 1, 40 * time.Second},
		{"heldUnlocked", func(r *rig) { _, err := r.lock.UnlockDoor(nil, true); r.must(err) }, StateUnlocked, ModeHeldUnlocked, 1, 0},
		{"heldLocked", func(r *rig) { _, err := r.lock.LockDoor(nil); r.must(err) }, StateLocked, ModeHeldLocked, 0, 0},
		{"lockdown", func(r *rig) { r.lockFor(minute) }, StateLocked, ModeLockdown, 0, 40 * time.Second},
	} {
		for _, fail := range []FailMode{FailSecure, FailSafe} {
			for _, how := range []string{"kill", "restart"} {
				t.Run(row.name+"/"+string(fail)+"/"+how, func(t *testing.T) {
					play(t, func(r *rig) {
						r.cfg.Settings.FailMode = fail
						r.open()
						row.put(r)
						before := r.lock.Status()
						if how == "kill" {
							r.crash()
						} else {
							ctx, cancel := ctxFor(time.Second)
							defer cancel()
							r.must(r.lock.Detach(ctx))
						}
						r.pass(20 * time.Second)
						r.open()
						s := r.is(row.state, row.mode)
						if s.Since != before.Since || s.Until != before.Until || s.Remaining != row.left {
							t.Errorf("since %s, until %s, remaining %s; before: %s, %s; want %s left",
								s.Since, s.Until, s.Remaining, before.Since, before.Until, row.left)
						}
						r.edges(row.edges)
						if len(r.lock.Warnings()) > 0 {
							t.Errorf("warnings: %q", r.lock.Warnings())
						}
					})
				})
			}
		}
	}
}

func TestRestartGoesOnFromTheDeadline(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.unlock(10 * time.Second)
		r.crash()
		r.pass(4 * time.Second)
		r.open()
		r.pass(6*time.Second - 1)
		r.is(StateUnlocked, ModeMomentary)
		r.pass(1)
		r.is(StateLocked, ModeResting)
		e := r.edges(2)
		if took := e[1].At - e[0].At; took != 10*time.Second {
			t.Errorf("unlocked for %s", took)
		}
	})
}

func TestRestartAfterTheDeadlineLocksAtOnce(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.unlock(10 * time.Second)
		r.crash()
		r.pass(time.Minute)
		r.changes = nil
		r.open()
		r.is(StateLocked, ModeResting)
		e := r.edges(2)
		if took := e[1].At - e[0].At; took != time.Minute {
			t.Errorf("locked after %s", took)
		}
		if got := r.events(); len(got) != 1 || got[0] != EventLocked {
			t.Errorf("events %v", got)
		}
	})
}

func TestRestartDoesNotUnlockBecauseAFileSaysSo(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		_, err := r.lock.UnlockDoor(nil, true)
		r.must(err)
		stale, err := os.ReadFile(r.runtimePath())
		r.must(err)
		_, err = r.lock.LockDoor(nil)
		r.must(err)
		r.crash()
		r.must(os.WriteFile(r.runtimePath(), stale, 0o600)) // the lock could not be recorded
		r.must(os.Remove(r.statePath()))
		r.open()
		r.is(StateLocked, ModeResting)
		r.edges(2)
	})
}

// The line tells that somebody locked. Neither a policy of before nor the hub's
// confirmation of it opens the door again.
func TestRestartDoesNotOpenADoorThatSomebodyLocked(t *testing.T) {
	open := Policy{Resting: RestUnlocked, UnlockTime: time.Second, HeldOpenAfter: time.Minute, FromHub: true}
	for name, local := range map[string]bool{"the hub's policy": false, "the local policy": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(r *rig) {
				if local {
					r.cfg.Settings.Policy.Resting = RestUnlocked
				}
				r.open()
				r.must(r.lock.SetPolicy(open))
				r.pass(time.Second) // it is recorded
				r.is(StateUnlocked, ModeResting)
				stale, err := os.ReadFile(r.runtimePath())
				r.must(err)
				_, err = r.lock.LockDoor(nil)
				r.must(err)
				r.crash()
				r.must(os.WriteFile(r.runtimePath(), stale, 0o600)) // the lock was not recorded yet
				r.must(os.Remove(r.statePath()))
				edges, err := Edges(r.sim)
				r.must(err)
				r.open()
				r.must(r.lock.SetPolicy(open))
				r.is(StateLocked, ModeHeldLocked)
				if now, err := Edges(r.sim); err != nil || len(now) != len(edges) {
					t.Errorf("the line moved: %v, then %v, %v", edges, now, err)
				}
				r.unlock(time.Second)
				r.is(StateUnlocked, ModeMomentary)
			})
		})
	}
}

// unreadable is a line whose level cannot be read.
type unreadable struct{ Line }

func (unreadable) Level() (Level, error) { return *new(Level), errors.New("input/output error") }

// A line that cannot be read tells nothing about what somebody did.
func TestRestartWithAnUnreadableLineHoldsNothing(t *testing.T) {
	play(t, func(r *rig) {
		r.cfg.Settings.Policy.Resting = RestUnlocked
		r.open()
		r.pass(time.Second)
		r.crash()
		readable := r.cfg.Line
		r.cfg.Line = func(level Level) (Line, error) {
			line, err := readable(level)
			return unreadable{line}, err
		}
		r.open()
		if m := r.lock.Status().Mode; m != ModeResting {
			t.Errorf("the mode is %s, want %s", m, ModeResting)
		}
	})
}

// An ordered stop is no such lock: the door rests unlocked again.
func TestRestartAfterAStopRestsAsBefore(t *testing.T) {
	play(t, func(r *rig) {
		r.cfg.Settings.Policy.Resting = RestUnlocked
		r.open()
		r.must(r.lock.Close(context.Background()))
		r.open()
		r.is(StateUnlocked, ModeResting)
	})
}

func TestRestartTakesTheNewerRecord(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		stale, err := os.ReadFile(r.runtimePath())
		r.must(err)
		r.pass(time.Second)
		r.lockFor(time.Hour)
		r.crash()
		r.must(os.WriteFile(r.runtimePath(), stale, 0o600))
		r.open()
		if s := r.is(StateLocked, ModeLockdown); s.Remaining != time.Hour {
			t.Errorf("%s left", s.Remaining)
		}
	})
}

func TestRestartAfterAnUnrecordedUnlockLocks(t *testing.T) {
	play(t, func(r *rig) {
		full := errors.New("no space left on device")
		var failing atomic.Bool
		r.cfg.write = func(path string, data []byte, perm os.FileMode) error {
			if failing.Load() {
				return full
			}
			return atomicfile.WriteFile(path, data, perm)
		}
		r.open()
		failing.Store(true)
		s := r.unlock(time.Minute)
		if s.State != StateUnlocked || !strings.Contains(s.NotRecorded, full.Error()) {
			t.Errorf("%s, not recorded: %q", s.State, s.NotRecorded)
		}
		if _, err := os.Stat(r.runtimePath()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the old record is still there: %v", err)
		}
		r.crash()
		r.changes = nil
		r.open()
		r.is(StateLocked, ModeResting)
		if got := r.events(); !slices.Equal(got, []EventName{EventLocked}) {
			t.Errorf("events %v", got)
		}
	})
}

func TestRestartWithAShorterMaximumShortensTheUnlock(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.unlock(4 * time.Minute)
		r.crash()
		r.cfg.Settings.MaxUnlockTime = time.Minute
		r.open()
		if s := r.is(StateUnlocked, ModeMomentary); s.Remaining != time.Minute {
			t.Errorf("%s left", s.Remaining)
		}
	})
}

func TestRecordFromTheFutureIsNotBelieved(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.unlock(time.Minute)
		r.crash()
		r.booted = r.booted.Add(30 * time.Second) // the same boot id, and yet earlier
		r.open()
		r.is(StateLocked, ModeResting)
	})
}

// A record that Open could not move must not be written over either.
func TestRecorderSetsAsideBeforeItWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.json")
	if err := os.WriteFile(path, []byte("from the future"), 0o600); err != nil {
		t.Fatal(err)
	}
	r := newRecorder(path, atomicfile.WriteFile, true, nil)
	r.keepOld("newer")
	for _, content := range []string{"one", "two"} {
		r.record([]byte(content))
		if !r.attempt() {
			t.Fatal(r.fault())
		}
		if got, err := os.ReadFile(path); string(got) != content || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	kept, err := filepath.Glob(path + ".aside-*")
	if err != nil || len(kept) != 1 {
		t.Fatalf("set aside: %v, %v", kept, err)
	}
	if got, _ := os.ReadFile(kept[0]); string(got) != "from the future" {
		t.Errorf("kept %q", got)
	}
}

func TestStopAndStartInTheSameBootKeepsALockdown(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.lockFor(time.Hour)
		r.pass(10 * time.Minute)
		ctx, cancel := ctxFor(time.Second)
		defer cancel()
		r.must(r.lock.Close(ctx))
		r.must(os.RemoveAll(r.cfg.RuntimeDir)) // as systemd does on a stop
		r.pass(10 * time.Minute)
		r.open()
		if s := r.is(StateLocked, ModeLockdown); s.Remaining != 40*time.Minute {
			t.Errorf("%s left", s.Remaining)
		}
	})
}

func TestHubPolicyOutlivesARestartButNotAReboot(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.must(r.lock.SetPolicy(Policy{Resting: RestUnlocked, UnlockTime: 7 * time.Second, HeldOpenAfter: time.Minute, FromHub: true}))
		r.is(StateUnlocked, ModeResting)
		r.crash()
		r.open()
		r.is(StateUnlocked, ModeResting)
		r.edges(1)
		if p := r.lock.Policy(); p.UnlockTime != 7*time.Second || !p.FromHub {
			t.Errorf("policy %+v", p)
		}
		r.crash()
		r.reboot(time.Second)
		r.open()
		r.is(StateLocked, ModeResting)
		if p := r.lock.Policy(); p != (Policy{}).withDefaults() {
			t.Errorf("policy %+v", p)
		}
	})
}

func TestLocalPolicyIsReadAnewAtEachStart(t *testing.T) {
	play(t, func(r *rig) {
		r.cfg.Settings.Policy.Resting = RestUnlocked
		r.open()
		r.is(StateUnlocked, ModeResting)
		if e, _ := Edges(r.sim); len(e) != 2 || !e[0].Requested || e[0].Level != Low {
			t.Errorf("not driven to locked first: %v", e)
		}
		r.crash()
		r.cfg.Settings.Policy.Resting = RestLocked
		r.open()
		r.is(StateLocked, ModeResting)
	})
}

func TestUnusableRecordsAreSetAsideAndTheDoorStartsLocked(t *testing.T) {
	for _, row := range []struct {
		name, content string
		runtime       bool
		suffix        string
	}{
		{"newer runtime", `{"version":2,"bootId":"boot-1"}`, true, ".aside-newer"},
		{"damaged runtime", `{"version":1,`, true, ".aside-damaged"},
		{"newer state", `{"version":99}`, false, ".aside-newer"},
		{"empty state", ``, false, ".aside-damaged"},
		{"impossible state", `{"version":1,"bootId":"b","hold":"lockdown","lockdownEnd":-1}`, false, ".aside-damaged"},
		{"a list", `[]`, false, ".aside-damaged"},
	} {
		for _, resting := range []Resting{RestLocked, RestUnlocked} {
			t.Run(row.name+"/"+string(resting), func(t *testing.T) {
				play(t, func(r *rig) {
					r.cfg.Settings.Policy.Resting = resting
					path := r.statePath()
					if row.runtime {
						path = r.runtimePath()
					}
					r.must(os.MkdirAll(filepath.Dir(path), 0o700))
					r.must(os.WriteFile(path, []byte(row.content), 0o600))
					l := r.open()
					if s := l.Status(); s.State != StateLocked {
						t.Errorf("starts %s", s.State)
					}
					r.edges(0)
					if w := l.Warnings(); len(w) != 1 || !strings.Contains(w[0], path) {
						t.Errorf("warnings %q", w)
					}
					kept, err := os.ReadFile(path + row.suffix)
					if err != nil || string(kept) != row.content {
						t.Errorf("set aside: %q, %v", kept, err)
					}
					// Whoever knows better can unlock it.
					r.unlock(time.Second)
					r.pass(time.Second)
					r.is(map[Resting]State{RestLocked: StateLocked, RestUnlocked: StateUnlocked}[resting], ModeResting)
				})
			})
		}
	}
}

func TestRuntimeRecordOfAnotherBootIsIgnored(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.unlock(time.Minute)
		r.crash()
		r.boots++ // the directory was not emptied, and even the line is as it was
		r.open()
		r.is(StateLocked, ModeResting)
		if len(r.lock.Warnings()) > 0 {
			t.Errorf("warnings: %q", r.lock.Warnings())
		}
	})
}

func TestLastSettingsAreKeptForABadConfiguration(t *testing.T) {
	play(t, func(r *rig) {
		if _, err := LastSettings(r.cfg.StateDir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("before the first start: %v", err)
		}
		r.cfg.Settings = Settings{FailMode: FailSafe, ActiveLow: true}
		r.open()
		s, err := LastSettings(r.cfg.StateDir)
		if want, _ := r.cfg.Settings.Complete(); err != nil || s != want {
			t.Errorf("%+v, %v", s, err)
		}
		before := r.fileInfo(settingsPath(r.cfg.StateDir))
		r.crash()

		r.cfg.Settings.FailMode = "sometimes"
		r.cfg.BootID = "boot-1"
		if _, err := Open(r.cfg); err == nil || !strings.Contains(err.Error(), "failMode") {
			t.Errorf("error %v", err)
		}
		r.cfg.Settings = s
		r.open()
		if !r.sameFile(before, r.fileInfo(settingsPath(r.cfg.StateDir))) {
			t.Error("unchanged settings were written again")
		}
	})
}
