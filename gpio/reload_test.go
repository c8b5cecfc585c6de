package gpio

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestSettingsReadAgain(t *testing.T) {
	play(t, func(r *rig) {
		r.cfg.Settings.Wiring.Line = "GPIO17"
		l := r.open()
		r.must(func() error { _, err := l.UnlockDoor(nil, false); return err }())
		before := r.changed()

		s := l.Settings()
		s.MaxUnlockTime, s.Policy.UnlockTime = time.Minute, 30*time.Second
		r.must(l.SetSettings(s))
		if l.Settings() != s || l.Policy() != s.Policy {
			t.Errorf("in force: %+v, %+v", l.Settings(), l.Policy())
		}
		r.is(StateUnlocked, ModeMomentary)
		r.pass(DefaultUnlockTime) // the unlock that ran keeps its end
		r.is(StateLocked, ModeResting)
		if n := r.changed() - before; n != 1 {
			t.Errorf("%d changes, want the relock alone", n)
		}
		tooLong := 2 * time.Minute
		if _, err := l.UnlockDoor(&tooLong, false); err == nil {
			t.Error("the old maximum still counts")
		}
		if last, err := LastSettings(r.cfg.StateDir); err != nil || last != s {
			t.Errorf("the last good settings are %+v, %v", last, err)
		}
	})
}

func TestSettingsOfTheHardwareNeedARestart(t *testing.T) {
	play(t, func(r *rig) {
		r.cfg.Settings.Wiring.Line = "GPIO17"
		l := r.open()
		before := l.Settings()
		for name, change := range map[string]func(*Settings){
			"fail_mode":    func(s *Settings) { s.FailMode = FailSafe },
			"active_level": func(s *Settings) { s.ActiveLow = true },
			"line":         func(s *Settings) { s.Wiring.Line = "GPIO27" },
			"contact":      func(s *Settings) { s.Wiring.Contact.Line = "GPIO5" },
			"bolt":         func(s *Settings) { s.Wiring.Bolt.Line = "GPIO5" },
			"button":       func(s *Settings) { s.Wiring.Button.Line = "GPIO5" },
		} {
			s := before
			change(&s)
			s.Policy.UnlockTime = time.Minute
			var restart *RestartError
			if err := l.SetSettings(s); !errors.As(err, &restart) || restart.What != name {
				t.Errorf("%s: %v", name, err)
			}
		}
		wrong := before
		wrong.Policy.UnlockTime = 48 * time.Hour
		if err := l.SetSettings(wrong); err == nil {
			t.Error("a policy out of range was taken")
		}
		if l.Settings() != before || l.Policy() != before.Policy {
			t.Error("a refused change changed something")
		}
	})
}

// A policy that the hub confirmed outlives a reload of the file.
func TestSettingsReadAgainLeaveTheHubsPolicy(t *testing.T) {
	play(t, func(r *rig) {
		l := r.open()
		hub := Policy{Resting: RestUnlocked, FromHub: true}.withDefaults()
		r.must(l.SetPolicy(hub))
		s := l.Settings()
		s.SettleTime = 10 * time.Second
		r.must(l.SetSettings(s))
		if l.Policy() != hub {
			t.Errorf("policy %+v", l.Policy())
		}
	})
}

func TestAlive(t *testing.T) {
	play(t, func(r *rig) {
		r.must(r.open().Alive())
	})
}

// A bound that was lowered counts for the hub's policy too, though the hub set it
// before.
func TestALowerMaximumEndsAPolicyBeyondIt(t *testing.T) {
	play(t, func(r *rig) {
		r.cfg.Settings.MaxUnlockTime = time.Hour
		l := r.open()
		r.must(l.SetPolicy(Policy{UnlockTime: 20 * time.Minute, FromHub: true}.withDefaults()))
		s := l.Settings()
		s.MaxUnlockTime = time.Minute
		r.must(l.SetSettings(s))
		if l.Policy() != s.Policy {
			t.Errorf("in force: %+v", l.Policy())
		}
	})
}

// A disk that hangs while the door is handed over must not, when it comes back,
// replace what was recorded since.
func TestARecordLeftBehindReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "record")
	hung, release := make(chan struct{}), make(chan struct{})
	old := newRecorder(path, func(path string, data []byte, perm os.FileMode) error {
		close(hung)
		<-release
		return os.WriteFile(path, data, perm)
	}, false, nil)
	old.record([]byte("old"))
	go old.attempt()
	<-hung
	fresh := newRecorder(path, os.WriteFile, false, nil)
	fresh.record([]byte("new"))
	done := make(chan struct{})
	go func() { fresh.attempt(); close(done) }()
	close(release)
	<-done
	if data, err := os.ReadFile(path); string(data) != "new" || err != nil {
		t.Errorf("the file holds %q, %v", data, err)
	}
}

// changed counts the changes that the listener heard of.
func (r *rig) changed() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.changes)
}
