package pi

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// checkRig shows that the rig sees what it says it sees; without that nothing
// else here means anything. It needs no package, and leaves no trace.
func checkRig(t *testing.T, m *machine, server *timeServer) {
	const line = otherLine
	tr := m.trace(t, line)
	m.checkPin(t, line, pin{})
	sysfs := fmt.Sprintf("/sys/class/gpio/gpio%d/direction", tr.number)
	m.run(t, fmt.Sprintf("echo %d >/sys/class/gpio/export; echo high >%s", tr.number, sysfs))
	m.checkPin(t, line, driven1)
	m.run(t, "echo low >"+sysfs)
	m.checkPin(t, line, driven0)
	m.run(t, "echo in >"+sysfs)
	m.checkPin(t, line, pin{})
	tr.expect(t, "1", "out", "0", "out", "in")

	level := "cat " + sysfs[:len(sysfs)-len("direction")] + "value"
	m.drive(t, line, true)
	m.checkPin(t, line, pin{high: true})
	if got := m.run(t, level); got != "1" {
		t.Errorf("the guest reads %q from an input that is driven high", got)
	}
	m.drive(t, line, false)
	if got := m.run(t, level); got != "0" {
		t.Errorf("the guest reads %q from an input that is driven low", got)
	}
	m.run(t, fmt.Sprintf("echo %d >/sys/class/gpio/unexport", tr.number))

	m.await(t, time.Minute, "the guest takes the time of the test's server", "test -e /run/systemd/timesync/synchronized")
	if diff := m.now(t).Sub(server.now()).Abs(); diff > 5*time.Second {
		t.Errorf("the guest's clock is %s away from its server's", diff)
	}
	if failed := m.run(t, "systemctl --failed --plain --no-legend"); failed != "" {
		t.Errorf("units of the guest have failed: %s", failed)
	}
}

// TestRig is the rig alone, on both boards: boot, reboot, plug.
func TestRig(t *testing.T) {
	needPi(t)
	if os.Getenv("LATCHD_PI_RIG") == "" {
		t.Skip("the tests of the boards check their rig too; for this one alone set LATCHD_PI_RIG")
	}
	for _, b := range []board{boardVirt, board3B} {
		t.Run(string(b), func(t *testing.T) {
			server := newTimeServer(t)
			server.offset.Store(int64(1000 * time.Hour))
			m := newMachine(t, b)
			m.redirectTo("udp", 123, server.port())
			m.powerOn(t)
			first := m.awaitBoot(t)
			checkRig(t, m, server)
			m.reboot(t)
			m.run(t, "echo kept >/var/lib/kept; sync /var/lib/kept")
			m.pullPlug()
			m.powerOn(t)
			if m.awaitBoot(t) == first || m.run(t, "cat /var/lib/kept") != "kept" {
				t.Error("what was synced before the plug was pulled is lost, or it was no boot")
			}
		})
	}
}
