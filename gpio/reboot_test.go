package gpio

import (
	"os"
	"testing"
	"time"
)

// TestReboot has a row for each way in which a mode meets a reboot.
func TestReboot(t *testing.T) {
	hour := time.Hour
	lockdown := func(r *rig) { r.lockFor(hour) }
	for _, row := range []struct {
		name         string
		trustedThen  bool // was the wall clock
		trustedAfter bool // is it
		ordered      bool // Close before, else power loss
		put          func(*rig)
		before       time.Duration // passes before the machine goes down
		down         time.Duration
		state        State
		mode         Mode
		left         time.Duration
		until        bool // is the end known by the wall clock
	}{
		{"momentary has ended", true, true, false, func(r *rig) { r.unlock(time.Minute) }, 0, time.Second, StateLocked, ModeResting, 0, false},
		{"heldUnlocked has ended", true, true, false, func(r *rig) { _, err := r.lock.UnlockDoor(nil, true); r.must(err) }, 0, time.Second, StateLocked, ModeResting, 0, false},
		{"heldUnlocked has ended in order", true, true, true, func(r *rig) { _, err := r.lock.UnlockDoor(nil, true); r.must(err) }, 0, time.Second, StateLocked, ModeResting, 0, false},
		{"heldLocked goes on", false, false, false, func(r *rig) { _, err := r.lock.LockDoor(nil); r.must(err) }, 0, time.Second, StateLocked, ModeHeldLocked, 0, false},
		{"lockdown goes on to its wall-clock end", true, true, false, lockdown, 10 * time.Minute, 5 * time.Minute, StateLocked, ModeLockdown, 45 * time.Minute, true},
		{"lockdown has ended meanwhile", true, true, false, lockdown, 10 * time.Minute, 2 * hour, StateLocked, ModeResting, 0, false},
		{"not trusted then: the time stored at the command", false, true, false, lockdown, 10 * time.Minute, 5 * time.Minute, StateLocked, ModeLockdown, hour, true},
		{"not trusted now: the time stored at the command", true, false, false, lockdown, 10 * time.Minute, 5 * time.Minute, StateLocked, ModeLockdown, hour, false},
		{"not trusted now: the time stored at the ordered stop", true, false, true, lockdown, 10 * time.Minute, 5 * time.Minute, StateLocked, ModeLockdown, 50 * time.Minute, false},
		{"never trusted: the time stored at the ordered stop", false, false, true, lockdown, 10 * time.Minute, 5 * time.Minute, StateLocked, ModeLockdown, 50 * time.Minute, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			play(t, func(r *rig) {
				r.trusted = row.trustedThen
				r.open()
				row.put(r)
				r.pass(row.before)
				if row.ordered {
					ctx, cancel := ctxFor(time.Second)
					defer cancel()
					r.must(r.lock.Close(ctx))
				} else {
					r.crash()
				}
				r.reboot(row.down)
				r.trusted = row.trustedAfter
				r.open()
				s := r.is(row.state, row.mode)
				if s.Remaining != row.left || s.Until.IsZero() == row.until {
					t.Errorf("%s left, until %s; want %s", s.Remaining, s.Until, row.left)
				}
				r.edges(0)
				all, err := Edges(r.sim)
				r.must(err)
				if len(all) != 1 || all[0].Level != Low {
					t.Errorf("requested as %v", all)
				}
			})
		})
	}
}

// A Pi has no clock of its own: at the start the time is never known, and a
// moment later it is.
func TestLockdownFindsItsEndWhenTheClockBecomesTrusted(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		until := r.lockFor(time.Hour).Until
		r.pass(10 * time.Minute)
		r.crash()
		r.reboot(5 * time.Minute)
		r.trusted = false
		r.open()
		s := r.is(StateLocked, ModeLockdown)
		if s.Remaining != time.Hour || !s.Until.IsZero() || !s.Since.IsZero() {
			t.Errorf("before: %+v", s)
		}
		r.crash() // in the middle of it
		r.open()
		r.pass(5 * time.Minute)
		r.trusted = true
		r.must(r.lock.WallClockChanged())
		s = r.is(StateLocked, ModeLockdown)
		if s.Remaining != 40*time.Minute || !s.Until.Equal(until) || s.Since.IsZero() {
			t.Errorf("after: %+v, want until %s", s, until)
		}
		r.must(r.lock.WallClockChanged()) // once is enough
		r.crash()
		r.open()
		if again := r.lock.Status(); again.Until != s.Until || again.Remaining != s.Remaining {
			t.Errorf("after a restart: %+v", again)
		}
		r.pass(40 * time.Minute)
		r.is(StateLocked, ModeResting)
	})
}

func TestLockdownThatEndedDuringTheBootEndsWhenTheClockBecomesTrusted(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.lockFor(time.Hour)
		r.crash()
		r.reboot(3 * time.Hour)
		r.trusted = false
		r.open()
		r.is(StateLocked, ModeLockdown)
		r.trusted = true
		r.must(r.lock.WallClockChanged())
		r.is(StateLocked, ModeResting)
	})
}

