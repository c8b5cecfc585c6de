package broker

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unacknowledged is how many bytes of a TCP connection the other side's system
// has not confirmed yet (SIOCOUTQ, tcp(7)). Where that is not known, after the
// connection was closed or on something that is not TCP, known is false.
func unacknowledged(conn net.Conn) (n int64, known bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(fd uintptr) {
		pending, err := unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
		n, known = int64(pending), err == nil
	})
	return n, known && err == nil
}
