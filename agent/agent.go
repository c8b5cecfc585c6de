package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"latchd/agent/health"
	"latchd/agent/ledger"
	"latchd/agent/outbox"
	"latchd/iothub"
)

// Config is what an Agent is made of.
type Config struct {
	Door     Door // nil: this device has no lock
	Machine  Machine
	Clock    Clock
	Boot     Boot
	StateDir string // must exist and survive a reboot
	Device   string // its name at the hub, so that it does not take another's state for its own; "": not known

	Local       Local
	Version     string
	Simulated   bool
	Information map[string]any  // the twin's deviceInformation
	Diagnostics *health.Checker // nil: there are no self-checks
	Log         *slog.Logger

	save func(path string, o ledger.Operations) error // for tests; ledger.SaveOperations if nil
}

// Local is what the device's own configuration says, as far as it may be read
// again while the agent runs; see [Agent.Reload].
type Local struct {
	Fault       string // what is wrong with it, for the operator; "": nothing
	DoorPolicy  DoorPolicy
	RebootDelay time.Duration // between the answer and the reboot where the caller names none; 0: DefaultRebootDelay
	RebootTime  time.Duration // how long the device is away for a reboot, so what a window must have left; 0: maintenance.RebootTime
	MaxPerHour  int           // reboots that the agent asks the machine for in any hour; 0: DefaultMaxPerHour
	MaxPerDay   int           // the same in any day; 0: DefaultMaxPerDay
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

	outbox           *outbox.Outbox
	doorCommands     doorCommands
	refusals, faults budget // of events

	applying  sync.Mutex      // held while properties are put in force; guards the field below
	section   *iothub.Section // the desired section as the hub told it last; nil: not in this run
	reporting sync.Mutex      // held while the reported state is put together and handed over

	// changing is held, and taken before mu, by whoever changes ops: from the
	// look at them until the change is on disk. So a disk that hangs holds up
	// changes only, and neither the lock nor getStatus.
	changing    turn
	unsaved     bool  // ops hold something that the disk does not; guarded by changing
	unsavable   error // why the operations file must not be written; set by New
	desiredLost error // the same of the file of desired properties

	mu            sync.Mutex        // guards the fields below
	policyNow     policyInForce     // the maintenance policy
	toldStatus    map[string]any    // what reportChanges saw last
	ops           ledger.Operations // written with changing held too, so either is enough to read
	desired       desiredState
	answers       map[string]chan struct{} // operation id → closed when its answer went out, or never will
	startedAt     time.Time
	canReboot     bool
	rebootRefusal string // why not; "" if it can
	asked         bool   // canReboot is known; nothing is reported before
	stopping      bool   // no command is accepted any more
	lastMode      string // of the door, to log one line per change
	doorFault     string // as the last event of it said
	localNow      Local
}

// New reads the state of earlier runs and boots, and judges what the present
// boot proves. It does without what it cannot read: a sick disk must not keep
// a device from its hub.
func New(c Config) *Agent {
	if c.save == nil {
		c.save = ledger.SaveOperations
	}
	a := &Agent{
		Config: c, log: c.Log,
		doorQueue: newQueue(),
		wake:      make(chan struct{}, 1),
		changing:  make(turn, 1),
		answers:   map[string]chan struct{}{},
		hub:       noHub{},
		startedOn: c.Machine.Uptime(),
		localNow:  c.Local.complete(),
	}
	a.outbox = outbox.New(outbox.Config{
		Dir: c.StateDir, Boot: c.Boot.ID, Uptime: c.Machine.Uptime, Now: a.now, Log: c.Log,
	})
	a.loadState()
	a.judgeBoot()
	a.restoreDesired()
	return a
}

// Connect gives the agent its hub. Call it once, before Run and Serve.
func (a *Agent) Connect(hub Hub) { a.hub = hub }

// noHub stands in until Connect.
type noHub struct{}

func (noHub) Report(map[string]any)       {}
func (noHub) Flush(context.Context) error { return errors.New("no hub") }
func (noHub) SendAll(ctx context.Context, _ []iothub.Message) (int, error) {
	<-ctx.Done()
	return 0, ctx.Err()
}

