package main

import (
	"net"
	"os"
	"path/filepath"
	"time"

	"latchd/agent"
	"latchd/internal/clock"
	"latchd/internal/version"
	"latchd/iothub/device"
)

// wallClock is what the rooms need of a clock, each its own part.
type wallClock interface {
	agent.Clock
	device.Clock
	// Read is Now, and whether it is trusted, of the same moment.
	Read() (now time.Time, isTrusted bool)
}

// clockFile keeps the last trusted time, in the state directory.
const clockFile = "clock"

// hubClock is this machine's clock, which has to find out whether it is right: from
// NTP, or from the hub where NTP is blocked.
func (s *service) hubClock(cfg config) *clock.Clock {
	c := clock.Config{
		Build:        clock.ParseBuild(version.Date),
		File:         filepath.Join(cfg.State.Directory, clockFile),
		Synchronized: clock.Timedate(),
		Marker:       clock.TimesyncdMarker,
		Log:          s.log,
		OnChange:     s.clockChanged,
	}
	if found, err := findCredentials(cfg.Hub); err == nil {
		host, _ := found.connection.DialAddress("443")
		c.DateURL = firstOf(cfg.Hub.DateURL, "https://"+net.JoinHostPort(host, "443"))
		c.RootCAs = found.roots
	}
	return clock.New(c)
}

// checkClock is the clock for a single connection by hand: the system's where NTP
// vouches for it, else one that only knows what time it is not.
func checkClock() device.Clock {
	if _, err := os.Stat(clock.TimesyncdMarker); err == nil {
		return nil
	}
	return clock.New(clock.Config{Build: clock.ParseBuild(version.Date)})
}

// clockChanged passes on that the clock is trusted, is not any more, or jumped.
func (s *service) clockChanged() {
	if lock := s.doors.lock(); lock != nil {
		if err := lock.WallClockChanged(); err != nil {
			s.log.Debug("the lock does not hear of the clock", "error", err)
		}
	}
	s.agent.ClockChanged()
	s.teller.poke()
}

// systemClock is the clock of a simulated machine: the host's, believed.
type systemClock struct {
	device.SystemClock
	since time.Time
}

func (c systemClock) Read() (time.Time, bool)    { return c.Now(), true }
func (c systemClock) State() (string, time.Time) { return clock.Synchronized, c.since }
