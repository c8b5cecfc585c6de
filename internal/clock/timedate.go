package clock

import (
	"context"
	"fmt"

	"github.com/godbus/dbus/v5"
)

// Timedate gives the function that asks systemd's timedate1 on the system's D-Bus
// whether NTP vouches for the system clock ([Config].Synchronized). It connects for
// each question, which is rare.
func Timedate() func(context.Context) (bool, error) {
	return timedate(func(ctx context.Context) (*dbus.Conn, error) {
		return dbus.ConnectSystemBus(dbus.WithContext(ctx))
	})
}

func timedate(dial func(context.Context) (*dbus.Conn, error)) func(context.Context) (bool, error) {
	const name = "org.freedesktop.timedate1"
	return func(ctx context.Context) (bool, error) {
		conn, err := dial(ctx)
		if err != nil {
			return false, fmt.Errorf("connect to the system's D-Bus: %w", err)
		}
		defer conn.Close()
		var vouches bool
		err = conn.Object(name, "/org/freedesktop/timedate1").CallWithContext(ctx,
			"org.freedesktop.DBus.Properties.Get", 0, name, "NTPSynchronized").Store(&vouches)
		if err != nil {
			return false, fmt.Errorf("ask %s: %w", name, err)
		}
		return vouches, nil
	}
}
