package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// checkSocketPath tells of a path that no socket can have, which the kernel
// calls no more than an invalid argument.
func checkSocketPath(path string) error {
	const longest = len(syscall.RawSockaddrUnix{}.Path) - 1 // unix(7); the last byte is a zero
	if len(path) > longest {
		return fmt.Errorf("the path %s of the control socket has %d bytes, more than the %d that a socket may have; set a shorter state.runtime_directory in the configuration", path, len(path), longest)
	}
	return nil
}

// listenControl takes the socket for this process. One that a killed process left
// is replaced. A lock on a file beside it, which ends with its holder, tells that
// from one that is served.
func listenControl(path string) (_ *net.UnixListener, release func(), err error) {
	if err := checkSocketPath(path); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	lock, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			_ = lock.Close()
		}
	}()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, nil, fmt.Errorf("another latchd serves %s", path)
		}
		return nil, nil, fmt.Errorf("lock %s: %w", lock.Name(), err)
	}
	if err := removeSocket(path); err != nil {
		return nil, nil, err
	}
	// The mode is set on the socket before it has a name: the name then appears
	// with it, and nobody can connect in between. A umask would be the whole
	// process's.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var chmodErr error
		err := c.Control(func(fd uintptr) { chmodErr = unix.Fchmod(int(fd), 0o600) })
		return errors.Join(err, chmodErr)
	}}
	listener, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, nil, err
	}
	return listener.(*net.UnixListener), func() {
		_ = listener.Close() // removes the name, while the lock is still held
		_ = lock.Close()
	}, nil
}

// removeSocket removes what nobody serves any more, if it is a socket.
func removeSocket(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is in the way, and is no socket", path)
	}
	return os.Remove(path)
}

// peer is the process at the other end of a connection, as the kernel knows it.
type peer struct {
	uid uint32
	pid int32
}

func peerOf(conn *net.UnixConn) (peer, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var (
		cred    *unix.Ucred
		credErr error
	)
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return peer{}, err
	}
	if credErr != nil {
		return peer{}, fmt.Errorf("ask the kernel who connected: %w", credErr)
	}
	return peer{uid: cred.Uid, pid: cred.Pid}, nil
}

// mayControl tells whether the peer is root, or this service itself. The mode of
// the socket says the same; this holds where somebody changed that.
func (p peer) mayControl() bool { return p.uid == 0 || int(p.uid) == os.Geteuid() }

// explainDial says what to do when the service cannot be asked.
func explainDial(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		if filepath.Dir(path) != defaultRuntimeDir {
			return fmt.Errorf("latchd is not running with this configuration (nobody serves %s); start it with the same --config", path)
		}
		return fmt.Errorf("latchd is not running (nobody serves %s); start it: sudo systemctl start latchd", path)
	case errors.Is(err, fs.ErrPermission):
		return errors.New("only root may ask the service; run this with sudo")
	}
	return fmt.Errorf("ask the service: %w", err)
}
