package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"latchd/agent"
	"latchd/gpio"
	"latchd/internal/systemd"
)

// reloads gives what reads the configuration again at every SIGHUP. They are
// listened for from now on: one that came a moment after READY must not be lost.
func (s *service) reloads() func(context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return func(ctx context.Context) {
		defer signal.Stop(hangups)
		for {
			select {
			case <-ctx.Done():
				return
			case <-hangups:
				s.reload()
			}
		}
	}
}

// reload puts the configuration in force that the file now holds: the door's times
// and rest, the delay of a reboot, the log's level. What needs a restart refuses the
// whole file, and so does a mistake: what is in force stays, and the status tells.
func (s *service) reload() {
	s.reloading.Lock()
	defer s.reloading.Unlock()
	if err := systemd.Reloading(); err != nil {
		s.log.Debug("systemd does not hear of the reload", "error", err)
	}
	cfg, err := loadConfig(s.configFile)
	if err == nil {
		err = s.adjust(cfg)
	}
	if err != nil {
		s.log.Error("the configuration was read again and is refused; the one before stays in force", "error", err)
		s.setFault("reload refused: " + err.Error())
	} else {
		s.log.Info("the configuration was read again")
		s.setFault("")
	}
	s.agent.Reload(s.local())
	s.teller.tellStatus()
	if err := systemd.Ready(); err != nil {
		s.log.Error("systemd does not hear that the reload ended", "error", err)
	}
}

// adjust takes what may change while the service runs.
func (s *service) adjust(cfg config) error {
	if what := s.needsRestart(cfg); what != "" {
		return errors.New(what + " was changed, which needs a restart: systemctl restart latchd")
	}
	if lock := s.doors.lock(); lock != nil {
		err := lock.SetSettings(cfg.settings())
		if restart := (*gpio.RestartError)(nil); errors.As(err, &restart) {
			return errors.New("door." + restart.Error())
		}
		if err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.config, s.configErr = cfg, nil
	s.mu.Unlock()
	s.level.Set(cfg.Log.Level)
	return nil
}

// needsRestart names what differs and cannot be changed while the service runs.
func (s *service) needsRestart(cfg config) string {
	switch now := s.configNow(); {
	case cfg.Hub != now.Hub:
		return "[hub]"
	case cfg.State != now.State:
		return "[state]"
	case cfg.Door.Line == "" && (s.doors.lock() != nil || s.doors.wrong() != nil):
		return "door.line"
	case cfg.Door.Line != "" && s.doors.lock() == nil && s.doors.wrong() == nil:
		return "door.line"
	}
	return ""
}

// local is the configuration as far as the agent takes it while it runs.
func (s *service) local() agent.Local {
	cfg := s.configNow()
	settings, _ := cfg.settings().Complete() // it was checked when it was read
	if lock := s.doors.lock(); lock != nil {
		settings = lock.Settings()
	}
	return s.localWith(cfg, settings.Policy)
}

func (s *service) localWith(cfg config, p gpio.Policy) agent.Local {
	l := agent.Local{
		Fault: s.faultNow(), DoorPolicy: policy(p),
		RebootDelay: time.Duration(cfg.Reboot.Delay), RebootTime: time.Duration(cfg.Reboot.EstimatedDuration),
	}
	if n := cfg.Reboot.MaxPerHour; n != nil {
		l.MaxPerHour = *n
	}
	if n := cfg.Reboot.MaxPerDay; n != nil {
		l.MaxPerDay = *n
	}
	return l
}

func (s *service) configNow() config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

// faultNow is all that is wrong: with the configuration, with opening the lock, and
// with a line that the configuration has left.
func (s *service) faultNow() string {
	s.mu.Lock()
	all := []string{s.fault}
	s.mu.Unlock()
	if err := s.doors.wrong(); err != nil {
		all = append(all, "the lock: "+err.Error())
	}
	for _, n := range s.doors.notesSoFar() {
		all = append(all, "lockLineChanged: "+n)
	}
	return strings.Join(slices.DeleteFunc(all, func(text string) bool { return text == "" }), "; ")
}

func (s *service) setFault(fault string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = fault
}

// configured is the configuration, and why it is not the file's own.
func (s *service) configured() (config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config, s.configErr
}
