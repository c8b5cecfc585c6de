package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"latchd/agent/ledger"
	"latchd/agent/outbox"
	"latchd/internal/atomicfile"
)

func (a *Agent) commandsFile() string   { return filepath.Join(a.StateDir, "commands.journal") }
func (a *Agent) operationsFile() string { return filepath.Join(a.StateDir, "operations.json") }
func (a *Agent) desiredFile() string    { return filepath.Join(a.StateDir, "desired.json") }

func (a *Agent) eventsFile() string { return filepath.Join(a.StateDir, outbox.JournalFile) }
func (a *Agent) eventNumbersFile() string {
	return filepath.Join(a.StateDir, outbox.ReservationFile)
}

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
	// The operations last: they say whose state it is, so a start that is cut
	// short here is made up for by the next one.
	for _, path := range []string{a.commandsFile(), a.desiredFile(), a.eventsFile(), a.eventNumbersFile(), a.operationsFile()} {
		if _, err := atomicfile.SetAside(path, "other-device"); err != nil && !errors.Is(err, fs.ErrNotExist) {
			a.unsavable = fmt.Errorf("the state of another device is in the way: %w", err)
			a.log.Error("no operation is accepted until the next start", "error", a.unsavable)
			return
		}
	}
}

// judgeBoot compares the present boot with what the last run left behind.
func (a *Agent) judgeBoot() {
	after, notes := judge(a.ops, a.Boot, a.Machine.Uptime())
	for _, n := range notes {
		a.log.Info(n)
	}
	a.changing.lock()
	defer a.changing.unlock()
	before := a.ops.Pending
	a.keepChanging(func(o *ledger.Operations) {
		*o = after
		if a.Device != "" {
			o.Device = a.Device
		}
	})
	for _, op := range before {
		for _, r := range a.ops.Receipts {
			if r.OperationID == op.ID {
				a.tellEnd(op, r)
			}
		}
	}
	a.tellBoot()
}

// update changes the operations on disk and, if that succeeded, in memory.
func (a *Agent) update(change func(o *ledger.Operations)) error {
	a.changing.lock()
	defer a.changing.unlock()
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
	a.changing.lock()
	defer a.changing.unlock()
	if !a.unsaved || a.unsavable != nil {
		return !behind
	}
	return a.updateChanging(func(*ledger.Operations) {}) == nil && !behind
}
