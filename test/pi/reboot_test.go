package pi

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// receipt is lastReboot of the twin.
func (d *device) receipt(t *testing.T) map[string]any {
	t.Helper()
	last, _ := d.hub.reported(t, d.id, "lastReboot").(map[string]any)
	return last
}

// awaitReceipt waits until the twin tells of the boot that the machine is in.
func (d *device) awaitReceipt(t *testing.T) map[string]any {
	t.Helper()
	var last map[string]any
	err := poll(t.Context(), 2*time.Minute, 300*time.Millisecond, func() (bool, error) {
		last = d.receipt(t)
		return last["bootId"] == d.bootID && d.hub.reported(t, d.id, "rebootTime") != nil, nil
	})
	if err != nil {
		t.Fatalf("the twin does not tell of boot %s: %v", d.bootID, last)
	}
	return last
}

// checkReceipt compares members of a receipt.
func checkReceipt(t *testing.T, got, want map[string]any) {
	t.Helper()
	for name, value := range want {
		if fmt.Sprint(got[name]) != fmt.Sprint(value) {
			t.Errorf("the receipt's %s is %v, want %v; all of it: %v", name, got[name], value, got)
		}
	}
}

// checkRebootTime demands that the twin tells when this boot really was.
func (d *device) checkRebootTime(t *testing.T) {
	t.Helper()
	var up float64
	if _, err := fmt.Sscan(d.run(t, "cat /proc/uptime"), &up); err != nil {
		t.Fatal(err)
	}
	want := d.server.now().Add(-time.Duration(up * 1e9))
	text, _ := d.hub.reported(t, d.id, "rebootTime").(string)
	got, err := time.Parse(time.RFC3339, text)
	if diff := got.Sub(want).Abs(); err != nil || diff > 10*time.Second {
		t.Errorf("rebootTime is %q, and the boot was at %s (%v)", text, want.UTC().Format(time.RFC3339), err)
	}
}

// The command that the product is named for: a real kernel goes down in order,
// comes back, and the receipt says so; all of it while somebody is logged in.
func (d *device) testReboot(t *testing.T) {
	session := d.logIn(t)
	t.Logf("who is logged in:\n%s", d.run(t, "loginctl list-sessions"))
	before := d.bootID
	const command = `{"commandId":"e2e-reboot","reason":"to see it"}`
	began := time.Now()
	if answer := d.orderReboot(t, command); !strings.Contains(answer, "rebooting") {
		t.Errorf("rebootDevice answered %s", answer)
	}
	if !session.alive() {
		t.Errorf("the session of %s ended before the reboot, so that this proves less than it says", guestUser)
	}
	after := d.awaitBoot(t)
	booted := time.Now()
	if after == before {
		t.Fatal("the boot id is the same")
	}
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
	figures.add(d.board, "rebootDevice to the machine being up again", "%.1f s", booted.Sub(began).Seconds())
	checkReceipt(t, d.awaitReceipt(t), map[string]any{
		"commandId": "e2e-reboot", "cause": "rebootDevice", "orderly": true, "state": "completed",
		"reason": "to see it", "bootId": after, "previousBootId": before,
	})
	d.checkRebootTime(t)
	d.checkPin(t, lockLine, driven0)
	d.checkOthersCannotMove(t) // by the rules of udev at a boot
	// In order: latchd ended by itself, and the journal was closed.
	end := d.run(t, "journalctl -b -1 --no-pager -o cat | tail -400")
	for _, sign := range []string{"latchd stops", "Journal stopped"} {
		if !strings.Contains(end, sign) {
			t.Errorf("the journal of the boot before does not tell %q: it did not go down in order", sign)
		}
	}
	if answer := d.must(t, "rebootDevice", command); answer["replayed"] != true {
		t.Errorf("the same command again: %v", answer)
	}
	if now := d.run(t, "cat /proc/sys/kernel/random/boot_id"); now != after {
		t.Errorf("the same command again rebooted")
	}
	d.figureBoot(t)
}

// orderReboot commands a reboot. A machine that is far too slow does not say in time
// whether it may be rebooted, and then the answer is to try again. Where the machine
// goes down at once the answer may be among what it takes along.
func (d *device) orderReboot(t *testing.T, command string) (answer string) {
	t.Helper()
	_ = poll(t.Context(), 2*time.Minute, time.Second, func() (bool, error) {
		answer, _ = d.hub.try(t, "latchctl", "invoke", d.id, "rebootDevice", command, "--output", "json")
		return !strings.Contains(answer, "try again"), nil
	})
	return answer
}

// figureBoot notes how long the boot took to a connected device.
func (d *device) figureBoot(t *testing.T) {
	t.Helper()
	connected := d.seconds(t, "connected to the hub")
	figures.add(d.board, "kernel's start to connected", "%.1f s", connected)
}

// seconds since the kernel's start until latchd said something for the last time.
func (d *device) seconds(t *testing.T, said string) (at float64) {
	t.Helper()
	line := d.run(t, "journalctl -b -u latchd --no-pager -o short-monotonic | grep -F '"+said+"' | tail -1")
	if _, err := fmt.Sscanf(line, "[%f]", &at); err != nil {
		t.Fatalf("latchd's %q in the journal is %q: %v", said, line, err)
	}
	return at
}

// What keeps the service from rebooting the machine, and its end.
const (
	inhibit = `systemd-run -q --unit=inhibitor systemd-inhibit --what=shutdown --mode=block --who='tape backup' --why='a tape is written' sleep 3600
		until systemd-inhibit --list --no-legend | grep -q 'tape backup'; do sleep 0.2; done`
	uninhibit = "systemctl stop inhibitor"
	rule      = "/usr/share/polkit-1/rules.d/latchd.rules"
	rightAway = "mv " + rule + " /var/lib/latchd.rules; systemctl restart polkit"
	rightBack = "mv /var/lib/latchd.rules " + rule + "; systemctl restart polkit"
	// The half of it that is for others' sessions, of which root's is one here.
	halfAway = "cp -p " + rule + " /var/lib/latchd.rules; sed -i s/reboot-multiple-sessions/nothing/ " + rule + "; systemctl restart polkit"
)

// Whoever forbids a reboot is named, and the machine stays up.
func (d *device) testInhibited(t *testing.T) {
	d.finally(t, uninhibit)
	d.run(t, inhibit)
	d.checkRefused(t, "tape backup")
}

// Without its polkit rule the device says what is missing.
func (d *device) testWithoutRight(t *testing.T) {
	d.finally(t, rightBack)
	d.run(t, rightAway)
	d.checkRefused(t, "polkit")
	d.run(t, rightBack)
	d.run(t, halfAway)
	d.checkRefused(t, "polkit")
}

func (d *device) checkRefused(t *testing.T, naming string) {
	t.Helper()
	status, answer := d.invoke(t, "rebootDevice", `{"delay":0}`)
	if said := fmt.Sprint(answer["Response"]); status != 503 || !strings.Contains(said, naming) {
		t.Errorf("a reboot that is forbidden answers %d %v; it should be 503 and name %q", status, answer, naming)
	}
	if id := d.run(t, "cat /proc/sys/kernel/random/boot_id"); id != d.bootID {
		t.Error("it rebooted")
	}
}
