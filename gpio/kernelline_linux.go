package gpio

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// consumer is the name under which the kernel lists the lines of this program.
const consumer = "latchd"

var (
	driveFlags = map[Drive]uint64{"": 0, PushPull: 0, OpenDrain: flagOpenDrain, OpenSource: flagOpenSource}
	biasFlags  = map[Bias]uint64{"": 0, BiasAsIs: 0, BiasDisabled: flagBiasDisabled, PullUp: flagPullUp, PullDown: flagPullDown}
)

// KernelLine is an output of the kernel's GPIO character device that is kept over
// restarts of the program.
type KernelLine struct {
	// Settings say which line it is, and which level locks.
	Settings Settings

	// Found are the lines that outlived the process before. Open takes them out,
	// unless it fails before it has touched them.
	Found []Kept
	// Keep gives a line to the service manager, under a name, and Forget takes it
	// back. Either may be nil where there is none.
	Keep   func(name string, line *os.File) error
	Forget func(name string) error

	notes []string // see Notes
	held  Kept     // see Held
}

// Open takes the line under control, as an [OpenLine] does. The line that a
// process before left with the service manager is adopted as it is. Any other line
// found there is one that the configuration has left: it is driven to the level
// that locked it, and given back. If the configured line is not there, nothing that
// was found is touched.
func (k *KernelLine) Open(initial Level) (Line, error) {
	at, err := locate(k.Settings.Wiring.Line)
	if err != nil {
		return nil, err
	}
	name := keptName(at, k.Settings)
	adopted, gaveBack := k.sift(name)
	if adopted != nil {
		k.held = Kept{name, adopted}
		line := &kernelLine{adopted}
		_, err := line.Level()
		return line, err
	}
	f, err := k.request(at, initial, gaveBack)
	if err != nil {
		return nil, err
	}
	if k.Keep != nil {
		if err := k.Keep(name, f); err != nil {
			k.note("the lock's line will not outlive this process: %v", err)
		}
	}
	k.held = Kept{name, f}
	return &kernelLine{f}, nil
}

const (
	// releaseWait is how long a line that was given back may still be busy: the
	// service manager closes its descriptor when it gets to it.
	releaseWait = 2 * time.Second
	releasePoll = 20 * time.Millisecond
)

// request asks the kernel for the line. With patience it waits for one that was
// given back a moment ago, which may be the same.
func (k *KernelLine) request(at lineAt, initial Level, patience bool) (*os.File, error) {
	flags := flagOutput | driveFlags[k.Settings.Wiring.Drive] | biasFlags[k.Settings.Wiring.Bias]
	for end := time.Now().Add(releaseWait); ; time.Sleep(releasePoll) {
		f, err := request(at, consumer, flags, initial)
		if err == nil || !patience || !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return f, err
		}
	}
}

// Held is, after an Open that succeeded, the line and its name: what the next Open
// in this process finds.
func (k *KernelLine) Held() Kept { return k.held }

// sift picks the line of this name out of those found; it locks every other one
// and gives it back.
func (k *KernelLine) sift(name string) (adopted *os.File, gaveBack bool) {
	for _, found := range k.Found {
		if found.Name == name && adopted == nil {
			adopted = found.File
			continue
		}
		gaveBack = true
		if err := k.giveBack(found); err != nil {
			k.note("the line %s is not the configured one any more, and could not be locked and given back: %v", found.Name, err)
		} else {
			k.note("the line %s is not the configured one any more; it was locked and given back", found.Name)
		}
	}
	k.Found = nil
	return adopted, gaveBack
}

func (k *KernelLine) giveBack(found Kept) error {
	locked, err := found.lockedLevel()
	if err == nil {
		err = writeLevel(found.File, locked)
	}
	if k.Forget != nil {
		err = errors.Join(err, k.Forget(found.Name))
	}
	return errors.Join(err, found.File.Close())
}

func (k *KernelLine) note(format string, args ...any) {
	k.notes = append(k.notes, fmt.Sprintf(format, args...))
}

// Notes tells, after Open, what a person should know of the line.
func (k *KernelLine) Notes() []string { return k.notes }

// kernelLine is a requested output. It is not closed: that would release it.
type kernelLine struct{ file *os.File }

func (l *kernelLine) Set(level Level) error { return writeLevel(l.file, level) }

func (l *kernelLine) Level() (Level, error) { return readLevel(l.file) }
