package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/agent"
	"latchd/firmware"
	"latchd/gpio"
)

// keeper is a doorkeeper of simulated lines, and the directories of its lock.
func keeper(t *testing.T) (*doorkeeper, stateConfig) {
	t.Helper()
	dirs := stateConfig{filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "run")}
	m, err := firmware.OpenSimulated(dirs.Directory, dirs.RuntimeDirectory, 0)
	if err != nil {
		t.Fatal(err)
	}
	k := newDoorkeeper(m, true, slog.New(slog.DiscardHandler))
	t.Cleanup(func() { k.stop(false) })
	return k, dirs
}

func doorOf(t *testing.T, k *doorkeeper, cfg config, configErr error) agent.Door {
	t.Helper()
	d, _ := k.take(cfg, configErr)
	k.listenTo(func(gpio.Change) { // as the agent does
		if d != nil {
			d.Status()
		}
	})
	return d
}

func TestALockThatCannotBeOpenedAnewStaysAsItWas(t *testing.T) {
	k, dirs := keeper(t)
	first := config{State: dirs, Door: doorConfig{Line: "GPIO17", UnlockTime: text(7 * time.Second)}}
	if d := doorOf(t, k, first, nil); d == nil || k.wrong() != nil {
		t.Fatal(d, k.wrong())
	}
	k.listenTo(nil)
	// The new place for the runtime record is a file.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	second := first
	second.State.RuntimeDirectory = dirs.Directory // both the same: no lock opens there
	second.Door.Line = "GPIO27"
	d := doorOf(t, k, second, nil)
	lock := k.lock()
	if lock == nil || lock.Settings().Wiring.Line != "GPIO17" || k.wrong() == nil {
		t.Fatalf("lock %v, wrong: %v", lock, k.wrong())
	}
	if s, err := d.UnlockDoor(nil, false); err != nil || s.State != "unlocked" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestALockThatComesUpLate(t *testing.T) {
	t.Parallel() // it waits five seconds
	k, dirs := keeper(t)
	broken := dirs
	broken.RuntimeDirectory = dirs.Directory
	cfg := config{State: broken, Door: doorConfig{Line: "GPIO17"}}
	d := doorOf(t, k, cfg, nil)
	var unavailable *agent.UnavailableError
	if _, err := d.LockDoor(nil); !errors.As(err, &unavailable) || d.Status().Fault == "" || d.Status().State != "unknown" {
		t.Fatalf("%v, %+v", err, d.Status())
	}
	if err := d.SetPolicy(agent.DoorPolicy{}); err == nil {
		t.Error("nobody took the policy, and yet no error")
	}
	opened := make(chan struct{})
	cfg.State = dirs // whatever was missing is there now
	go k.retry(t.Context(), func() (config, error) { return cfg, nil }, func() { close(opened) })
	<-opened
	if s, err := d.LockDoor(nil); err != nil || s.State != "locked" || k.wrong() != nil {
		t.Errorf("%+v, %v; wrong: %v", s, err, k.wrong())
	}
}

func TestAWrongConfigurationKeepsTheLastGoodSettings(t *testing.T) {
	k, dirs := keeper(t)
	good := config{State: dirs, Door: doorConfig{Line: "GPIO17", UnlockTime: text(7 * time.Second)}}
	doorOf(t, k, good, nil)
	k.stop(true)

	next := newDoorkeeper(k.machine, true, k.log)
	t.Cleanup(func() { next.stop(false) })
	doorOf(t, next, config{State: dirs}, errors.New("line 3 is wrong"))
	if lock := next.lock(); lock == nil || lock.Settings().Policy.UnlockTime != 7*time.Second {
		t.Fatalf("lock %v", lock)
	}

	// Nor does a retry take what could be saved of the wrong one.
	next.stop(true)
	late := newDoorkeeper(k.machine, true, k.log)
	t.Cleanup(func() { late.stop(false) })
	late.setWrong(errors.New("the line was busy"))
	wrong := config{State: dirs, Door: doorConfig{Line: "GPIO22", ActiveLevel: "low"}}
	if err := late.tryAgain(wrong, errors.New("line 3 is wrong")); err != nil {
		t.Fatal(err)
	}
	if s := late.lock().Settings(); s.Wiring.Line != "GPIO17" || s.ActiveLow || s.Policy.UnlockTime != 7*time.Second {
		t.Errorf("in force: %+v", s)
	}

	empty, dirs := keeper(t)
	if d := doorOf(t, empty, config{State: dirs}, errors.New("line 3 is wrong")); d != nil {
		t.Errorf("there are no settings, and yet a door: %+v", d.Status())
	}
}

// The agent must not fall over a door that the configuration has given up while
// changes of it were still waiting to be told.
func TestADoorThatWasGivenUp(t *testing.T) {
	k, dirs := keeper(t)
	if err := k.use(gpio.Settings{Wiring: gpio.Wiring{Line: "GPIO17"}}, dirs); err != nil {
		t.Fatal(err)
	}
	if d := doorOf(t, k, config{State: dirs}, nil); d != nil || k.lock() != nil {
		t.Errorf("%v, %v", d, k.lock())
	}
	if _, err := gpio.LastSettings(dirs.Directory); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the settings of a door that there is no more are kept: %v", err)
	}
	s := &service{configFile: "x", doors: k, config: config{State: dirs}, machine: k.machine}
	if line := s.statusLine(); !strings.Contains(line, "no door") {
		t.Errorf("status %q", line)
	}
}
