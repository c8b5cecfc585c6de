// Package testbus gives a test a D-Bus of its own: a real dbus-daemon, on which the
// test plays the services that the code under test talks to. It ends with the test.
//
// The machine's own buses are left alone, and what a test sees is what it exported
// itself: no policy, no polkit and no systemd is behind it. Those are on the
// emulated Raspberry Pi.
package testbus

import (
	"bufio"
	"os/exec"
	"strings"
	"testing"

	"github.com/godbus/dbus/v5"
)

// Start runs a bus until the test ends, and returns its address. The test is skipped
// where no dbus-daemon is installed.
func Start(t testing.TB) (address string) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("dbus-daemon is not installed (Debian: apt-get install dbus-daemon)")
	}
	daemon := exec.Command(program, "--session", "--nofork", "--print-address")
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = daemon.Process.Kill()
		_ = daemon.Wait()
	})
	address, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(address)
}

// Connect connects to a bus until the test ends.
func Connect(t testing.TB, address string) *dbus.Conn {
	t.Helper()
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// Own takes a well-known name, such as that of systemd-logind.
func Own(t testing.TB, conn *dbus.Conn, name string) {
	t.Helper()
	if reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatalf("own %s on the bus: reply %d, %v", name, reply, err)
	}
}
