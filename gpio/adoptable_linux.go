package gpio

import (
	"errors"
	"fmt"
	"os"
)

// AdoptableSettings are the settings with which a line that outlived the process
// before is taken over at once, before any configuration is read: the last good
// ones if they are of that line, else what the line's own name says. Without a kept
// line, or without the runtime record of the door, the error wraps [os.ErrNotExist]:
// then there is nothing to go on with, and the configuration comes first.
func AdoptableSettings(kept []Kept, runtimeDir, stateDir string) (Settings, error) {
	if len(kept) == 0 {
		return Settings{}, fmt.Errorf("no line is kept: %w", os.ErrNotExist)
	}
	if _, err := os.Stat(runtimePath(runtimeDir)); err != nil {
		return Settings{}, fmt.Errorf("what the door was told in this boot: %w", err)
	}
	chips, err := kernelChips()
	if err != nil {
		return Settings{}, err
	}
	if last, err := LastSettings(stateDir); err == nil {
		for _, k := range kept {
			if at, err := findLine(last.Wiring.Line, chips); err == nil && k.Name == keptName(at, last) {
				return last, nil
			}
		}
	}
	var errs []error
	for _, k := range kept {
		s, err := k.settings(chips)
		if err == nil {
			return s.Complete()
		}
		errs = append(errs, err)
	}
	return Settings{}, errors.Join(errs...)
}

// GiveBack locks lines that outlived the process before and that no configuration
// claims any more, and gives them back. forget takes a name out of the service
// manager's keeping. The notes tell what became of each.
func GiveBack(kept []Kept, forget func(name string) error) (notes []string) {
	k := KernelLine{Found: kept, Forget: forget}
	k.sift("")
	return k.Notes()
}
