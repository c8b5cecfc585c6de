package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"latchd/agent/ledger"
	"latchd/internal/atomicfile"
)

// Config is what an Agent is made of.
type Config struct {
	Door     Door // nil: this device has no lock
	Machine  Machine
	Clock    Clock
	Boot     Boot
	StateDir string // must exist and survive a reboot
	Device   string // its name at the hub, so that it does not take another's state for its own; "": not known

	Version     string
	Simulated   bool
	Information map[string]any // the twin's deviceInformation
	DoorPolicy  DoorPolicy     // from the local configuration
	RebootDelay time.Duration  // between the answer and the reboot where the caller names none; 0: DefaultRebootDelay
	Log         *slog.Logger

	save func(path string, o ledger.Operations) error // for tests; ledger.SaveOperations if nil
}

// DefaultRebootDelay lets the operator's program read the answer before the
// device goes away.
const DefaultRebootDelay = 2 * time.Second

// Agent is the device's behaviour. Make it with New, give it a hub with
// Connect, then Run it.
type Agent struct {
	Config
	log       *slog.Logger
	hub       Hub
	commands  *ledger.Commands
	doorQueue *queue
	wake      chan struct{}  // pokes the operations loop
	startedOn time.Duration  // the boot-time clock when the agent started
	serving   sync.WaitGroup // of methods that are being carried out

	reporting sync.Mutex // held while the reported state is put together and handed over

	// changing is held, and taken before mu, by whoever changes ops: from the
	// look at them until the change is on disk. So a disk that hangs holds up
	// changes only, and neither the lock nor getStatus.
	changing    sync.Mutex
	unsaved     bool  // ops hold something that the disk does not; guarded by changing
	unsavable   error // why the operations file must not be written; set by New
	desiredLost error // the same of the file of desired properties

	mu        sync.Mutex        // guards the fields below
	ops       ledger.Operations // written with changing held too, so either is enough to read
	desired   desiredState
	answers   map[string]chan struct{} // operation id → closed when its answer went out, or never will
	startedAt time.Time
	canReboot bool
	asked     bool   // canReboot is known; nothing is reported before
	stopping  bool   // no command is accepted any more
	lastMode  string // of the door, to log one line per change
}

// New reads the state of earlier runs and boots, and judges what the present
// boot proves. It does without what it cannot read: a sick disk must not keep
// a device from its hub.
func New(c Config) *Agent {
	if c.RebootDelay == 0 {
		c.RebootDelay = DefaultRebootDelay
	}
	if c.save == nil {
		c.save = ledger.SaveOperations
	}
	a := &Agent{
		Config: c, log: c.Log,
		doorQueue: newQueue(),
		wake:      make(chan struct{}, 1),
		answers:   map[string]chan struct{}{},
		hub:       noHub{},
		startedOn: c.Machine.Uptime(),
	}
	a.loadState()
	a.judgeBoot()
	a.restoreDesired()
	return a
}

func (a *Agent) commandsFile() string   { return filepath.Join(a.StateDir, "commands.journal") }
func (a *Agent) operationsFile() string { return filepath.Join(a.StateDir, "operations.json") }
func (a *Agent) desiredFile() string    { return filepath.Join(a.StateDir, "desired.json") }

func (a *Agent) loadState() {
	if a.ops, a.unsavable = ledger.LoadOperations(a.operationsFile(), a.log); a.unsavable != nil {
		a.log.Error("no operation is accepted until the next start", "error", a.unsavable)
	}
	if a.ops.Device != "" && a.Device != "" && a.ops.Device != a.Device {
		a.setStateAside()
	}
	a.commands = ledger.OpenCommands(a.commandsFile(), a.log)
	if a.desired, a.desiredLost = loadDesired(a.desiredFile(), a.log); a.desiredLost != nil {
		a.log.Error("the desired properties of earlier runs are not known", "error", a.desiredLost)
	}
}

// setStateAside puts away what another device left in the state directory, as
// in a card that was copied: its boots and commands prove nothing about this
// one.
func (a *Agent) setStateAside() {
	a.log.Warn("the state directory belongs to another device; its state is set aside", "other", a.ops.Device)
	a.ops = ledger.Operations{}
	for _, path := range []string{a.commandsFile(), a.desiredFile(), a.operationsFile()} {
		if _, err := atomicfile.SetAside(path, "other-device"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.log.Error("cannot set aside the state of another device", "error", err)
		}
	}
}

