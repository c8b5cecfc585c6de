package main

import (
	"errors"
	"time"

	"latchd/agent"
	"latchd/gpio"
)

// door gives the agent the lock in the agent's own words.
type door struct{ lock *gpio.Lock }

func (d door) LockDoor(lockTime *time.Duration) (agent.DoorStatus, error) {
	s, err := d.lock.LockDoor(lockTime)
	return doorStatus(s), doorError(err)
}

func (d door) UnlockDoor(unlockTime *time.Duration, hold bool) (agent.DoorStatus, error) {
	s, err := d.lock.UnlockDoor(unlockTime, hold)
	return doorStatus(s), doorError(err)
}

func (d door) Status() agent.DoorStatus { return doorStatus(d.lock.Status()) }

func (d door) SetPolicy(p agent.DoorPolicy) error {
	return doorError(d.lock.SetPolicy(gpio.Policy{
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

// brokenDoor stands for a lock whose line cannot be opened: the device stays
// reachable and says what is wrong.
type brokenDoor struct{ err error }

func (d brokenDoor) LockDoor(*time.Duration) (agent.DoorStatus, error) {
	return d.Status(), &agent.UnavailableError{Err: d.err}
}

func (d brokenDoor) UnlockDoor(*time.Duration, bool) (agent.DoorStatus, error) {
	return d.Status(), &agent.UnavailableError{Err: d.err}
}

func (d brokenDoor) Status() agent.DoorStatus {
	return agent.DoorStatus{State: string(gpio.StateUnknown), Mode: string(gpio.ModeResting), Fault: d.err.Error()}
}
func (d brokenDoor) SetPolicy(agent.DoorPolicy) error { return d.err }

// doorEvents are what happened with a change of the lock, in the agent's words.
func doorEvents(c gpio.Change) []agent.DoorEvent {
	events := make([]agent.DoorEvent, len(c.Events))
	for i, e := range c.Events {
		events[i] = agent.DoorEvent{Name: string(e.Name), Cause: string(e.Cause), At: e.At, Time: e.Time}
	}
	return events
}
