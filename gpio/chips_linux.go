package gpio

import (
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/host/v3/gpioioctl"
)

// kernelChips lists the kernel's GPIO chips. It asks once: the driver behind it
// does, and chips that come and go hold no door.
//
// Only periph's gpioioctl is loaded, never all of its host drivers: one of those
// writes the registers of older Raspberry Pis behind the kernel's back, so that a
// line has no owner and another program may move it.
var kernelChips = sync.OnceValues(func() ([]chip, error) {
	state, err := driverreg.Init()
	if err := keepStandardInput(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("list the GPIO chips: %w", err)
	}
	var failed []error
	for _, f := range state.Failed {
		failed = append(failed, f.Err)
	}
	var chips []chip
	for _, c := range gpioioctl.Chips {
		known := chip{path: c.Path(), name: c.Name(), label: c.Label()}
		for _, line := range c.Lines() {
			known.lines = append(known.lines, line.Name())
		}
		chips = append(chips, known)
	}
	if len(chips) == 0 && len(failed) > 0 {
		return nil, fmt.Errorf("list the GPIO chips: %w", errors.Join(failed...))
	}
	return chips, nil
})

// keepStandardInput opens file descriptor 0 again if it was closed. The driver
// closes it by mistake where two device files are the same chip, as on Raspberry
// Pi OS (periph/host issue 70); the next file to be opened, a line perhaps, would
// be taken for it.
func keepStandardInput() error {
	fd, err := unix.Open(os.DevNull, unix.O_RDONLY, 0)
	if err != nil {
		return fmt.Errorf("keep standard input: %w", err)
	}
	if fd == 0 {
		return nil
	}
	return unix.Close(fd)
}