func TestNewLockdownForgetsTheEndFromBeforeTheBoot(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.lockFor(time.Hour)
		r.crash()
		r.reboot(time.Minute)
		r.trusted = false
		r.open()
		r.lockFor(2 * time.Hour)
		r.trusted = true
		r.must(r.lock.WallClockChanged())
		if s := r.is(StateLocked, ModeLockdown); s.Remaining != 2*time.Hour {
			t.Errorf("%s left", s.Remaining)
		}
	})
}

// Power cut after power cut, without a clock: never shorter.
func TestLockdownSurvivesManyPowerCuts(t *testing.T) {
	play(t, func(r *rig) {
		r.trusted = false
		r.open()
		r.lockFor(time.Hour)
		for range 3 {
			r.pass(20 * time.Minute)
			r.crash()
			r.reboot(time.Second)
			r.open()
			if s := r.is(StateLocked, ModeLockdown); s.Remaining != time.Hour {
				t.Errorf("%s left", s.Remaining)
			}
		}
	})
}

// A trusted clock that was wrong by years must not lock the door for years.
func TestLockdownIsBoundedWhateverTheClockSays(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.lockFor(time.Hour)
		r.crash()
		r.skew = -10 * 365 * 24 * time.Hour
		r.reboot(time.Second)
		r.open()
		if s := r.is(StateLocked, ModeLockdown); s.Remaining != MaxLockTime {
			t.Errorf("%s left", s.Remaining)
		}
	})
}

// A clock that steps does not move what runs in this boot, nor what was reported.
func TestClockStepsMoveNothingInTheSameBoot(t *testing.T) {
	for _, step := range []time.Duration{10 * 365 * 24 * time.Hour, time.Minute} {
		play(t, func(r *rig) {
			r.open()
			first := r.lockFor(time.Hour)
			r.skew = step
			r.pass(10 * time.Minute)
			r.must(r.lock.WallClockChanged())
			s := r.is(StateLocked, ModeLockdown)
			if s.Remaining != 50*time.Minute || s.Until != first.Until || s.Since != first.Since {
				t.Errorf("%+v, was %+v", s, first)
			}
		})
	}
}

func TestReportedPastIsNeverAheadOfTheClock(t *testing.T) {
	play(t, func(r *rig) {
		r.open()
		r.unlock(time.Minute)
		r.skew = -time.Hour
		r.pass(time.Second)
		r.must(r.lock.WallClockChanged())
		now, _ := r.cfg.Wall()
		if s := r.lock.Status(); s.Since.After(now) {
			t.Errorf("since %s, and it is %s", s.Since, now)
		}
	})
}

// Only what a boot needs is written to the durable disk, and only when it changes.
func TestDiskIsWrittenOnlyWhenSomethingDurableChanges(t *testing.T) {
	play(t, func(r *rig) {
		r.withInputs()
		r.must(r.contact.Set(Inactive))
		r.open()
		still := func(what string, do func()) {
			t.Helper()
			before := r.fileInfo(r.statePath())
			do()
			r.pass(0)
			if !r.sameFile(before, r.fileInfo(r.statePath())) {
				t.Errorf("%s wrote to the disk", what)
			}
		}
		written := func(what string, do func()) {
			t.Helper()
			before := r.fileInfo(r.statePath())
			do()
			r.pass(0)
			if r.sameFile(before, r.fileInfo(r.statePath())) {
				t.Errorf("%s wrote nothing to the disk", what)
			}
		}
		still("a momentary unlock", func() { r.unlock(time.Second); r.pass(2 * time.Second) })
		still("a press and an opening", func() {
			r.press()
			r.must(r.contact.Set(Active))
			r.pass(time.Second)
			r.must(r.contact.Set(Inactive))
			r.pass(10 * time.Second)
		})
		written("a lockdown", func() { r.lockFor(time.Minute) })
		still("a refused unlock", func() { _, _ = r.lock.UnlockDoor(nil, false) })
		still("a press in lockdown", func() { r.press(); r.pass(10 * time.Second) })
		still("a lock in lockdown", func() { _, err := r.lock.LockDoor(nil); r.must(err) })
		written("the end of the lockdown", func() { r.pass(time.Minute) })
		written("a hold", func() { _, err := r.lock.LockDoor(nil); r.must(err) })
		runtime := r.fileInfo(r.runtimePath())
		still("an idle minute", func() { r.pass(time.Minute) })
		if !r.sameFile(runtime, r.fileInfo(r.runtimePath())) {
			t.Error("an idle minute wrote the runtime record")
		}
		if info, err := os.Stat(r.statePath()); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("mode of the state record: %v, %v", info.Mode(), err)
		}
	})
}
