package pi

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// onLine is the configuration with the lock on another line, or at another level.
func onLine(l line, activeLevel string) string {
	return strings.Replace(latchdToml, `line = "GPIO17"`, fmt.Sprintf("line = %q\nactive_level = %q", l, activeLevel), 1)
}

// testLineChanged is a lock that is wired to another line, or for another level,
// while its door is unlocked. With the restart the line that it had is driven to
// what locked it and given back, and the new one is locked from its first moment.
func (d *device) testLineChanged(t *testing.T) {
	d.finally(t, toWrite(configuration, "0644", latchdToml)+"systemctl restart latchd")
	d.in(t, "another line", func(t *testing.T) {
		d.must(t, "unlockDoor", `{"hold":true}`)
		d.checkPin(t, lockLine, driven1)
		left, taken := d.trace(t, lockLine), d.trace(t, otherLine)
		d.wire(t, onLine(otherLine, "high"))
		d.refusesReload(t, driven1)
		d.restartInto(t, otherLine, driven0)
		expectGivenBack(t, left.changes(t), "0")
		expectRequested(t, taken.changes(t), "0")
		d.checkWorks(t, otherLine, driven1, driven0)
		if used := d.users(t, lockLine); used != "" {
			t.Errorf("the line that the lock has left is still held: %s", used)
		}
	})
	d.in(t, "back", func(t *testing.T) {
		left, taken := d.trace(t, otherLine), d.trace(t, lockLine)
		d.wire(t, latchdToml)
		d.restartInto(t, lockLine, driven0)
		expectGivenBack(t, left.changes(t), "0")
		expectRequested(t, taken.changes(t), "0")
	})
	d.in(t, "another active level", func(t *testing.T) {
		d.must(t, "unlockDoor", `{"hold":true}`)
		d.checkPin(t, lockLine, driven1)
		tr := d.trace(t, lockLine)
		d.wire(t, onLine(lockLine, "low"))
		d.refusesReload(t, driven1)
		d.restartInto(t, lockLine, driven1)
		// It is the same line: what locked it before, and then what locks it now.
		changes := tr.changes(t)
		if len(changes) == 0 || changes[0].to != "0" {
			t.Errorf("the line was not driven to what locked it before: %v", changes)
		} else {
			expectRequested(t, changes[1:], "1")
		}
		d.checkWorks(t, lockLine, driven0, driven1)
	})
}

// refusesReload: a reload does not move the lock to another line.
func (d *device) refusesReload(t *testing.T, held pin) {
	t.Helper()
	d.run(t, "systemctl reload latchd")
	if text := d.statusText(t); !strings.Contains(text, "restart") {
		t.Errorf("the status line does not say that it needs a restart: %q", text)
	}
	d.checkPin(t, lockLine, held)
}

// restartInto restarts the service, after which the lock is on this line, locked,
// and the operator knows.
func (d *device) restartInto(t *testing.T, l line, locked pin) {
	t.Helper()
	d.run(t, "systemctl restart latchd")
	d.checkPin(t, l, locked)
	d.hub.awaitOnline(t, d.id, time.Minute)
	d.hub.awaitReported(t, d.id, "locked", "door", "state")
	var fault any
	err := poll(t.Context(), 20*time.Second, 200*time.Millisecond, func() (bool, error) {
		fault = d.hub.reported(t, d.id, "agent", "fault")
		return strings.Contains(fmt.Sprint(fault), "lockLineChanged"), nil
	})
	if err != nil {
		t.Errorf("the twin does not tell of the line that was changed; its fault is %v", fault)
	}
}

// checkWorks unlocks and locks the door at its new line.
func (d *device) checkWorks(t *testing.T, l line, unlocked, locked pin) {
	t.Helper()
	d.must(t, "unlockDoor", `{"hold":true}`)
	d.checkPin(t, l, unlocked)
	d.must(t, "lockDoor", `{}`)
	d.checkPin(t, l, locked)
}

// users tells who holds a line, by the kernel's own list.
func (d *device) users(t *testing.T, l line) string {
	t.Helper()
	return d.run(t, fmt.Sprintf(`mountpoint -q /sys/kernel/debug || mount -t debugfs none /sys/kernel/debug
		grep -E '\(%s +\|[^)]*latchd' /sys/kernel/debug/gpio || true`, l))
}

// expectGivenBack demands that the line was set to a level, and to nothing else;
// as what the kernel leaves it when it is free is the chip's own matter.
func expectGivenBack(t *testing.T, changes []change, locked string) {
	t.Helper()
	var set []string
	for _, c := range changes {
		if c.to == "0" || c.to == "1" {
			set = append(set, c.to)
		}
	}
	if strings.Join(set, "") != locked {
		t.Errorf("the line was to be set to %s once and given back: %v", locked, changes)
	}
}

// expectRequested demands that the line has had one level since it became an
// output.
func expectRequested(t *testing.T, changes []change, locked string) {
	t.Helper()
	became := false
	for _, c := range changes {
		became = became || c.to == "out"
		if (c.to == "0" || c.to == "1") && c.to != locked {
			t.Errorf("the new line was not %s all the time: %v", locked, changes)
		}
	}
	if !became {
		t.Errorf("the new line did not become an output: %v", changes)
	}
}
