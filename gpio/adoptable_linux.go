package gpio

import (
	"errors"
	"fmt"
	"os"
)

// AdoptableSettings are the settings with which a line that outlived the process
// before is taken over at once, before any configuration is read: the last good
// ones, if they are of that line. Where there is no such line, no such settings or
// no runtime record of the door, the error wraps [os.ErrNotExist]: then there is
// nothing to go on with, and the configuration comes first.
func AdoptableSettings(kept []Kept, runtimeDir, stateDir string) (Settings, error) {
	if len(kept) == 0 {
		return Settings{}, fmt.Errorf("no line is kept: %w", os.ErrNotExist)
	}
	if _, err := os.Stat(runtimePath(runtimeDir)); err != nil {
		return Settings{}, fmt.Errorf("what the door was told in this boot: %w", err)
	}
	last, err := LastSettings(stateDir)
	if err != nil {
		return Settings{}, err
	}
	at, err := locate(last.Wiring.Line)
	if err != nil {
		return Settings{}, err
	}
	for _, k := range kept {
		if k.Name == keptName(at, last) {
			return last, nil
		}
	}
	return Settings{}, fmt.Errorf("the line that is kept is not the last one that was configured: %w", os.ErrNotExist)
}

// KeptSettings are what a line's own name says of a lock, where no configuration can
// be read and no last good settings either: better than to leave the door alone.
func KeptSettings(kept []Kept) (Settings, error) {
	chips, err := kernelChips()
	if err != nil {
		return Settings{}, err
	}
	errs := []error{fmt.Errorf("no line is kept: %w", os.ErrNotExist)}
	for _, k := range kept {
		s, err := k.settings(chips)
		if err == nil {
			return s.Complete()
		}
		errs = append(errs, err)
	}
	return Settings{}, errors.Join(errs...)
}

// CheckLine tells why the line is not there; nil if it is.
func CheckLine(line string) error {
	_, err := locate(line)
	return err
}

// GiveBack locks lines that outlived the process before and that no configuration
// claims any more, and gives them back. forget takes a name out of the service
// manager's keeping. The notes tell what became of each.
func GiveBack(kept []Kept, forget func(name string) error) (notes []string) {
	k := KernelLine{Found: kept, Forget: forget}
	k.sift("")
	return k.Notes()
}

// Relock drives a lock's line to the level that locks and gives it up: for a lock
// that nobody keeps any more. A line that somebody has is left alone; the error then
// wraps EBUSY. What becomes of the level afterwards is the kernel's choice: that of a
// Raspberry Pi keeps it, others turn the line into an input, which leaves it to the
// resistor outside.
func Relock(s Settings) error {
	at, err := locate(s.Wiring.Line)
	if err != nil {
		return err
	}
	k := KernelLine{Settings: s}
	f, err := k.request(at, s.Level(true), true)
	if err != nil {
		return err
	}
	return f.Close()
}
