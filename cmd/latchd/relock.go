package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"latchd/gpio"
)

// relock locks the door when nobody keeps it any more: the unit latchd-relock runs
// it after latchd.service has been stopped. An ordered stop has locked the door
// already; a latchd that had crashed, and was not there to hear of the stop, has
// not, and the kernel of a Raspberry Pi leaves a line at the level it had.
func (p program) relock(args []string) int {
	if len(args) > 0 {
		return p.misused("latchd relock", "it takes no arguments")
	}
	settings, err := gpio.LastSettings(serviceDirs().Directory)
	if errors.Is(err, os.ErrNotExist) {
		return exitOK // there never was a lock
	}
	if err == nil {
		err = gpio.Relock(settings)
	}
	if errors.Is(err, syscall.EBUSY) {
		fmt.Fprintln(p.stdout, "the line is in somebody's keeping:", err)
		return exitOK
	}
	if err != nil {
		return p.failed(fmt.Errorf("lock the door: %w", err))
	}
	fmt.Fprintln(p.stdout, "the door is locked, and its line is given up")
	return exitOK
}
