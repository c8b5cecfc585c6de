package systemd

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Notify tells the service manager something, one NAME=value a line. It is nil
// without a manager that listens, and waits a second at most for one that does not
// read: go-systemd's SdNotify would wait for ever, and a door waits for nobody.
func Notify(lines ...string) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	if err := sendmsg(path, strings.Join(lines, "\n"), nil); err != nil {
		return fmt.Errorf("tell the service manager %s: %w", lines[0], err)
	}
	return nil
}

// Ready tells that the service does its work.
func Ready() error { return Notify(daemon.SdNotifyReady) }

// Status is the line that `systemctl status` shows. Line breaks become spaces.
func Status(text string) error { return Notify("STATUS=" + strings.Join(strings.Fields(text), " ")) }

// Reloading tells that the configuration is being read again; Ready ends it. The
// time lets the manager tell which reload is meant.
func Reloading() error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		return fmt.Errorf("tell of a reload: %w", err)
	}
	return Notify(daemon.SdNotifyReloading, "MONOTONIC_USEC="+strconv.FormatInt(now.Nano()/1000, 10))
}

// Alive feeds the watchdog.
func Alive() error { return Notify(daemon.SdNotifyWatchdog) }

// WatchdogInterval is the time within which Alive must be called, always anew;
// zero if nobody waits for it. Half of it is a good interval.
func WatchdogInterval() time.Duration {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0 // whoever set it to that does not wait
	}
	return interval
}

// Store leaves a descriptor with the manager under a name of up to 255 printable
// characters without a colon. A descriptor of that name that is there already
// stays there too, so [Remove] it first if there may be one. The manager does not
// watch the descriptor: it stays until the service is stopped.
func Store(name string, f *os.File) error {
	if err := checkName(name); err != nil {
		return err
	}
	if err := sendFile("FDSTORE=1\nFDNAME="+name+"\nFDPOLL=0", f); err != nil {
		return fmt.Errorf("leave the descriptor %s with the service manager: %w", name, err)
	}
	return nil
}

// Remove takes every descriptor of a name out of the manager's keeping.
func Remove(name string) error {
	if err := checkName(name); err != nil {
		return err
	}
	return Notify("FDSTOREREMOVE=1", "FDNAME="+name)
}

func checkName(name string) error {
	const longest = 255 // FDNAME_MAX of systemd
	for _, c := range []byte(name) {
		if c <= ' ' || c > '~' || c == ':' {
			return fmt.Errorf("%q cannot be the name of a descriptor: it has a character that is not allowed", name)
		}
	}
	if name == "" || len(name) > longest {
		return fmt.Errorf("a descriptor's name has 1 to %d characters, not %d", longest, len(name))
	}
	return nil
}

// sendWait bounds the wait for a manager that does not read. It reads within
// microseconds unless the whole machine is in trouble, and then the door matters
// more.
const sendWait = time.Second

// sendFile is one datagram to the manager's socket with a descriptor beside the
// text. It makes the calls itself because package net sends no descriptors over a
// connected datagram socket, and go-systemd sends none at all.
func sendFile(text string, f *os.File) error {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = conn.Control(func(fd uintptr) { sendErr = sendmsg(path, text, unix.UnixRights(int(fd))) })
	if err == nil {
		err = sendErr
	}
	return err
}

func sendmsg(path, text string, rights []byte) error {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	wait := unix.NsecToTimeval(sendWait.Nanoseconds())
	if err := unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		return err
	}
	// A name that begins with @ is one of the abstract name space, here as in
	// sd_notify(3).
	return unix.Sendmsg(socket, []byte(text), rights, &unix.SockaddrUnix{Name: path}, unix.MSG_NOSIGNAL)
}
