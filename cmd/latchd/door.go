package main

import (
	"errors"
	"time"

	"latchd/agent"
	"latchd/gpio"
)

// door gives the agent the lock in the agent's own words. While none is open the
// device stays reachable and says why.
type door struct{ k *doorkeeper }

// open is the lock; the error says why there is none.
func (d door) open() (*gpio.Lock, error) {
	if lock := d.k.lock(); lock != nil {
		return lock, nil
	}
	err := d.k.wrong()
	if err == nil {
		err = errStopping
	}
	return nil, &agent.UnavailableError{Err: err}
}

func (d door) LockDoor(lockTime *time.Duration) (agent.DoorStatus, error) {
	lock, err := d.open()
	if err != nil {
		return d.Status(), err
	}
	s, err := lock.LockDoor(lockTime)
	return doorStatus(s), doorError(err)
}

func (d door) UnlockDoor(unlockTime *time.Duration, hold bool) (agent.DoorStatus, error) {
	lock, err := d.open()
	if err != nil {
		return d.Status(), err
	}
	s, err := lock.UnlockDoor(unlockTime, hold)
	return doorStatus(s), doorError(err)
}

func (d door) Status() agent.DoorStatus {
	lock, err := d.open()
	if err != nil {
		return agent.DoorStatus{State: string(gpio.StateUnknown), Mode: string(gpio.ModeResting), Fault: err.Error()}
	}
	return doorStatus(lock.Status())
}

func (d door) SetPolicy(p agent.DoorPolicy) error {
	lock, err := d.open()
	if err != nil {
		return err
	}
	return doorError(lock.SetPolicy(gpio.Policy{
		Resting: gpio.Resting(p.Resting), UnlockTime: p.UnlockTime, HeldOpenAfter: p.HeldOpenAfter,
		FromHub: p.FromHub,
	}))
}

func doorStatus(s gpio.Status) agent.DoorStatus {
	out := agent.DoorStatus{
		State: string(s.State), Mode: string(s.Mode), Assumed: s.Assumed,
		Since: s.Since, Until: s.Until,
		Contact: string(s.Contact), Alarm: string(s.Alarm), Fault: s.Fault, Unsaved: s.NotRecorded,
	}
	for _, b := range s.RebootBlockers() {
		out.Blockers = append(out.Blockers, string(b))
	}
	return out
}

func doorError(err error) error {
	var (
		outOfRange *gpio.RangeError
		choice     *gpio.ChoiceError
		lockdown   *gpio.LockdownError
	)
	switch {
	case errors.As(err, &outOfRange):
		return &agent.RangeError{Why: outOfRange.Error()}
	case errors.As(err, &choice):
		return &agent.RangeError{Why: choice.Error()}
	case errors.As(err, &lockdown):
		return &agent.LockdownError{Until: lockdown.Until}
	}
	return err
}

// policy is the lock's policy in the agent's words.
func policy(p gpio.Policy) agent.DoorPolicy {
	return agent.DoorPolicy{Resting: string(p.Resting), UnlockTime: p.UnlockTime, HeldOpenAfter: p.HeldOpenAfter}
}

// doorEvents are what happened with a change of the lock, in the agent's words.
func doorEvents(c gpio.Change) []agent.DoorEvent {
	events := make([]agent.DoorEvent, len(c.Events))
	for i, e := range c.Events {
		events[i] = agent.DoorEvent{Name: string(e.Name), Cause: string(e.Cause), At: e.At, Time: e.Time}
	}
	return events
}
