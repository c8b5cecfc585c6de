package gpio

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/driver/driverreg"
	"periph.io/x/host/v3/gpioioctl"
)

// kernelChips lists the kernel's GPIO chips, as periph found them at its only look.
// Call it before this process has other files: the driver behind it may close one
// that is not its own, see keepStandardInput.
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
	if err := errors.Join(failed...); len(chips) == 0 && err != nil {
		return nil, fmt.Errorf("list the GPIO chips: %w", err)
	}
	return chips, nil
})

// locate tells where a line is. One that periph did not see is looked for anew: a
// chip, or the right to open it, may have come up late.
func locate(text string) (lineAt, error) {
	name, err := ParseLineName(text)
	if err != nil {
		return lineAt{}, err
	}
	chips, err := kernelChips()
	if err == nil {
		if at, err := name.find(chips); err == nil {
			return at, nil
		}
	}
	chips, err = scanChips()
	if err != nil {
		return lineAt{}, err
	}
	return name.find(chips)
}

// scanChips asks the kernel itself.
func scanChips() ([]chip, error) {
	paths, err := filepath.Glob("/dev/gpiochip*")
	if err != nil {
		return nil, err
	}
	var chips []chip
	var failed []error
	for _, path := range paths {
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() == os.ModeSymlink {
			continue // another name of a chip that is listed
		}
		c, err := readChip(path)
		if err != nil {
			failed = append(failed, err)
			continue
		}
		chips = append(chips, c)
	}
	if err := errors.Join(failed...); len(chips) == 0 && err != nil {
		return nil, fmt.Errorf("list the GPIO chips: %w", err)
	}
	return chips, nil
}

func readChip(path string) (chip, error) {
	device, err := os.Open(path)
	if err != nil {
		return chip{}, err
	}
	defer device.Close()
	var info unix.GPIOChipInfo
	if err := ioctl(device, unix.GPIO_GET_CHIPINFO_IOCTL, unsafe.Pointer(&info)); err != nil {
		return chip{}, fmt.Errorf("ask %s what it is: %w", path, err)
	}
	c := chip{path: path, name: unix.ByteSliceToString(info.Name[:]), label: unix.ByteSliceToString(info.Label[:])}
	for offset := range int(info.Lines) {
		line, err := lineInfo(device, offset)
		if err != nil {
			return chip{}, fmt.Errorf("ask about line %d of %s: %w", offset, path, err)
		}
		c.lines = append(c.lines, unix.ByteSliceToString(line.Name[:]))
	}
	return c, nil
}

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
