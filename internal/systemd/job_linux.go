package systemd

import (
	"context"
	"fmt"
	"os"

	"github.com/godbus/dbus/v5"
)

const (
	managerName = "org.freedesktop.systemd1"
	managerPath = "/org/freedesktop/systemd1"
)

// Managed tells whether a service manager that listens started this process.
func Managed() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// Job asks the manager over D-Bus what it is doing with this service: "stop",
// "restart", "start", or "" when it does nothing. The signal that ends a service is
// the same for a stop and a restart, so this is the only way to tell them apart.
//
// A service that is killed by hand has no job; a unit with Restart=always is then
// started again.
func Job(ctx context.Context) (string, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil {
		return "", fmt.Errorf("ask systemd for this service's job: connect to D-Bus: %w", err)
	}
	defer conn.Close()
	kind, err := jobOf(ctx, conn, os.Getpid())
	if err != nil {
		return "", fmt.Errorf("ask systemd for this service's job: %w", err)
	}
	return kind, nil
}

func jobOf(ctx context.Context, conn *dbus.Conn, pid int) (string, error) {
	var unit dbus.ObjectPath
	err := conn.Object(managerName, managerPath).
		CallWithContext(ctx, managerName+".Manager.GetUnitByPID", 0, uint32(pid)).Store(&unit)
	if err != nil {
		return "", err
	}
	var job struct {
		ID   uint32
		Path dbus.ObjectPath
	}
	if err := property(ctx, conn, unit, managerName+".Unit", "Job", &job); err != nil {
		return "", err
	}
	if job.ID == 0 {
		return "", nil
	}
	var kind string
	err = property(ctx, conn, job.Path, managerName+".Job", "JobType", &kind)
	return kind, err
}

func property(ctx context.Context, conn *dbus.Conn, path dbus.ObjectPath, iface, name string, value any) error {
	return conn.Object(managerName, path).
		CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, iface, name).Store(value)
}
