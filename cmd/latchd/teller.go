package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"latchd/internal/systemd"
)

// teller tells systemd how the service does: that it is ready, one line of status,
// and that it is alive.
type teller struct {
	s    *service
	wake chan struct{}

	telling sync.Mutex // held while a status goes out: systemd keeps the last, which must be the newest
	said    string     // guarded by telling
}

func newTeller(s *service) *teller {
	t := &teller{s: s, wake: make(chan struct{}, 1)}
	s.link.onChange(t.poke)
	return t
}

// poke tells that the status line may be out of date.
func (t *teller) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// ready tells that the lock is under control, or that there is none. Whether the
// network is there has nothing to do with it.
func (t *teller) ready() {
	t.tellStatus()
	if err := systemd.Ready(); err != nil {
		t.s.log.Error("systemd does not hear that the service is ready", "error", err)
	}
}

// run keeps the status line true and feeds the watchdog until ctx ends.
func (t *teller) run(ctx context.Context) {
	// A burst of changes is one line.
	const quiet = 100 * time.Millisecond
	var fed <-chan time.Time
	if interval := systemd.WatchdogInterval(); interval > 0 {
		ticker := time.NewTicker(interval / 3) // a third, so that one that comes late does no harm
		defer ticker.Stop()
		fed = ticker.C
		t.feed()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-fed:
			t.feed()
		case <-t.wake:
			pause := time.NewTimer(quiet)
			select {
			case <-pause.C:
			case <-ctx.Done():
			}
			pause.Stop()
			t.tellStatus()
		}
	}
}

// feed tells the watchdog that useful work is done: the goroutine that owns the
// lock's line answers, and so does the agent. One that does not is restarted by
// systemd, and the line stays as it is.
func (t *teller) feed() {
	if lock := t.s.doors.lock(); lock != nil {
		if err := lock.Alive(); err != nil {
			t.s.log.Error("the watchdog is not fed", "error", err)
			return
		}
	}
	if err := t.s.agent.Alive(); err != nil {
		t.s.log.Error("the watchdog is not fed", "error", err)
		return
	}
	if err := systemd.Alive(); err != nil {
		t.s.log.Error("the watchdog cannot be fed", "error", err)
	}
}

func (t *teller) tellStatus() {
	t.telling.Lock()
	defer t.telling.Unlock()
	line := t.s.statusLine()
	if line == t.said {
		return
	}
	t.said = line
	if err := systemd.Status(line); err != nil {
		t.s.log.Debug("systemd does not hear the status", "error", err)
	}
}

// statusLine is what `systemctl status` shows: the fault first, then the door, then
// the hub.
func (s *service) statusLine() string {
	var parts []string
	if fault := s.faultNow(); fault != "" {
		parts = append(parts, "fault: "+fault)
	}
	if lock := s.doors.lock(); lock != nil {
		st := lock.Status()
		door := "door " + string(st.State)
		if string(st.Mode) != "resting" {
			door += " (" + string(st.Mode) + ")"
		}
		if st.Fault != "" {
			door += ", " + st.Fault
		}
		parts = append(parts, door)
	} else if s.doors.wrong() != nil {
		parts = append(parts, "door not under control")
	} else {
		parts = append(parts, "no door")
	}
	up, _, why := s.link.state()
	switch {
	case up:
		parts = append(parts, "connected to "+s.hubHost)
	case errors.Is(why, errNotConfigured):
		parts = append(parts, why.Error())
	case why != nil:
		parts = append(parts, "not connected: "+why.Error())
	default:
		parts = append(parts, "connecting to "+s.hubHost)
	}
	return strings.Join(parts, "; ")
}
