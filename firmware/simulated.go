package firmware

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"latchd/internal/backoff"
)

const (
	// DefaultDownTime is how long a simulated machine is down: enough to watch
	// its connection go and come, short enough to wait for.
	DefaultDownTime = 3 * time.Second

	// noticeTime passes between accepting a reboot and telling the programs, as
	// with systemd-logind, whose answer comes before its PrepareForShutdown.
	noticeTime = 100 * time.Millisecond
)

// Simulated is a machine that reboots without a machine: the program is executed
// again. Its methods may be called concurrently.
//
// A reboot is three steps of two parties. Reboot accepts; GoingDown tells the
// program, which stops in good order as it would on SIGTERM; PowerCycle, called
// last, is the moment without power, and does not return if all is well.
type Simulated struct {
	tree     tree
	kernel   kernel
	disk     string // directory that outlives a reboot
	memory   memory
	downTime time.Duration
	execute  func() error // replaces this process by a new one of the same program

	boot     Boot
	bootedAt time.Duration // on the real machine's boot-time clock

	goingDown chan struct{} // closed when the programs are told

	mu       sync.Mutex // guards accepted
	accepted bool       // a reboot was asked for
}

// memoryRecord is the content of the memory's boot file.
type memoryRecord struct {
	Format     int           `json:"format"`
	Boot       Boot          `json:"boot"`
	HostBootID string        `json:"hostBootId"` // of the real machine: its clock is ours
	BootedAt   time.Duration `json:"bootedAt"`   // on that clock, in nanoseconds
}

// powerFile lies on the simulated disk while the machine is on. One that is found
// at a new boot shows that the power went without warning.
const powerFile = "simulated-power.json"

type powerRecord struct {
	Format int    `json:"format"`
	BootID string `json:"bootId"`
}

func openSimulated(root tree, k kernel, dir, runtimeDir string, downTime time.Duration) (*Simulated, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("simulated machine: state directory: %w", err)
	}
	m, err := openMemory(runtimeDir, dir)
	if err != nil {
		return nil, fmt.Errorf("simulated machine: %w", err)
	}
	if downTime <= 0 {
		downTime = DefaultDownTime
	}
	s := &Simulated{
		tree: root, kernel: k,
		disk: dir, memory: m, downTime: downTime, execute: executeAgain,
		goingDown: make(chan struct{}),
	}
	if err := s.wake(); err != nil {
		m.close()
		return nil, fmt.Errorf("simulated machine: %w", err)
	}
	return s, nil
}

// wake goes on with the boot that is in the memory, or begins a new one.
func (s *Simulated) wake() error {
	host, _ := s.tree.bootID() // without one, restarts of the real machine go unnoticed
	now := s.kernel.uptime()
	var record memoryRecord
	err := readRecord(s.memory.bootFile(), &record)
	if err == nil {
		err = checkBootID(record.Boot.ID)
	}
	if err == nil && record.HostBootID == host && record.BootedAt <= now {
		s.boot, s.bootedAt = record.Boot, record.BootedAt
		return nil
	}
	// A boot that is gone, or that was under another boot of the real machine,
	// ended without power. One that cannot be read shows nothing.
	lost := err == nil || errors.Is(err, fs.ErrNotExist)
	return s.begin(host, now, lost)
}

// begin is a new boot: an empty memory and a new boot id. lost tells that the
// boot before has vanished from the memory.
func (s *Simulated) begin(host string, now time.Duration, lost bool) error {
	if err := s.memory.clear(); err != nil {
		return err
	}
	s.boot, s.bootedAt = Boot{ID: newBootID(), Cause: CauseUnknown}, now
	power := filepath.Join(s.disk, powerFile)
	var last powerRecord
	if lost && readRecord(power, &last) == nil {
		s.boot.Cause = CausePowerLoss
		s.boot.Evidence = "simulated boot " + last.BootID + " was never switched off"
	}
	if err := writeRecord(s.memory.bootFile(), memoryRecord{recordFormat, s.boot, host, now}); err != nil {
		return err
	}
	// This file is only evidence for the next boot. On a disk that is full the
	// machine runs all the same, and its next power loss is of unknown cause.
	if writeRecord(power, powerRecord{recordFormat, s.boot.ID}) != nil {
		_ = os.Remove(power)
	}
	return nil
}

// Boot is the boot that the machine is in. It does not change.
func (s *Simulated) Boot() Boot { return s.boot }

// Information is that of the real machine, except for its maker and model;
// softwareVersion is this program's.
func (s *Simulated) Information(softwareVersion string) Information {
	info := s.tree.information(s.kernel)
	info.Manufacturer, info.Model = "latchd", "Simulated machine"
	info.SoftwareVersion = softwareVersion
	return info
}

// Uptime is the time since the simulated boot on the boot-time clock.
func (s *Simulated) Uptime() time.Duration { return s.kernel.uptime() - s.bootedAt }

// CanReboot is nil: this machine may reboot itself.
func (s *Simulated) CanReboot(context.Context) error { return nil }

// Reboot asks the machine to go down. nil means that it accepted; GoingDown is
// closed a moment later. While it is going down a second one is an error.
func (s *Simulated) Reboot(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("reboot: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.accepted {
		return errors.New("reboot: the machine is going down already")
	}
	s.accepted = true
	time.AfterFunc(noticeTime, func() { close(s.goingDown) })
	return nil
}

// GoingDown is closed when the machine goes down: the program then stops in good
// order and calls PowerCycle.
func (s *Simulated) GoingDown() <-chan struct{} { return s.goingDown }

// Stopping tells whether the whole machine is going down.
func (s *Simulated) Stopping(context.Context) bool {
	select {
	case <-s.goingDown:
		return true
	default:
		return false
	}
}

// PowerCycle switches the machine off, waits for the down time and executes the
// program again: same process id, arguments and environment, and so a new boot.
// Everything in the runtime directory is lost, so whatever writes there must have
// stopped. ctx is to end on a signal to this process; one that the ordered stop
// has ended would keep the machine off. PowerCycle returns only with an error,
// and the process has to end then:
//   - the machine is not going down; nothing has happened;
//   - ctx ended during the down time: the machine stays off, and the next
//     process to open it begins the new boot;
//   - a step failed, and the machine stays off too.
func (s *Simulated) PowerCycle(ctx context.Context) error {
	if !s.Stopping(ctx) {
		return errors.New("power cycle: the machine is not going down")
	}
	// Best effort: if the file stays, the next boot is taken for the end of a power loss.
	_ = os.Remove(filepath.Join(s.disk, powerFile))
	if err := s.memory.clear(); err != nil {
		return fmt.Errorf("power cycle: %w", err)
	}
	if err := backoff.Sleep(ctx, s.downTime); err != nil {
		return fmt.Errorf("power cycle: the machine stays switched off: %w", err)
	}
	return fmt.Errorf("power cycle: execute the program again: %w", s.execute())
}

// executeAgain replaces this process by a new one of the same program. Files that
// Go opened are closed by it, standard input, output and error stay.
func executeAgain() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(path, os.Args, os.Environ())
}