// Run works until ctx ends: operations, lock commands, reports. When it ends
// because the machine goes down, it leaves the mark that proves an orderly
// shutdown.
func (a *Agent) Run(ctx context.Context) error {
	doors, endDoors := context.WithCancel(context.WithoutCancel(ctx))
	defer endDoors()
	var work sync.WaitGroup
	work.Go(func() { a.doorQueue.run(doors) }) // waits for no bus and no disk
	work.Go(func() { a.outbox.Run(ctx, a.deliverEvents) })
	if a.Door != nil {
		a.tellFault(a.Door.Status().Fault)
	}
	work.Go(func() {
		a.settleClock()
		_ = a.askCanReboot(ctx) // told by what follows
		work.Go(func() { a.followCanReboot(ctx) })
		a.operate(ctx)
	})
	<-ctx.Done()
	a.mu.Lock()
	a.stopping = true // before the queue ends, so that nothing is left in it
	a.mu.Unlock()
	endDoors()
	// Each wait is bounded: a disk or a lock that hangs must not keep the
	// caller from stopping the door.
	waitAtMost(work.Wait)
	if err := bounded(a.markGoingDown); err != nil {
		a.log.Error("cannot mark the orderly shutdown; the next boot will not know of it", "error", err)
	}
	waitAtMost(a.serving.Wait) // so that outcomes get into the journal
	return bounded(a.commands.Close)
}

// waitAtMost waits, but not longer than an answer may take.
func waitAtMost(wait func()) {
	done := make(chan struct{})
	go func() {
		wait()
		close(done)
	}()
	timeout := time.NewTimer(answerWithin)
	defer timeout.Stop()
	select {
	case <-done:
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
	a.outbox.ClockChanged()
	a.report()
	poke(a.wake)
}

// DoorChanged tells the agent that the door's status changed.
func (a *Agent) DoorChanged() {
	if a.Door == nil {
		return
	}
	s := a.Door.Status()
	a.mu.Lock()
	changed := a.lastMode != s.State+" "+s.Mode
	a.lastMode = s.State + " " + s.Mode
	a.mu.Unlock()
	if changed {
		a.log.Info("door "+s.State, "mode", s.Mode)
	}
	a.tellFault(s.Fault)
	a.report()
	poke(a.wake)
}

// askCanReboot asks the machine, for a bounded time, and keeps the answer for
// the report.
func (a *Agent) askCanReboot(parent context.Context) error {
	ctx, cancel := context.WithTimeout(parent, askMachine)
	defer cancel()
	err := a.Machine.CanReboot(ctx)
	if err != nil && parent.Err() != nil {
		return err // nobody waits for an answer any more, and this is none
	}
	if err != nil && ctx.Err() != nil {
		err = fmt.Errorf("the machine did not say within %s whether it may reboot; try again, and see whether its D-Bus and systemd-logind work: %w", askMachine, err)
	}
	a.mu.Lock()
	changed := !a.asked || a.canReboot != (err == nil)
	a.asked, a.canReboot, a.rebootRefusal = true, err == nil, ""
	if err != nil {
		a.rebootRefusal = err.Error()
	}
	a.mu.Unlock()
	if changed {
		go a.report()
	}
	return err
}

// How soon the machine is asked again whether it may reboot. What forbids it often
// goes away by itself: a package manager that holds an inhibitor while it upgrades
// this very program, a bus that is slow while the machine starts.
const (
	askAgainIfNot = time.Minute
	askAgainIfSo  = time.Hour
)

// followCanReboot keeps the report of it true until ctx ends.
func (a *Agent) followCanReboot(ctx context.Context) {
	told := ""
	for {
		a.mu.Lock()
		can, reason := a.canReboot, a.rebootRefusal
		a.mu.Unlock()
		pause := askAgainIfSo
		if !can {
			pause = askAgainIfNot
			if reason != told {
				a.log.Warn("this device cannot reboot itself now", "reason", reason)
			}
		} else if told != "" {
			a.log.Info("this device can reboot itself again")
		}
		told = reason
		again := time.NewTimer(pause + rand.N(pause/10))
		select {
		case <-ctx.Done():
			again.Stop()
			return
		case <-again.C:
		}
		_ = a.askCanReboot(ctx) // told above
	}
}

// goingDown asks whether the whole machine is going down, for a bounded time.
func (a *Agent) goingDown(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, askMachine)
	defer cancel()
	return a.Machine.Stopping(ctx)
}

// stuckAfter is how long one lock command may take before the queue counts as
// stuck. The longest that a lock and a disk are waited for is 5 s together.
const stuckAfter = 15 * time.Second

// Alive is nil while lock commands are carried out: the error says that one has
// been under way for far longer than any may take. It returns at once.
func (a *Agent) Alive() error {
	if busy := a.doorQueue.busy(); busy > stuckAfter {
		return fmt.Errorf("a lock command has been under way for %s", busy.Round(time.Second))
	}
	return nil
}
