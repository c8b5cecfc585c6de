package firmware

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/godbus/dbus/v5"
)

// logind asks systemd-logind, over the system's D-Bus, to reboot this machine. It
// connects for each question: they are rare, and a connection that is kept would
// have to be mended when the bus is restarted.
type logind struct {
	dial func(context.Context) (*dbus.Conn, error) // a connection of its own, which ends with the context
}

const (
	logindName  = "org.freedesktop.login1"
	logindPath  = "/org/freedesktop/login1"
	managerName = logindName + ".Manager"

	remedyPolkit = "install the polkit rule of the latchd package (/usr/share/polkit-1/rules.d/latchd.rules), which lets the service's user reboot"
)

// inhibitor is one entry of ListInhibitors.
type inhibitor struct {
	What, Who, Why, Mode string
	UID, PID             uint32
}

// blocks tells whether it forbids a reboot. One of mode "delay" only holds it up
// for some seconds.
func (i inhibitor) blocks() bool {
	return strings.HasPrefix(i.Mode, "block") && slices.Contains(strings.Split(i.What, ":"), "shutdown")
}

// canReboot is nil when logind would reboot the machine for this process now; the
// error names who or what forbids it, and the remedy.
func (l logind) canReboot(ctx context.Context) error {
	return l.ask(ctx, func(manager dbus.BusObject) error {
		if err := inhibited(ctx, manager); err != nil {
			return err
		}
		var answer string
		if err := manager.CallWithContext(ctx, managerName+".CanReboot", 0).Store(&answer); err != nil {
			return explain(err)
		}
		switch answer {
		case "yes":
			return nil
		case "na":
			return errors.New("systemd-logind says that this machine cannot be rebooted; a container cannot")
		default: // "no", "challenge": only a person who gives a password may
			return fmt.Errorf("systemd-logind does not let this user reboot (it says %q); %s", answer, remedyPolkit)
		}
	})
}

// reboot asks logind to reboot. nil means that it accepted.
func (l logind) reboot(ctx context.Context) error {
	return l.ask(ctx, func(manager dbus.BusObject) error {
		const interactive = false // there is nobody who could give a password
		err := manager.CallWithContext(ctx, managerName+".Reboot", 0, interactive).Err
		if err == nil {
			return nil
		}
		if inhibitErr := inhibited(ctx, manager); inhibitErr != nil {
			return inhibitErr
		}
		return explain(err)
	})
}

func (l logind) ask(ctx context.Context, question func(manager dbus.BusObject) error) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to the system's D-Bus: %w; is dbus.service running?", err)
	}
	defer conn.Close()
	err = question(conn.Object(logindName, logindPath))
	if err != nil && ctx.Err() != nil { // the connection ends with ctx, and its own words do not tell
		return fmt.Errorf("systemd-logind did not answer in time: %w", ctx.Err())
	}
	return err
}

// inhibited is an error that names every program which forbids a reboot.
func inhibited(ctx context.Context, manager dbus.BusObject) error {
	holders, err := inhibitors(ctx, manager)
	if err != nil || len(holders) == 0 {
		return err
	}
	return fmt.Errorf("a reboot is inhibited by %s; end that, or wait for it (systemd-inhibit --list shows it)", strings.Join(holders, ", "))
}

// inhibitors names every program which forbids a reboot, with its reason.
func inhibitors(ctx context.Context, manager dbus.BusObject) ([]string, error) {
	var all []inhibitor
	if err := manager.CallWithContext(ctx, managerName+".ListInhibitors", 0).Store(&all); err != nil {
		return nil, explain(err)
	}
	var holders []string
	for _, i := range all {
		if i.blocks() {
			holders = append(holders, fmt.Sprintf("%s (process %d): %s", i.Who, i.PID, i.Why))
		}
	}
	return holders, nil
}

// explain says what an error of the bus means for an operator.
func explain(err error) error {
	var failed dbus.Error
	if !errors.As(err, &failed) {
		return fmt.Errorf("ask systemd-logind: %w", err)
	}
	switch failed.Name {
	case "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", "org.freedesktop.DBus.Error.AccessDenied",
		"org.freedesktop.DBus.Error.AuthFailed":
		return fmt.Errorf("systemd-logind does not let this user reboot (%w); %s", err, remedyPolkit)
	case "org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner",
		"org.freedesktop.systemd1.NoSuchUnit", "org.freedesktop.systemd1.UnitMasked":
		return fmt.Errorf("systemd-logind does not run (%w); start it: systemctl start systemd-logind", err)
	case "org.freedesktop.login1.OperationInProgress":
		return fmt.Errorf("a shutdown or a sleep is under way already: %w", err)
	default:
		return fmt.Errorf("systemd-logind refused (%s): %w", failed.Name, err)
	}
}

// stopping asks systemd whether the whole machine is going down.
func (l logind) stopping(ctx context.Context) bool {
	conn, err := l.dial(ctx)
	if err != nil {
		return false
	}
	defer conn.Close()
	var state string
	err = conn.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1").CallWithContext(ctx,
		"org.freedesktop.DBus.Properties.Get", 0, "org.freedesktop.systemd1.Manager", "SystemState").Store(&state)
	return err == nil && state == "stopping"
}

// watchShutdown calls preparing at every PrepareForShutdown signal: with true when
// the machine begins to go down, with false when that was called off. It returns
// when ctx ends or the connection is lost.
func (l logind) watchShutdown(ctx context.Context, preparing func(bool)) error {
	conn, err := l.dial(ctx)
	if err != nil {
		return fmt.Errorf("connect to the system's D-Bus: %w", err)
	}
	defer conn.Close()
	const backlog = 16 // such signals come once a shutdown
	signals := make(chan *dbus.Signal, backlog)
	conn.Signal(signals)
	err = conn.AddMatchSignalContext(ctx,
		dbus.WithMatchSender(logindName), dbus.WithMatchObjectPath(logindPath),
		dbus.WithMatchInterface(managerName), dbus.WithMatchMember("PrepareForShutdown"))
	if err != nil {
		return fmt.Errorf("watch for a shutdown: %w", err)
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-signals:
			if !ok {
				return errors.New("watch for a shutdown: the D-Bus connection ended")
			}
			if s.Name != managerName+".PrepareForShutdown" || len(s.Body) == 0 {
				continue
			}
			if begins, ok := s.Body[0].(bool); ok {
				preparing(begins)
			}
		}
	}
}
