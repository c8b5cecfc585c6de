package pi

import (
	"strings"
	"testing"
	"time"
)

// The agent reads its inputs every 250 ms beside waiting for their edges, of
// which the emulated Pi raises none; the rest is for a slow machine.
const inputWithin = 5 * time.Second

// press presses the exit button, and lets it go when the door is open.
func (d *device) press(t *testing.T) {
	t.Helper()
	d.drive(t, buttonLine, true)
	d.awaitPin(t, lockLine, driven1, inputWithin)
	d.drive(t, buttonLine, false)
}

// The button opens whatever else is: it is the way out.
func (d *device) testButton(t *testing.T) {
	d.in(t, "resting", func(t *testing.T) {
		d.press(t)
		d.awaitPin(t, lockLine, driven0, 20*time.Second) // unlock_time
	})
	d.in(t, "lockdown", func(t *testing.T) {
		d.must(t, "lockDoor", `{"lockTime":"10m"}`)
		d.press(t)
		d.awaitPin(t, lockLine, driven0, 20*time.Second)
		d.hub.awaitReported(t, d.id, "lockdown", "door", "mode")
		d.must(t, "lockDoor", `{"lockTime":0}`)
	})
	d.in(t, "hub gone", func(t *testing.T) {
		d.hub.stop()
		d.press(t)
		d.awaitPin(t, lockLine, driven0, 20*time.Second)
		d.hub.start(t)
		d.hub.awaitOnline(t, d.id, 3*time.Minute)
	})
	d.in(t, "disk full", func(t *testing.T) {
		d.finally(t, "rm -f /var/full*")
		d.run(t, `free() { df --output=avail -B1 / | tail -1; }
			fallocate -l $(free) /var/full || true
			dd if=/dev/zero of=/var/full2 bs=64K status=none 2>/dev/null || true
			test $(free) -lt 65536`)
		d.press(t)
		d.awaitPin(t, lockLine, driven0, 20*time.Second)
		d.must(t, "lockDoor", `{"commandId":"disk-full"}`) // acts, recorded or not
	})
	d.must(t, "lockDoor", `{}`)
}

// What a sensor says reaches the twin.
func (d *device) testContact(t *testing.T) {
	d.drive(t, contactLine, true)
	d.hub.awaitReported(t, d.id, "open", "door", "contact")
	d.drive(t, contactLine, false)
	d.hub.awaitReported(t, d.id, "closed", "door", "contact")
}

// A typing error while the door is open: it closes on time, the way out stays
// open, and the status line says what is wrong.
func (d *device) testBrokenConfiguration(t *testing.T) {
	tr := d.trace(t, lockLine)
	d.must(t, "unlockDoor", `{"unlockTime":"60s"}`)
	d.wire(t, latchdToml+"\n[dor]\nline = \"GPIO5\"\n")
	d.finally(t, toWrite(configuration, "0644", latchdToml)+"systemctl restart latchd")
	d.run(t, "systemctl restart latchd")
	d.checkPin(t, lockLine, driven1)
	if text := d.statusText(t); !strings.Contains(text, "configuration") || !strings.Contains(text, "dor") {
		t.Errorf("the status line does not say what is wrong: %q", text)
	}
	d.awaitPin(t, lockLine, driven0, 90*time.Second)
	checkInterval(t, tr.expect(t, "1", "0"), 60*time.Second)
	d.press(t)
	d.awaitPin(t, lockLine, driven0, 20*time.Second)
}

// A momentary unlock ends on time though the package is replaced meanwhile.
func (d *device) testUpgradeWhileUnlocked(t *testing.T) {
	tr := d.trace(t, lockLine)
	d.must(t, "unlockDoor", `{"unlockTime":"90s"}`)
	d.run(t, "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq /tmp/newer.deb 2>&1")
	d.checkPin(t, lockLine, driven1)
	d.awaitPin(t, lockLine, driven0, 2*time.Minute)
	checkInterval(t, tr.expect(t, "1", "0"), 90*time.Second)
	d.hub.awaitOnline(t, d.id, time.Minute)
}
