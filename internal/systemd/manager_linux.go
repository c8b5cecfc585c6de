package systemd

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// RuntimeWatchdog asks the manager for how long the hardware watchdog waits for it;
// 0 means that the manager does not feed it.
func RuntimeWatchdog(ctx context.Context) (time.Duration, error) {
	var microseconds uint64
	err := onBus(ctx, func(conn *dbus.Conn) error {
		return property(ctx, conn, managerPath, managerName+".Manager", "RuntimeWatchdogUSec", &microseconds)
	})
	if err != nil {
		return 0, fmt.Errorf("ask systemd for the hardware watchdog: %w", err)
	}
	// The greatest number stands for no limit, which is no watchdog either.
	const longest = uint64(24 * time.Hour / time.Microsecond)
	if microseconds > longest {
		return 0, nil
	}
	return time.Duration(microseconds) * time.Microsecond, nil
}

// Stored asks the manager how many descriptors it keeps for this service.
func Stored(ctx context.Context) (int, error) {
	var n uint32
	err := onBus(ctx, func(conn *dbus.Conn) error {
		var unit dbus.ObjectPath
		err := conn.Object(managerName, managerPath).
			CallWithContext(ctx, managerName+".Manager.GetUnitByPID", 0, uint32(os.Getpid())).Store(&unit)
		if err != nil {
			return err
		}
		return property(ctx, conn, unit, managerName+".Service", "NFileDescriptorStore", &n)
	})
	if err != nil {
		return 0, fmt.Errorf("ask systemd for the descriptors that it keeps: %w", err)
	}
	return int(n), nil
}

func onBus(ctx context.Context, ask func(*dbus.Conn) error) error {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("connect to D-Bus: %w", err)
	}
	defer conn.Close()
	return ask(conn)
}
