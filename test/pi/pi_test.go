package pi

import (
	"os"
	"strings"
	"testing"
	"time"
)

// TestRaspberryPi takes one Raspberry Pi 3 from a bare card through the life of
// a device. The parts share the machine, in this order.
func TestRaspberryPi(t *testing.T) {
	needPi(t)
	t.Parallel() // while one waits the other has the processor
	b := board3B
	if os.Getenv("LATCHD_PI_QUICK") != "" { // for those who work on the parts
		b = boardVirt
	}
	d := newDevice(t, b)
	d.in(t, "rig", func(t *testing.T) { checkRig(t, d.machine, d.server) })
	d.in(t, "kernel lines", d.testKernelLines)
	d.in(t, "members of gpio before", d.testOthersCanMove)
	// Without these there is nothing to look at.
	if !d.in(t, "install", d.testInstall) || !d.in(t, "door without a hub", d.testDoorBeforeHub) || !d.in(t, "configure", d.testConfigure) {
		return
	}
	d.in(t, "lock and unlock", d.testLockAndUnlock)
	d.in(t, "contact", d.testContact)
	d.in(t, "button in lockdown", d.testButtonInLockdown)
	d.in(t, "no edge while locked", d.testNoEdge)
	d.in(t, "no edge in a momentary unlock", d.testNoEdgeInUnlock)
	d.in(t, "measures", d.testMeasures)
	d.in(t, "idle", d.testIdle)
	d.in(t, "reboot", d.testReboot)
	d.in(t, "killed and stopped", d.testKilledAndStopped)
}

// An installation without any answers succeeds and says what to do.
func (d *device) testInstall(t *testing.T) {
	began := time.Now()
	said := d.install(t)
	t.Logf("installed after %s", time.Since(began).Round(100*time.Millisecond))
	if !strings.Contains(said, "sudo latchd configure") {
		t.Errorf("the installation does not say what to do next:\n%s", said)
	}
	if state := d.run(t, "systemctl is-active latchd; systemctl is-enabled latchd"); state != "active\nenabled" {
		t.Errorf("after the installation the service is %q", state)
	}
	if text := d.statusText(t); !strings.Contains(text, "configure") {
		t.Errorf("the status line of an unconfigured device is %q", text)
	}
	d.checkPin(t, lockLine, pin{})
	d.checkOthersCannotMove(t)
}

// waysToMove tells which of the ways to a GPIO line are open to the guest's first
// user: the chips, the registers behind them, and sysfs. A chip may be opened for
// reading alone to move its lines.
const waysToMove = `su -s /bin/sh ` + guestUser + ` -c '
	for way in /dev/gpiochip* /dev/*gpiomem* /sys/class/gpio/export /sys/class/gpio/unexport; do
		[ -e $way ] || continue
		if { true <$way; } 2>/dev/null || { true >>$way; } 2>/dev/null; then echo $way; fi
	done'`

// Without latchd members of the group gpio move any line, as on Raspberry Pi OS.
func (d *device) testOthersCanMove(t *testing.T) {
	ways := d.run(t, waysToMove)
	for _, way := range []string{"/dev/gpiochip0", "/sys/class/gpio/export"} {
		if !strings.Contains(ways, way) {
			t.Errorf("%s may not use %s without latchd, so that this proves nothing: %q", guestUser, way, ways)
		}
	}
}

// checkOthersCannotMove demands that with latchd none of them moves the lock's.
func (d *device) checkOthersCannotMove(t *testing.T) {
	t.Helper()
	if groups := d.run(t, "id -Gn "+guestUser); !strings.Contains(groups, "gpio") {
		t.Errorf("%s is in the groups %s only", guestUser, groups)
	}
	if ways := d.run(t, waysToMove); ways != "" {
		t.Errorf("a member of the group gpio may use\n%s", ways)
	}
}

// On the ladder: the door works before there is any hub.
func (d *device) testDoorBeforeHub(t *testing.T) {
	d.wire(t, latchdToml)
	d.run(t, "systemctl restart latchd")
	d.awaitPin(t, lockLine, driven0, 10*time.Second)
	tr := d.trace(t, lockLine)
	d.run(t, "latchd door unlock --time 2s")
	d.checkPin(t, lockLine, driven1)
	d.awaitPin(t, lockLine, driven0, 10*time.Second)
	d.run(t, "latchd door unlock --hold")
	d.checkPin(t, lockLine, driven1)
	if said := d.run(t, "latchd door status"); !strings.Contains(said, "unlocked") {
		t.Errorf("latchd door status says %q", said)
	}
	d.run(t, "latchd door lock")
	d.checkPin(t, lockLine, driven0)
	checkInterval(t, tr.expect(t, "1", "0", "1", "0"), 2*time.Second)
	if out, err := d.try(t.Context(), "su -s /bin/sh -c 'latchd door unlock' nobody"); err == nil {
		t.Errorf("nobody may unlock the door: %s", out)
	}
	d.checkPin(t, lockLine, driven0)
}

// checkInterval demands that the second change came when it should after the
// first: not before, and not later than a slow machine makes it.
func checkInterval(t *testing.T, changes []change, want time.Duration) {
	t.Helper()
	got := changes[1].at - changes[0].at
	if got < want-10*time.Millisecond || got > want+500*time.Millisecond {
		t.Errorf("the line went back after %s, want %s", got, want)
	}
}

func (d *device) testConfigure(t *testing.T) {
	began := time.Now()
	said := d.configure(t)
	d.hub.awaitOnline(t, d.id, time.Minute)
	t.Logf("online after %s\n%s", time.Since(began).Round(100*time.Millisecond), said)
	if text := d.statusText(t); !strings.Contains(text, hubName) {
		t.Logf("the status line of a connected device is %q", text)
	}
	if out, err := d.try(t.Context(), "su -s /bin/sh -c 'cat /etc/latchd/credentials/* /etc/latchd/credentials.encrypted/*' nobody"); err == nil {
		t.Errorf("anybody can read the credentials: %d bytes", len(out))
	}
}

func (d *device) testLockAndUnlock(t *testing.T) {
	tr := d.trace(t, lockLine)
	d.must(t, "unlockDoor", `{"unlockTime":"3s"}`)
	d.checkPin(t, lockLine, driven1)
	d.awaitPin(t, lockLine, driven0, 20*time.Second)
	d.hub.awaitReported(t, d.id, "locked", "door", "state")
	checkInterval(t, tr.expect(t, "1", "0"), 3*time.Second)

	d.must(t, "lockDoor", `{"lockTime":"10m"}`)
	if status, answer := d.invoke(t, "unlockDoor", `{}`); status != 423 {
		t.Errorf("an unlock in lockdown: %d %v", status, answer)
	}
	d.must(t, "lockDoor", `{"lockTime":0}`)
	d.must(t, "unlockDoor", `{"hold":true}`)
	d.checkPin(t, lockLine, driven1)
	d.must(t, "lockDoor", `{}`)
	d.checkPin(t, lockLine, driven0)
}
