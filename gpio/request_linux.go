package gpio

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The flags of a line request (linux/gpio.h, enum gpio_v2_line_flag).
const (
	flagInput        = 1 << 2
	flagOutput       = 1 << 3
	flagEdgeRising   = 1 << 4
	flagEdgeFalling  = 1 << 5
	flagOpenDrain    = 1 << 6
	flagOpenSource   = 1 << 7
	flagPullUp       = 1 << 8
	flagPullDown     = 1 << 9
	flagBiasDisabled = 1 << 10
)

// request asks the kernel for a line. For an output the level is part of the
// request, so that the line is never driven to another one first (Linux 5.10).
func request(at lineAt, consumer string, flags uint64, level Level) (*os.File, error) {
	device, err := os.Open(at.chip.path)
	if err != nil {
		return nil, err
	}
	defer device.Close() // the line lives without it
	req := unix.GPIOV2LineRequest{Num_lines: 1, Config: unix.GPIOV2LineConfig{Flags: flags}}
	req.Offsets[0] = uint32(at.offset)
	copy(req.Consumer[:len(req.Consumer)-1], consumer)
	if flags&flagOutput != 0 {
		req.Config.Num_attrs = 1
		req.Config.Attrs[0].Mask = 1
		req.Config.Attrs[0].Attr.Id = unix.GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES
		if level == High {
			req.Config.Attrs[0].Attr.Flags = 1 // a union: here these are the values
		}
	}
	if err := ioctl(device, unix.GPIO_V2_GET_LINE_IOCTL, unsafe.Pointer(&req)); err != nil {
		return nil, requestError(device, at, err)
	}
	_ = unix.SetNonblock(int(req.Fd), true) // so that a wait for an edge can end
	return os.NewFile(uintptr(req.Fd), fmt.Sprintf("line %s:%d", at.chip.label, at.offset)), nil
}

// requestError says who has a line that is taken.
func requestError(device *os.File, at lineAt, err error) error {
	what := fmt.Sprintf("request line %d of %s", at.offset, at.chip.label)
	if !errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("%s: %w", what, err)
	}
	if info, infoErr := lineInfo(device, at.offset); infoErr == nil {
		return fmt.Errorf("%s: %q has it already: %w", what, unix.ByteSliceToString(info.Consumer[:]), err)
	}
	return fmt.Errorf("%s: somebody has it already: %w", what, err)
}

// lineInfo is what the kernel says of a line; asking changes nothing.
func lineInfo(device *os.File, offset int) (unix.GPIOV2LineInfo, error) {
	info := unix.GPIOV2LineInfo{Offset: uint32(offset)}
	err := ioctl(device, unix.GPIO_V2_GET_LINEINFO_IOCTL, unsafe.Pointer(&info))
	return info, err
}

// readLevel reads a requested line, input or output, and changes nothing.
func readLevel(line *os.File) (Level, error) {
	values := unix.GPIOV2LineValues{Mask: 1}
	if err := ioctl(line, unix.GPIO_V2_LINE_GET_VALUES_IOCTL, unsafe.Pointer(&values)); err != nil {
		return Low, fmt.Errorf("read %s: %w", line.Name(), err)
	}
	return values.Bits&1 != 0, nil
}

// writeLevel drives a requested output.
func writeLevel(line *os.File, level Level) error {
	values := unix.GPIOV2LineValues{Mask: 1}
	if level == High {
		values.Bits = 1
	}
	if err := ioctl(line, unix.GPIO_V2_LINE_SET_VALUES_IOCTL, unsafe.Pointer(&values)); err != nil {
		return fmt.Errorf("set %s: %w", line.Name(), err)
	}
	return nil
}

// ioctl is one call to the kernel, repeated when a signal interrupted it. It goes
// by way of SyscallConn, because Fd would make reads of the file block.
func ioctl(f *os.File, request uint, arg unsafe.Pointer) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	err = conn.Control(func(fd uintptr) {
		for {
			_, _, errno = unix.Syscall(unix.SYS_IOCTL, fd, uintptr(request), uintptr(arg))
			if errno != unix.EINTR {
				return
			}
		}
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}
