package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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
	open atomic.Pointer[gpio.Lock] // nil: none is

	turn    sync.Mutex  // held while the lock is opened or stopped; guards the fields below
	kept    []gpio.Kept // lines that are requested already
	dirs    stateConfig // of the lock that is open
	stopped bool        // no lock is opened any more

	telling sync.Mutex // held while a change is told; guards the fields below
	listen  func(gpio.Change)
	waiting []gpio.Change // until there is a listener

	mu     sync.Mutex // guards the fields below
	broken error      // why no lock is open, or not the configured one; nil: all is well
	notes  []string   // what an operator should know of the line
}

func newDoorkeeper(m machine, simulate bool, log *slog.Logger) *doorkeeper {
	return &doorkeeper{machine: m, simulate: simulate, log: log}
}

// lock is the one that is open; nil if none is.
func (k *doorkeeper) lock() *gpio.Lock { return k.open.Load() }

// tell hands a change of the lock to the listener, or keeps it for one.
func (k *doorkeeper) tell(c gpio.Change) {
	k.telling.Lock()
	defer k.telling.Unlock()
	if k.listen == nil {
		k.waiting = append(k.waiting, c)
		return
	}
	k.listen(c)
}

// listenTo says who hears of the lock's changes, those of before included.
func (k *doorkeeper) listenTo(listen func(gpio.Change)) {
	k.telling.Lock()
	defer k.telling.Unlock()
	for _, c := range k.waiting {
		listen(c)
	}
	k.listen, k.waiting = listen, nil
}

// wrong is why no lock is open, or not the configured one.
func (k *doorkeeper) wrong() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.broken
}

func (k *doorkeeper) setWrong(err error) {
	k.mu.Lock()
	k.broken = err
	k.mu.Unlock()
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
	k.turn.Lock()
	defer k.turn.Unlock()
	k.kept = keptLines()
	settings, err := gpio.AdoptableSettings(k.kept, dirs.RuntimeDirectory, dirs.Directory)
	if err == nil {
		err = k.start(settings, dirs)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		k.log.Error("the line that was kept cannot be taken over before the configuration is read", "error", err)
	}
}

// take takes the lock of the configuration under control. A wrong configuration
// leaves it at its last good settings. The door is nil where none is configured.
func (k *doorkeeper) take(cfg config, configErr error) (agent.Door, gpio.Policy) {
	k.turn.Lock()
	defer k.turn.Unlock()
	settings, err := k.settings(cfg, configErr)
	if err != nil {
		k.log.Error("there are no earlier door settings to keep, so the door is left alone", "error", err)
		return nil, cfg.settings().Policy
	}
	if configErr == nil && cfg.Door.Line == "" {
		k.leave()
		if err := gpio.ForgetSettings(cfg.State.Directory); err != nil { // they would come back with the next typing error
			k.log.Error("the settings of the door that there was cannot be removed", "error", err)
		}
		k.note(gpio.GiveBack(k.kept, systemd.Remove))
		k.kept = nil
		return nil, settings.Policy
	}
	if err := k.use(settings, cfg.State); err != nil {
		k.setWrong(err)
		k.log.Error("the lock cannot be taken under control", "error", err)
	}
	return door{k}, settings.Policy
}

// settings are those to go by.
func (k *doorkeeper) settings(cfg config, configErr error) (gpio.Settings, error) {
	if configErr == nil {
		return cfg.settings().Complete()
	}
	if lock := k.lock(); lock != nil {
		return lock.Settings(), nil // the last good ones
	}
	last, err := gpio.LastSettings(cfg.State.Directory)
	if err != nil && len(k.kept) > 0 {
		return gpio.KeptSettings(k.kept)
	}
	return last, err
}

// use opens the lock with these settings, or goes on with the one that is open, if
// it drives the same hardware. After an error the one that was open is open still,
// as far as that can be done: a door in which something is wrong is better than one
// that nobody keeps.
func (k *doorkeeper) use(settings gpio.Settings, dirs stateConfig) error {
	lock := k.lock()
	if lock == nil {
		return k.start(settings, dirs)
	}
	before, dirsBefore := lock.Settings(), k.dirs
	if dirs == dirsBefore {
		var restart *gpio.RestartError
		if err := lock.SetSettings(settings); !errors.As(err, &restart) {
			return err
		}
	}
	if !k.simulate {
		if err := gpio.CheckLine(settings.Wiring.Line); err != nil {
			return fmt.Errorf("the door keeps its last good settings: %w", err)
		}
	}
	k.leave()
	err := k.start(settings, dirs)
	if err == nil {
		return nil
	}
	if again := k.start(before, dirsBefore); again != nil {
		return errors.Join(err, again)
	}
	return fmt.Errorf("the door keeps its last good settings: %w", err)
}

var errStopping = errors.New("the service is stopping")

// start opens a lock where none is open.
func (k *doorkeeper) start(settings gpio.Settings, dirs stateConfig) error {
	if k.stopped {
		return errStopping
	}
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
	k.dirs = dirs
	k.open.Store(lock)
	k.setWrong(nil)
	return nil
}

// openAgain is how long a lock that could not be opened is left alone: a line that
// another program has, or a right that comes late, is soon there or not for long.
const openAgain = 5 * time.Second

// retry opens the lock of the configuration if that could not be done at the start,
// again and again until ctx ends: the button must come to life whatever came up too
// late. opened is called when it succeeds.
func (k *doorkeeper) retry(ctx context.Context, configured func() (config, error), opened func()) {
	for k.lock() == nil && k.wrong() != nil {
		pause := time.NewTimer(openAgain + rand.N(openAgain/5))
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		}
		if err := k.tryAgain(configured()); err != nil {
			k.setWrong(err)
			continue
		}
		k.log.Info("the lock is under control now")
		opened()
	}
}

func (k *doorkeeper) tryAgain(cfg config, configErr error) error {
	k.turn.Lock()
	defer k.turn.Unlock()
	settings, err := k.settings(cfg, configErr)
	if err != nil {
		return err
	}
	return k.start(settings, cfg.State)
}

// leave ends the lock that is open and leaves its line as it is, for the next one.
func (k *doorkeeper) leave() {
	if lock := k.open.Swap(nil); lock != nil {
		k.end(lock.Detach, "the door could not be handed over in order")
	}
}

// note keeps what an operator should know of the line.
func (k *doorkeeper) note(notes []string) {
	for _, n := range notes {
		k.log.Warn(n)
	}
	k.mu.Lock()
	k.notes = append(k.notes, notes...)
	k.mu.Unlock()
}

// notesSoFar are those of note.
func (k *doorkeeper) notesSoFar() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.notes
}

// stopWithin bounds the ordered stop of the door.
const stopWithin = 1500 * time.Millisecond

// stop ends the control over the door: with a restart ahead the line stays as it
// is, else any unlock ends and the door is locked.
func (k *doorkeeper) stop(restart bool) {
	k.turn.Lock()
	defer k.turn.Unlock()
	k.stopped = true
	lock := k.lock()
	switch {
	case lock == nil:
	case restart:
		k.end(lock.Detach, "the door could not be handed to the next process in order")
	default:
		k.end(lock.Close, "the door could not be stopped in order")
	}
}

func (k *doorkeeper) end(how func(context.Context) error, failed string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
	defer cancel()
	if err := how(ctx); err != nil && !errors.Is(err, gpio.ErrClosed) {
		k.log.Error(failed, "error", err)
	}
}
