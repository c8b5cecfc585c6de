package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"latchd/agent"
	"latchd/gpio"
	"latchd/internal/systemd"
)

// doorkeeper opens the lock and keeps it under control, from the first moment, when
// nothing but a line that systemd kept is known, to the configuration's own door.
type doorkeeper struct {
	machine  machine
	simulate bool
	log      *slog.Logger

	// wall is the wall clock, once there is one.
	wall atomic.Pointer[func() (time.Time, bool)]

	kept  []gpio.Kept // lines that are requested already
	lock  *gpio.Lock  // nil: none is open
	dirs  stateConfig // of the lock
	notes []string    // what an operator should know of the line

	mu      sync.Mutex // guards the fields below
	listen  func(gpio.Change)
	waiting []gpio.Change // until there is a listener
}

func newDoorkeeper(m machine, simulate bool, log *slog.Logger) *doorkeeper {
	return &doorkeeper{machine: m, simulate: simulate, log: log}
}

// tell hands a change of the lock to the listener, or keeps it for one.
func (k *doorkeeper) tell(c gpio.Change) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.listen == nil {
		k.waiting = append(k.waiting, c)
		return
	}
	k.listen(c)
}

// listenTo says who hears of the lock's changes, those of before included.
func (k *doorkeeper) listenTo(listen func(gpio.Change)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, c := range k.waiting {
		listen(c)
	}
	k.listen, k.waiting = listen, nil
}

func (k *doorkeeper) wallClock() (now time.Time, trusted bool) {
	if wall := k.wall.Load(); wall != nil {
		return (*wall)()
	}
	return time.Time{}, false
}

// adopt takes over a line that systemd kept, with its deadline, before anything
// else is looked at. Without one it does nothing.
func (k *doorkeeper) adopt(dirs stateConfig) {
	k.kept = keptLines()
	settings, err := gpio.AdoptableSettings(k.kept, dirs.RuntimeDirectory, dirs.Directory)
	if err != nil {
		if !errors.Is(err, os.ErrNotExist) {
			k.log.Error("the line that was kept cannot be taken over before the configuration is read", "error", err)
		}
		return
	}
	if err := k.open(settings, dirs); err != nil {
		k.log.Error("the line that was kept cannot be taken over before the configuration is read", "error", err)
	}
}

// take takes the lock of the configuration under control. A wrong configuration
// leaves it at its last good settings.
func (k *doorkeeper) take(cfg config, configErr error) (agent.Door, gpio.Policy) {
	settings := cfg.settings()
	switch {
	case configErr != nil && k.lock != nil: // it has the last good settings
		return door{k.lock}, k.lock.Settings().Policy
	case configErr != nil:
		last, err := gpio.LastSettings(cfg.State.Directory)
		if err != nil {
			k.log.Error("there are no earlier door settings to keep, so the door is left alone", "error", err)
			return nil, settings.Policy
		}
		settings = last
	case cfg.Door.Line == "":
		k.leave()
		k.note(gpio.GiveBack(k.kept, systemd.Remove))
		k.kept = nil
		return nil, settings.Policy
	}
	settings, err := settings.Complete()
	if err == nil {
		err = k.use(settings, cfg.State)
	}
	if err != nil {
		k.log.Error("the lock cannot be taken under control", "error", err)
		return brokenDoor{err}, settings.Policy
	}
	return door{k.lock}, settings.Policy
}

// use opens the lock with these settings, or goes on with the one that is open, if
// it drives the same hardware.
func (k *doorkeeper) use(settings gpio.Settings, dirs stateConfig) error {
	if k.lock != nil && k.dirs == dirs {
		var restart *gpio.RestartError
		if err := k.lock.SetSettings(settings); !errors.As(err, &restart) {
			return err
		}
	}
	k.leave()
	return k.open(settings, dirs)
}

func (k *doorkeeper) open(settings gpio.Settings, dirs stateConfig) error {
	c := gpio.Config{
		Settings:   settings,
		RuntimeDir: dirs.RuntimeDirectory, StateDir: dirs.Directory,
		BootTime: k.machine.Uptime, BootID: k.machine.Boot().ID, Wall: k.wallClock,
		OnChange: k.tell,
	}
	lock, err := k.openOn(c)
	if err != nil {
		return err
	}
	for _, w := range lock.Warnings() {
		k.log.Warn(w)
	}
	k.lock, k.dirs = lock, dirs
	return nil
}

// leave ends the lock that is open and leaves its line as it is, for the next one.
func (k *doorkeeper) leave() {
	if k.lock != nil {
		k.end(k.lock.Detach, "the door could not be handed over in order")
		k.lock = nil
	}
}

// note keeps what an operator should know of the line.
func (k *doorkeeper) note(notes []string) {
	for _, n := range notes {
		k.log.Warn(n)
	}
	k.notes = append(k.notes, notes...)
}

// stopWithin bounds the ordered stop of the door.
const stopWithin = 2 * time.Second

// stop ends the control over the door: with a restart ahead the line stays as it
// is, else any unlock ends and the door is locked.
func (k *doorkeeper) stop(restart bool) {
	switch {
	case k.lock == nil:
	case restart:
		k.end(k.lock.Detach, "the door could not be handed to the next process in order")
	default:
		k.end(k.lock.Close, "the door could not be stopped in order")
	}
}

func (k *doorkeeper) end(how func(context.Context) error, failed string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := how(ctx); err != nil && !errors.Is(err, gpio.ErrClosed) {
		k.log.Error(failed, "error", err)
	}
}
