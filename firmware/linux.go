package firmware

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Linux is the real machine. Its methods may be called concurrently.
type Linux struct {
	tree   tree
	kernel kernel
	boot   Boot
}

// openLinux reads the machine below root; see OpenLinux.
func openLinux(root tree, k kernel, dir string) (*Linux, error) {
	id, err := root.bootID()
	if err != nil {
		return nil, err
	}
	l := &Linux{tree: root, kernel: k, boot: Boot{ID: id, Container: root.container(k)}}
	if l.boot.Container != "" {
		// What is left of a cause to see in there is the host's.
		l.boot.Cause = CauseUnknown
		return l, nil
	}
	l.boot.Cause, l.boot.Evidence = root.causeOnce(id, filepath.Join(dir, bootFile))
	return l, nil
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

// errOnlySimulated is honest about what this version can do.
var errOnlySimulated = errors.New("this version of latchd reboots only a simulated machine (latchd --simulate); reboot this one with \"systemctl reboot\"")

// CanReboot is nil when this machine may reboot itself; the error names who or
// what forbids it, and the remedy. It is never nil in this version.
func (l *Linux) CanReboot(context.Context) error {
	if l.boot.Container != "" {
		kind := l.boot.Container
		if kind == "unknown" {
			kind = "of unknown kind"
		}
		return fmt.Errorf("latchd runs in a container (%s), which cannot reboot the machine; run latchd on the host, or reboot the host", kind)
	}
	return errOnlySimulated
}

// Reboot always fails in this version, with the error of CanReboot.
func (l *Linux) Reboot(ctx context.Context) error {
	return fmt.Errorf("reboot: %w", l.CanReboot(ctx))
}

// Stopping is always false in this version: it does not claim that the machine
// goes down when it cannot know. Only the service manager knows, in its state
// "stopping", and it is not asked yet. /run/systemd/shutdown/scheduled is no
// answer: it tells of a shutdown that somebody planned and may still cancel, and
// does not exist for one that is done at once.
func (l *Linux) Stopping(context.Context) bool { return false }
