package late

import "golang.org/x/sys/unix"

// canLose tells whether packets can be lost on this system.
const canLose = true

// lose drops the packets that arrive at this end from now on, acknowledgements
// and resets included, before TCP sees them. It is a socket filter that takes
// nothing (socket(7), SO_ATTACH_FILTER); it needs no privilege.
func (e *end) lose() error {
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	return e.control(func(fd int) error {
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	})
}

// find ends lose.
func (e *end) find() error {
	return e.control(func(fd int) error {
		err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)
		if err == unix.ENOENT { // nothing was lost here
			return nil
		}
		return err
	})
}

// isTaken tells whether the other side's system has acknowledged all that was
// written to it.
func (e *end) isTaken() (taken bool) {
	err := e.control(func(fd int) error {
		n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		taken = n == 0
		return err
	})
	return taken && err == nil
}

func (e *end) control(act func(fd int) error) error {
	raw, err := e.tcp.SyscallConn()
	if err != nil {
		return err
	}
	var acted error
	if err := raw.Control(func(fd uintptr) { acted = act(int(fd)) }); err != nil {
		return err
	}
	return acted
}
