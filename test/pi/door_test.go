package pi

import (
	"strings"
	"testing"
	"time"
)

// The agent reads its inputs every 250 ms beside waiting for their edges, of
// which the emulated Pi raises none; the rest is for a slow machine.
const inputWithin = 5 * time.Second

const (
	fillDisk = `free() { df --output=avail -B1 / | tail -1; }
		fallocate -l $(free) /var/full || true
		dd if=/dev/zero of=/var/full2 bs=64K status=none 2>/dev/null || true
		test $(free) -lt 65536`
	emptyDisk = "rm -f /var/full*"
)

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
	d.in(t, "lockdown", d.testButtonInLockdown)
	d.in(t, "hub gone", func(t *testing.T) {
		d.hub.stop()
		d.press(t)
		d.awaitPin(t, lockLine, driven0, 20*time.Second)
		d.hub.start(t)
		d.hub.awaitOnline(t, d.id, 3*time.Minute)
	})
	d.in(t, "disk full", func(t *testing.T) {
		d.finally(t, emptyDisk)
		d.run(t, fillDisk)
		d.press(t)
		d.awaitPin(t, lockLine, driven0, 20*time.Second)
		d.must(t, "lockDoor", `{"commandId":"disk-full"}`) // acts, recorded or not
	})
	d.must(t, "lockDoor", `{}`)
}

func (d *device) testButtonInLockdown(t *testing.T) {
	d.must(t, "lockDoor", `{"lockTime":"10m"}`)
	d.press(t)
	d.awaitPin(t, lockLine, driven0, 20*time.Second)
	d.hub.awaitReported(t, d.id, "lockdown", "door", "mode")
	d.must(t, "lockDoor", `{"lockTime":0}`)
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
	d.must(t, "unlockDoor", `{"unlockTime":"30s"}`)
	d.wire(t, latchdToml+"\n[dor]\nline = \"GPIO5\"\n")
	d.finally(t, toWrite(configuration, "0644", latchdToml)+"systemctl restart latchd")
	d.run(t, "systemctl restart latchd")
	d.checkPin(t, lockLine, driven1)
	if text := d.statusText(t); !strings.Contains(text, "configuration") || !strings.Contains(text, "dor") {
		t.Errorf("the status line does not say what is wrong: %q", text)
	}
	d.awaitPin(t, lockLine, driven0, time.Minute)
	checkInterval(t, tr.expect(t, "1", "0"), 30*time.Second)
	d.press(t)
	d.awaitPin(t, lockLine, driven0, 20*time.Second)
}
