package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"latchd/internal/atomicfile"
)

// Config is what a lock is made of.
type Config struct {
	Settings Settings

	// Line opens the output. It is called once, by Open.
	Line OpenLine
	// Contact, Bolt and Button are the inputs; nil means not fitted.
	Contact, Bolt, Button Input

	// RuntimeDir holds what a restart in the same boot needs; it must be emptied by
	// a reboot (tmpfs). StateDir holds what outlives a reboot. The lock has each to
	// itself as far as the files named in the package comment go.
	RuntimeDir, StateDir string

	// BootTime reads the boot-time clock: time since boot, suspension included.
	BootTime func() time.Duration
	// BootID names this boot. Any unique text will do.
	BootID string
	// Wall reads the wall clock, and tells whether it is to be trusted. Nil means
	// that it never is. Like BootTime it must return at once, without I/O: it is
	// called between two presses of the button.
	Wall func() (now time.Time, trusted bool)

	// OnChange hears of every change of the status and every event, in order, from
	// a goroutine of the lock, starting with the status at Open. It may call the
	// lock's methods, except Close and Detach, which wait for it.
	OnChange func(Change)

	write writeFile // for tests; atomicfile.WriteFile if nil
}

// Lock is one door. Its methods may be called from any goroutine, except that one
// of Close and Detach is called once.
type Lock struct {
	d        *driver // used by the goroutine of run only, except for status
	jobs     chan job
	sensings chan sensing
	poke     chan struct{} // a record succeeded or failed: the status may differ
	settings *recorder
	inForce  atomic.Pointer[Settings]
	warnings []string

	cancel  context.CancelFunc // ends everything but run
	running sync.WaitGroup
	ended   chan struct{} // closed when run has returned
}

// Open begins to keep a door. The line is adopted, or requested at the level that
// locks; then it is driven to what the door's mode demands. In the same boot that
// is the level it has, unless a deadline passed meanwhile: then the door locks at
// once. After a boot the door is locked, or held locked, or in lockdown, or rests
// as the local policy says.
//
// A record that cannot be used does not stop it; see [Lock.Warnings]. An error is
// about the configuration, or a [*HardwareError] if the line cannot be opened.
func Open(cfg Config) (*Lock, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, fmt.Errorf("configure the lock: %w", err)
	}
	l := &Lock{
		jobs:     make(chan job),
		sensings: make(chan sensing),
		poke:     make(chan struct{}, 1),
		ended:    make(chan struct{}),
	}
	l.makeDirs(cfg)
	d := &driver{
		cfg:     cfg,
		runtime: newRecorder(runtimePath(cfg.RuntimeDir), cfg.write, true, l.pokeRun),
		state:   newRecorder(statePath(cfg.StateDir), cfg.write, false, l.pokeRun),
		notices: newNotifier(cfg.OnChange),
	}
	l.d = d
	l.inForce.Store(&cfg.Settings)
	l.settings = newRecorder(settingsPath(cfg.StateDir), cfg.write, false, nil)
	found, warnings := findRecords(d.runtime, d.state)
	l.warnings = append(l.warnings, warnings...)
	if err := d.begin(found); err != nil {
		return nil, err
	}
	accepted := d.senseAtStart()
	_ = d.followClock() // a line fault shows in the status, and is retried
	l.keepSettings(cfg)
	l.start(accepted)
	return l, nil
}

func (c Config) complete() (Config, error) {
	switch {
	case c.Line == nil:
		return c, errors.New("no line")
	case c.BootTime == nil:
		return c, errors.New("no boot-time clock")
	case c.BootID == "":
		return c, errors.New("no boot id")
	case c.RuntimeDir == "" || c.StateDir == "":
		return c, errors.New("no runtime or state directory")
	case c.RuntimeDir == c.StateDir:
		return c, errors.New("the runtime and the state directory are the same")
	}
	if c.write == nil {
		c.write = atomicfile.WriteFile
	}
	var err error
	c.Settings, err = c.Settings.Complete()
	return c, err
}

// makeDirs is for a start without a service manager, which would have made them.
func (l *Lock) makeDirs(cfg Config) {
	for _, dir := range []string{cfg.RuntimeDir, cfg.StateDir} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			l.warnings = append(l.warnings, err.Error())
		}
	}
}

// begin sets up the machine from what was found, opens the line and drives it.
func (d *driver) begin(found records) error {
	s := adopt(d.instant(), d.cfg.BootID, found, d.cfg.Settings)
	d.m = machine{settings: d.cfg.Settings, policy: s.policy, memory: s.memory}
	d.marks = s.marks
	d.lastState = stateRecord{Version: stateVersion}
	if found.state != nil {
		d.lastState = *found.state
	}
	locked := d.cfg.Settings.Level(true)
	line, err := d.cfg.Line(locked)
	if err != nil {
		return &HardwareError{What: "open the lock's line", Err: err}
	}
	d.line = line
	d.adoptLevel(locked)
	_ = d.step(func(now time.Duration) { d.m.begin(now, CauseStart) }) // as above
	return nil
}

// adoptLevel compares the memory with the line, which is right if they differ.
// A line that cannot be read is not believed to be unlocked.
func (d *driver) adoptLevel(locked Level) {
	level, err := d.line.Level()
	d.level, d.known = level, err == nil
	unlocked, recorded := err == nil && level != locked, err == nil && d.m.Unlocked
	if d.m.Unlocked = unlocked; unlocked {
		d.m.Settled = StateUnlocked // so that a relock by this start is told
	}
	if !unlocked && d.m.wantsUnlocked() {
		d.m.distrust(d.cfg.Settings.Policy, recorded)
	}
}

// keepSettings records the settings as the last good ones, if they are news.
func (l *Lock) keepSettings(cfg Config) {
	if old, err := LastSettings(cfg.StateDir); err == nil && old == cfg.Settings {
		return
	} else if err != nil && !errors.Is(err, os.ErrNotExist) {
		l.warnings = append(l.warnings, setAside(l.settings, err))
	}
	l.settings.record(encodeSettings(cfg.Settings))
}

// Warnings tells what Open found that a person should know: records that were set
// aside, directories that could not be made. It does not change afterwards.
func (l *Lock) Warnings() []string { return l.warnings }

// Status returns what is known now.
func (l *Lock) Status() Status { return l.d.status() }

func (l *Lock) pokeRun() {
	select {
	case l.poke <- struct{}{}:
	default:
	}
}