// judgeBoot compares the present boot with what the last run left behind.
func (a *Agent) judgeBoot() {
	after, notes := judge(a.ops, a.Boot, a.Machine.Uptime())
	for _, n := range notes {
		a.log.Info(n)
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	a.keepChanging(func(o *ledger.Operations) {
		*o = after
		if a.Device != "" {
			o.Device = a.Device
		}
	})
}

// Connect gives the agent its hub. Call it once, before Run and Serve.
func (a *Agent) Connect(hub Hub) { a.hub = hub }

// noHub stands in until Connect.
type noHub struct{}

func (noHub) Report(map[string]any)       {}
func (noHub) Flush(context.Context) error { return errors.New("no hub") }

// Run works until ctx ends: operations, lock commands, reports. When it ends
// because the machine goes down, it leaves the mark that proves an orderly
// shutdown.
func (a *Agent) Run(ctx context.Context) error {
	doors, endDoors := context.WithCancel(context.WithoutCancel(ctx))
	defer endDoors()
	var work sync.WaitGroup
	work.Go(func() { a.doorQueue.run(doors) }) // waits for no bus and no disk
	work.Go(func() {
		a.settleClock()
		if err := a.askCanReboot(ctx); err != nil {
			a.log.Warn("this device cannot reboot itself", "reason", err)
		}
		a.operate(ctx)
	})
	<-ctx.Done()
	a.mu.Lock()
	a.stopping = true // before the queue ends, so that nothing is left in it
	a.mu.Unlock()
	endDoors()
	work.Wait()
	a.markGoingDown()
	a.awaitMethods()
	return bounded(a.commands.Close)
}

// awaitMethods waits for methods that are being carried out, so that their
// outcome gets into the journal, but not longer than an answer may take.
func (a *Agent) awaitMethods() {
	served := make(chan struct{})
	go func() {
		a.serving.Wait()
		close(served)
	}()
	timeout := time.NewTimer(answerWithin)
	defer timeout.Stop()
	select {
	case <-served:
	case <-timeout.C:
	}
}

// now is the wall clock and whether to believe it.
func (a *Agent) now() (time.Time, bool) {
	state, _ := a.Clock.State()
	return a.Clock.Now().UTC(), trusted(state)
}

// trustedNow is the wall clock for what is written down; zero while it cannot
// be believed.
func (a *Agent) trustedNow() time.Time {
	now, ok := a.now()
	if !ok {
		return time.Time{}
	}
	return now
}

// ClockChanged tells the agent that the clock's state changed or that it was
// stepped.
func (a *Agent) ClockChanged() {
	a.settleClock()
	a.report()
	poke(a.wake)
}

// DoorChanged tells the agent that the door's status changed.
func (a *Agent) DoorChanged() {
	s := a.Door.Status()
	a.mu.Lock()
	changed := a.lastMode != s.State+" "+s.Mode
	a.lastMode = s.State + " " + s.Mode
	a.mu.Unlock()
	if changed {
		a.log.Info("door "+s.State, "mode", s.Mode)
	}
	a.report()
	poke(a.wake)
}

// askCanReboot asks the machine, for a bounded time, and keeps the answer for
// the report.
func (a *Agent) askCanReboot(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, askMachine)
	defer cancel()
	err := a.Machine.CanReboot(ctx)
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("the machine did not say within %s whether it may reboot; try again, and see whether its D-Bus and systemd-logind work: %w", askMachine, err)
	}
	a.mu.Lock()
	changed := !a.asked || a.canReboot != (err == nil)
	a.asked, a.canReboot = true, err == nil
	a.mu.Unlock()
	if changed {
		go a.report()
	}
	return err
}

// goingDown asks whether the whole machine is going down, for a bounded time.
func (a *Agent) goingDown(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askMachine)
	defer cancel()
	return a.Machine.Stopping(ctx)
}

// update changes the operations on disk and, if that succeeded, in memory.
func (a *Agent) update(change func(o *ledger.Operations)) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	return a.updateChanging(change)
}

// updateChanging is update for a caller that holds changing.
func (a *Agent) updateChanging(change func(o *ledger.Operations)) error {
	o := a.ops.Clone()
	change(&o)
	if a.unsavable != nil {
		return fmt.Errorf("record the operation: %w", a.unsavable)
	}
	if err := a.save(a.operationsFile(), o); err != nil {
		return fmt.Errorf("record the operation: %w", err)
	}
	a.unsaved = false
	a.remember(o)
	return nil
}

// keepChanging is updateChanging for what is true whether or not the disk
// takes it. What it did not take is written when it can be.
func (a *Agent) keepChanging(change func(o *ledger.Operations)) {
	err := a.updateChanging(change)
	if err == nil {
		return
	}
	if !a.unsaved && a.unsavable == nil {
		a.log.Error("the disk does not take what became of an operation; trying again", "error", err)
	}
	o := a.ops.Clone()
	change(&o)
	a.unsaved = true
	a.remember(o)
	poke(a.wake)
}

func (a *Agent) remember(o ledger.Operations) {
	a.mu.Lock()
	a.ops = o
	a.mu.Unlock()
}

// catchUp writes what the disk did not take before. It is false if there is
// still something.
func (a *Agent) catchUp() bool {
	a.mu.Lock()
	behind := a.desired.unsaved
	a.mu.Unlock()
	if behind {
		a.saveDesired()
		a.mu.Lock()
		behind = a.desired.unsaved
		a.mu.Unlock()
	}
	a.changing.Lock()
	defer a.changing.Unlock()
	if !a.unsaved || a.unsavable != nil {
		return !behind
	}
	return a.updateChanging(func(*ledger.Operations) {}) == nil && !behind
}
