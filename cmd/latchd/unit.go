package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// unitName is the service.
const unitName = "latchd.service"

const (
	systemdName    = "org.freedesktop.systemd1"
	systemdPath    = "/org/freedesktop/systemd1"
	systemdManager = systemdName + ".Manager"

	// restartWithin bounds the wait for a restart: an ordered stop takes under
	// 5 s, and the service is up when the lock is under control.
	restartWithin = 60 * time.Second
)

// errNoSystemd says that nobody here can restart the service.
var errNoSystemd = errors.New("systemd does not run here")

// restartService has systemd restart the service, and waits until it has. A
// restart is how the service gets new credentials; the lock's line goes through
// it as it is.
func (s system) restartService(ctx context.Context) error {
	if _, err := os.Stat(s.path("/run/systemd/system")); err != nil { // sd_booted(3)
		return errNoSystemd
	}
	ctx, cancel := context.WithTimeout(ctx, restartWithin)
	defer cancel()
	conn, err := s.bus(ctx)
	if err != nil {
		return fmt.Errorf("connect to the system's D-Bus: %w", err)
	}
	defer conn.Close()
	// Before the job is asked for: it may be done before the answer is read. The
	// manager sends the signal to whoever asked for the job.
	const backlog = 64 // of other jobs, meanwhile
	signals := make(chan *dbus.Signal, backlog)
	conn.Signal(signals)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(systemdName),
		dbus.WithMatchInterface(systemdManager), dbus.WithMatchMember("JobRemoved")); err != nil {
		return fmt.Errorf("watch systemd's jobs: %w", err)
	}
	var job dbus.ObjectPath
	const mode = "replace" // whatever else was to happen to the service
	err = conn.Object(systemdName, systemdPath).
		CallWithContext(ctx, systemdManager+".RestartUnit", 0, unitName, mode).Store(&job)
	if err != nil {
		err = explainRestart(err)
	} else {
		err = awaitJob(ctx, job, signals)
	}
	switch cause := ctx.Err(); { // the connection ends with ctx, and anything may come of that
	case err == nil, cause == nil:
		return err
	case cause == context.DeadlineExceeded:
		return fmt.Errorf("systemd has not restarted the service within %s", restartWithin)
	default:
		return cause
	}
}

func awaitJob(ctx context.Context, job dbus.ObjectPath, signals <-chan *dbus.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-signals:
			if !ok {
				return errors.New("the D-Bus connection ended before systemd had restarted the service")
			}
			var (
				id           uint32
				path         dbus.ObjectPath
				unit, result string
			)
			if s.Name != systemdManager+".JobRemoved" || dbus.Store(s.Body, &id, &path, &unit, &result) != nil || path != job {
				continue
			}
			if result != "done" {
				return fmt.Errorf("systemd could not restart the service: its job ended as %q", result)
			}
			return nil
		}
	}
}

// explainRestart says what an error of the bus means.
func explainRestart(err error) error {
	failed, ok := errors.AsType[dbus.Error](err)
	if !ok {
		return fmt.Errorf("ask systemd to restart the service: %w", err)
	}
	switch failed.Name {
	case systemdName + ".NoSuchUnit":
		return fmt.Errorf("there is no %s on this machine; the latchd package brings it: %w", unitName, err)
	case systemdName + ".UnitMasked":
		return fmt.Errorf("the service is masked; systemctl unmask %s lets it run: %w", unitName, err)
	}
	return fmt.Errorf("systemd refused to restart the service (%s): %w", failed.Name, err)
}
