package gpio

import (
	"errors"
	"fmt"
	"os"
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

	// Found are the lines that outlived the process before.
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
// that locked it, and given back.
//
// What is found is dealt with before the new line is asked for, whatever becomes
// of that.
func (k *KernelLine) Open(initial Level) (Line, error) {
	at, err := k.find()
	name := ""
	if err == nil {
		name = keptName(at, k.Settings)
	}
	adopted := k.sift(name)
	if err != nil {
		return nil, err
	}
	if adopted != nil {
		k.held = Kept{name, adopted}
		line := &kernelLine{adopted}
		_, err := line.Level()
		return line, err
	}
	flags := flagOutput | driveFlags[k.Settings.Wiring.Drive] | biasFlags[k.Settings.Wiring.Bias]
	f, err := request(at, consumer, flags, initial)
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

// Held is, after an Open that succeeded, the line and its name: what the next Open
// in this process finds.
func (k *KernelLine) Held() Kept { return k.held }

func (k *KernelLine) find() (lineAt, error) {
	chips, err := kernelChips()
	if err != nil {
		return lineAt{}, err
	}
	return findLine(k.Settings.Wiring.Line, chips)
}

func findLine(text string, chips []chip) (lineAt, error) {
	name, err := ParseLineName(text)
	if err != nil {
		return lineAt{}, err
	}
	return name.find(chips)
}

// sift picks the line of this name out of those found; it locks every other one
// and gives it back.
func (k *KernelLine) sift(name string) (adopted *os.File) {
	for _, found := range k.Found {
		if found.Name == name && adopted == nil {
			adopted = found.File
			continue
		}
		if err := k.giveBack(found); err != nil {
			k.note("the line %s is not the configured one any more, and could not be locked and given back: %v", found.Name, err)
		} else {
			k.note("the line %s is not the configured one any more; it was locked and given back", found.Name)
		}
	}
	return adopted
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
