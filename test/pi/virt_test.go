package pi

import (
	"fmt"
	"testing"
	"time"
)

// TestPowerAndClock is what needs many boots, on the board that boots quickly:
// the plug, the causes of a boot, and the clock of a machine that has none.
func TestPowerAndClock(t *testing.T) {
	needPi(t)
	d := newDevice(t, boardVirt)
	if !d.in(t, "go online", d.testGoOnline) {
		return
	}
	d.in(t, "idle", d.testIdle)
	d.in(t, "clock jumps", d.testJumps)
	d.in(t, "reboot by hand", d.testRebootByHand)
	d.in(t, "plug pulled", d.testPlugPulled)
	d.in(t, "plug pulled after the answer", func(t *testing.T) { d.testPlugInReboot(t, "answered") })
	d.in(t, "plug pulled on the way down", func(t *testing.T) { d.testPlugInReboot(t, "going down") })
	d.in(t, "time servers blocked", d.testTimeBlocked)
}

func (d *device) testGoOnline(t *testing.T) {
	d.goOnline(t)
	d.hub.awaitReported(t, d.id, "synchronized", "clock", "state")
	err := poll(t.Context(), time.Minute, 300*time.Millisecond, func() (bool, error) {
		return d.hub.reported(t, d.id, "rebootTime") != nil, nil
	})
	if err != nil {
		t.Fatal("the twin does not tell when the machine was booted")
	}
	d.checkRebootTime(t)
}

// A reboot that nobody commanded is reported too, as what it was.
func (d *device) testRebootByHand(t *testing.T) {
	before := d.bootID
	d.reboot(t)
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
	checkReceipt(t, d.awaitReceipt(t), map[string]any{
		"cause": "external", "orderly": true, "state": "completed", "bootId": d.bootID, "previousBootId": before,
	})
	d.checkRebootTime(t)
}

// pull pulls the plug and boots the same card again.
func (d *device) pull(t *testing.T) {
	t.Helper()
	d.pullPlug()
	d.powerOn(t)
	d.awaitBoot(t)
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
}

// Without power an unlock ends: the door is locked after the boot. What caused
// the boot is no order of anybody's.
func (d *device) testPlugPulled(t *testing.T) {
	d.must(t, "unlockDoor", `{"hold":true}`)
	before := d.bootID
	d.pull(t)
	d.checkPin(t, lockLine, driven0)
	last := d.awaitReceipt(t)
	checkReceipt(t, last, map[string]any{"orderly": false, "bootId": d.bootID, "previousBootId": before})
	if cause := last["cause"]; cause != "powerLoss" && cause != "unknown" {
		t.Errorf("the cause of a boot after the plug was pulled is %v", cause)
	}
	d.checkRebootTime(t)
	d.hub.awaitReported(t, d.id, "locked", "door", "state")
}

// The plug is pulled in the middle of a commanded reboot: there is a receipt,
// because the machine did reboot, but it claims no order that there was not.
func (d *device) testPlugInReboot(t *testing.T, phase string) {
	id := "plug " + phase
	id = fmt.Sprintf("plug-%d", len(id))
	before := d.bootID
	d.must(t, "rebootDevice", fmt.Sprintf(`{"commandId":%q,"delay":"8s"}`, id))
	if phase == "going down" {
		// PrepareForShutdown has come, the service may have stopped, the kernel has not.
		err := poll(t.Context(), time.Minute, 50*time.Millisecond, func() (bool, error) {
			_, err := d.try(t.Context(), `test "$(systemctl is-system-running)" != stopping`)
			return err != nil, nil
		})
		if err != nil {
			t.Fatalf("the machine does not go down: %v", err)
		}
	}
	d.pull(t)
	last := d.awaitReceipt(t)
	t.Logf("the receipt: %v", last)
	checkReceipt(t, last, map[string]any{"commandId": id, "state": "completed", "bootId": d.bootID, "previousBootId": before})
	if orderly := last["orderly"] == true; orderly && phase == "answered" || orderly != (last["cause"] == "rebootDevice") {
		t.Errorf("the plug was pulled %s, and the receipt says %v", phase, last)
	}
	d.checkRebootTime(t)
}

// jump steps the guest's clock, as a time server does that was wrong.
func (d *device) jump(t *testing.T, offset time.Duration) {
	t.Helper()
	d.server.offset.Store(int64(offset))
	d.run(t, "systemctl restart systemd-timesyncd")
	err := poll(t.Context(), time.Minute, 200*time.Millisecond, func() (bool, error) {
		return d.now(t).Sub(d.server.now()).Abs() < 5*time.Second, nil
	})
	if err != nil {
		t.Fatalf("the guest does not follow its time server by %s", offset)
	}
}

// The clock jumps while a door is unlocked: it locks on time, the time of the
// boot stays what it was reported to be, and the device stays in reach.
func (d *device) testJumps(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	before := d.hub.reported(t, d.id, "rebootTime")
	for _, by := range []time.Duration{day, -day, 10 * year, -10 * year} {
		t.Run(fmt.Sprintf("%+.0f days", by.Hours()/24), func(t *testing.T) {
			tr := d.trace(t, lockLine)
			d.must(t, "unlockDoor", `{"unlockTime":"15s"}`)
			d.jump(t, by)
			d.awaitPin(t, lockLine, driven0, time.Minute)
			checkInterval(t, tr.expect(t, "1", "0"), 15*time.Second)
			if after := d.hub.reported(t, d.id, "rebootTime"); after != before {
				t.Errorf("rebootTime was %v and is %v after the jump", before, after)
			}
			d.must(t, "getStatus", `{}`)
			d.jump(t, 0)
		})
	}
}

// A site that lets no SNTP through: the hub itself corroborates the time.
func (d *device) testTimeBlocked(t *testing.T) {
	d.server.silent.Store(true)
	t.Cleanup(func() { d.server.silent.Store(false) })
	d.run(t, "rm -rf /var/lib/systemd/timesync/clock") // what timesyncd remembers over a reboot
	d.reboot(t)
	if ahead := d.server.now().Sub(d.now(t)); ahead < time.Hour {
		t.Logf("the guest has booted only %s in the past", ahead)
	}
	d.hub.awaitOnline(t, d.id, 3*time.Minute)
	d.hub.awaitReported(t, d.id, "corroborated", "clock", "state")
	d.awaitReceipt(t)
	d.checkRebootTime(t)
}
