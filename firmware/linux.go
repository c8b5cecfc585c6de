package firmware

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/godbus/dbus/v5"
)

// Linux is the real machine. Its methods may be called concurrently.
type Linux struct {
	tree   tree
	kernel kernel
	boot   Boot
	logind logind

	preparing atomic.Bool // for a shutdown that logind announced
}

// openLinux reads the machine below root; see OpenLinux.
func openLinux(root tree, k kernel, dir string) (*Linux, error) {
	id, err := root.bootID()
	if err != nil {
		return nil, err
	}
	l := &Linux{tree: root, kernel: k, boot: Boot{ID: id, Container: root.container(k)}, logind: logind{systemBus}}
	if l.boot.Container != "" {
		// What is left of a cause to see in there is the host's.
		l.boot.Cause = CauseUnknown
		return l, nil
	}
	l.boot.Cause, l.boot.Evidence = root.causeOnce(id, filepath.Join(dir, bootFile))
	return l, nil
}

// systemBus connects to the system's D-Bus, to a connection that nobody shares.
func systemBus(ctx context.Context) (*dbus.Conn, error) {
	return dbus.ConnectSystemBus(dbus.WithContext(ctx))
}

func (t tree) bootID() (string, error) {
	const name = "proc/sys/kernel/random/boot_id"
	data, err := os.ReadFile(t.path(name))
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	id := plain(string(data))
	if err := checkBootID(id); err != nil {
		return "", fmt.Errorf("read %s: %w", t.path(name), err)
	}
	return id, nil
}

// Boot is the boot that the machine is in. It does not change.
func (l *Linux) Boot() Boot { return l.boot }

// Information is what the machine is made of; softwareVersion is this program's.
func (l *Linux) Information(softwareVersion string) Information {
	info := l.tree.information(l.kernel)
	info.SoftwareVersion = softwareVersion
	return info
}

// Uptime is the time since boot on the boot-time clock: it counts suspend and
// never jumps.
func (l *Linux) Uptime() time.Duration { return l.kernel.uptime() }

// CanReboot is nil when this machine may reboot itself; the error names who or
// what forbids it, and the remedy.
func (l *Linux) CanReboot(ctx context.Context) error {
	if l.boot.Container != "" {
		kind := l.boot.Container
		if kind == "unknown" {
			kind = "of unknown kind"
		}
		return fmt.Errorf("latchd runs in a container (%s), which cannot reboot the machine; run latchd on the host, or reboot the host", kind)
	}
	return l.logind.canReboot(ctx)
}

// Inhibitors names the programs that forbid a reboot now, each with its process and
// its reason.
func (l *Linux) Inhibitors(ctx context.Context) (holders []string, err error) {
	err = l.logind.ask(ctx, func(manager dbus.BusObject) (err error) {
		holders, err = inhibitors(ctx, manager)
		return err
	})
	return holders, err
}

// Reboot asks systemd-logind to reboot the machine. nil means that it accepted;
// the errors are those of CanReboot.
func (l *Linux) Reboot(ctx context.Context) error {
	if l.boot.Container != "" {
		return fmt.Errorf("reboot: %w", l.CanReboot(ctx))
	}
	if err := l.logind.reboot(ctx); err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	return nil
}

// Stopping tells whether the whole machine is going down: logind has announced it
// and not called it off, or systemd is in its state "stopping".
// /run/systemd/shutdown/scheduled is no answer: it tells of a shutdown that
// somebody planned and may still cancel, and does not exist for one that is done
// at once.
func (l *Linux) Stopping(ctx context.Context) bool {
	return l.preparing.Load() || l.logind.stopping(ctx)
}

// watchAgain is how long a lost connection to D-Bus is left alone. It is up again
// within a second or not at all.
const watchAgain = 5 * time.Second

// Watch follows logind's announcements of a shutdown until ctx ends. Without it
// Stopping sees one only once systemd stops services.
func (l *Linux) Watch(ctx context.Context) {
	for ctx.Err() == nil {
		_ = l.logind.watchShutdown(ctx, l.preparing.Store) // it is tried for ever, and Stopping works without
		wait := time.NewTimer(watchAgain + rand.N(watchAgain))
		select {
		case <-ctx.Done():
		case <-wait.C:
		}
		wait.Stop()
	}
}
