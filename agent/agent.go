package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"latchd/agent/ledger"
)

// Config is what an Agent is made of.
type Config struct {
	Door     Door // nil: this device has no lock
	Machine  Machine
	Clock    Clock
	Boot     Boot
	StateDir string // must exist and survive a reboot

	Version     string
	Simulated   bool
	Information map[string]any // the twin's deviceInformation
	DoorPolicy  DoorPolicy     // from the local configuration
	RebootDelay time.Duration  // between the answer and the reboot where the caller names none; 0: DefaultRebootDelay
	Log         *slog.Logger
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
	wake      chan struct{} // pokes the operations loop

	reporting sync.Mutex // held while the reported state is put together and handed over

	mu        sync.Mutex // guards the fields below
	ops       ledger.Operations
	desired   desiredState
	answers   map[string]chan struct{} // operation id → closed when its answer went out, or never will
	startedAt time.Time
	canReboot bool
	lastMode  string // of the door, to log one line per change
}

// New reads the state of earlier runs and boots, and judges what the present
// boot proves.
func New(c Config) (*Agent, error) {
	if c.RebootDelay == 0 {
		c.RebootDelay = DefaultRebootDelay
	}
	a := &Agent{
		Config: c, log: c.Log,
		doorQueue: newQueue(),
		wake:      make(chan struct{}, 1),
		answers:   map[string]chan struct{}{},
		hub:       noHub{},
	}
	var err error
	if a.commands, err = ledger.OpenCommands(filepath.Join(c.StateDir, "commands.journal"), c.Log); err != nil {
		return nil, err
	}
	if a.ops, err = ledger.LoadOperations(a.operationsFile(), c.Log); err != nil {
		return nil, err
	}
	if a.desired, err = loadDesired(a.desiredFile(), c.Log); err != nil {
		return nil, err
	}
	a.judgeBoot()
	a.restoreDesired()
	return a, nil
}

func (a *Agent) operationsFile() string { return filepath.Join(a.StateDir, "operations.json") }
func (a *Agent) desiredFile() string    { return filepath.Join(a.StateDir, "desired.json") }

// judgeBoot compares the present boot with what the last run left behind.
func (a *Agent) judgeBoot() {
	before := a.ops
	after, notes := judge(before, a.Boot, a.Machine.Uptime())
	for _, n := range notes {
		a.log.Info(n)
	}
	a.ops = after
	// Not fatal: the same verdict comes out of the old file at the next start.
	if err := ledger.SaveOperations(a.operationsFile(), after); err != nil {
		a.log.Error("cannot record the verdict on the last boot", "error", err)
	}
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
	a.mu.Lock()
	if now, ok := a.now(); ok {
		a.startedAt = now
	}
	a.mu.Unlock()
	a.checkCanReboot(ctx)
	a.settleClock()
	a.report()

	var work sync.WaitGroup
	work.Go(func() { a.doorQueue.run(ctx) })
	work.Go(func() { a.operate(ctx) })
	work.Wait()
	a.markGoingDown()
	return a.commands.Close()
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

// checkCanReboot asks the machine and remembers the answer for the report.
func (a *Agent) checkCanReboot(ctx context.Context) {
	const bound = 2 * time.Second // a bus that hangs must not hold up the start
	ctx, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	err := a.Machine.CanReboot(ctx)
	a.mu.Lock()
	a.canReboot = err == nil
	a.mu.Unlock()
	if err != nil {
		a.log.Warn("this device cannot reboot itself", "reason", err)
	}
}

// update changes the operations on disk and, if that succeeded, in memory.
func (a *Agent) update(change func(o *ledger.Operations)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.updateLocked(change)
}

func (a *Agent) updateLocked(change func(o *ledger.Operations)) error {
	o := a.ops.Clone()
	change(&o)
	if err := ledger.SaveOperations(a.operationsFile(), o); err != nil {
		return fmt.Errorf("record the operation: %w", err)
	}
	a.ops = o
	return nil
}
