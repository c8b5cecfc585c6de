package pi

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// TestPowerAndClock is what needs many boots, on the board that boots quickly:
// the plug, the causes of a boot, and the clock of a machine that has none.
func TestPowerAndClock(t *testing.T) {
	needPi(t)
	t.Parallel()
	d := newDevice(t, boardVirt)
	if !d.in(t, "go online", d.testGoOnline) {
		return
	}
	for _, part := range []struct {
		name string
		test func(t *testing.T)
	}{
		{"button", d.testButton},
		{"broken configuration", d.testBrokenConfiguration},
		{"undecryptable credentials", d.testUndecryptable},
		{"line changed", d.testLineChanged},
		{"no edge while unlocked", d.testNoEdgeUnlocked},
		{"upgrade in a momentary unlock", d.testUpgradeInUnlock},
		{"no edge while locked", d.testNoEdgeLockedToo},
		{"check", d.testCheck},
		{"check of a stopped service", d.testCheckStopped},
		{"inhibited reboot", d.testInhibited},
		{"reboot without the right", d.testWithoutRight},
		{"clock jumps", d.testJumps},
		{"windows", d.testWindows},
		{"plug pulled", d.testPlugPulled},
		{"plug pulled in a reboot", func(t *testing.T) {
			for _, phase := range phases {
				d.in(t, phase, func(t *testing.T) { d.testPlugInReboot(t, phase) })
			}
		}},
		{"reboot by hand, time servers blocked", d.testTimeBlocked},
		{"killed and stopped", d.testKilledAndStopped},
		{"remove and purge", d.testRemoveAndPurge},
	} {
		d.in(t, part.name, part.test)
	}
}

func (d *device) testGoOnline(t *testing.T) {
	d.goOnline(t)
	d.putNewer(t)
	d.checkBootsInThePast(t)
	d.hub.awaitReported(t, d.id, "synchronized", "clock", "state")
	err := poll(t.Context(), time.Minute, 300*time.Millisecond, func() (bool, error) {
		return d.hub.reported(t, d.id, "rebootTime") != nil, nil
	})
	if err != nil {
		t.Fatal("the twin does not tell when the machine was booted")
	}
	d.checkRebootTime(t)
}

// checkBootsInThePast demands that the clock of this boot began long ago, as a
// Pi's does.
func (d *device) checkBootsInThePast(t *testing.T) {
	t.Helper()
	if began := d.bootedBy(t); d.server.now().Sub(began) < 24*time.Hour {
		t.Errorf("the machine did not boot in the past but at %s", began)
	}
}

// bootedBy is when this boot began by the clock that it began with, which is when
// systemd was built if nothing tells it more. The journal keeps the time as it was.
func (d *device) bootedBy(t *testing.T) time.Time {
	t.Helper()
	return time.Unix(d.number(t, "journalctl -b -k -o short-unix --no-pager | sed -n 2p | cut -d. -f1"), 0)
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

// Phases of a commanded reboot, as the device records them before each act.
// afterAll is none of them: the machine has gone down, and is off.
const afterAll = "down"

var phases = []string{"accepted", "answered", "asked", "going-down", afterAll}

// testPlugInReboot: the plug is pulled in the middle of a commanded reboot. There
// is a receipt, because the machine did reboot, but it claims no order that there
// was not.
func (d *device) testPlugInReboot(t *testing.T, phase string) {
	id, before := "plug-"+phase, d.bootID
	command := fmt.Sprintf(`{"commandId":%q}`, id)
	if phase == afterAll {
		d.pullWhenDown(t, func() { d.orderReboot(t, command) })
	} else {
		d.pullIn(t, phase, func() { d.orderReboot(t, command) })
	}
	d.awaitBoot(t)
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
	last := d.awaitReceipt(t)
	t.Logf("orderly %v, cause %v, down for %v s", last["orderly"], last["cause"], last["downSeconds"])
	checkReceipt(t, last, map[string]any{"commandId": id, "state": "completed", "bootId": d.bootID, "previousBootId": before})
	switch phase {
	case "going-down", afterAll: // the mark is on the disk: it was commanded, and did go down
		checkReceipt(t, last, map[string]any{"orderly": true, "cause": "rebootDevice"})
	default:
		if cause := last["cause"]; last["orderly"] != false || cause != "powerLoss" && cause != "unknown" {
			t.Errorf("the plug was pulled when it was %s, and the receipt says %v", phase, last)
		}
	}
	d.checkRebootTime(t)
	d.checkPin(t, lockLine, driven0)
}

// pullIn cuts the power at the moment at which a phase is on the disk: a program
// in the guest waits for it and has the kernel reset the machine, with nothing else
// synced and nobody told. The hand of the host would be too slow. A file that has been
// renamed can be read before the new name is on the disk, so the hand syncs its
// directory too, as the agent is just doing.
func (d *device) pullIn(t *testing.T, phase string, command func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), bootWithin)
	defer cancel()
	d.write(t, "/run/pull", "0755", `#!/usr/bin/perl -w
		use strict;
		use IO::Handle;
		open(my $dir, "<", "/var/lib/latchd") && open(my $reset, ">", "/proc/sysrq-trigger") && open(my $ready, ">", "/run/pulls") or die $!;
		for (my $text = ""; $text !~ /"phase": "`+phase+`"/;) {
			select(undef, undef, undef, 0.001);
			open(my $file, "<", "/var/lib/latchd/operations.json") or next;
			local $/;
			$text = <$file> // "";
		}
		$dir->sync or die $!;
		syswrite($reset, "b");`)
	pulled := make(chan error, 1)
	go func() {
		_, err := d.try(ctx, "/run/pull")
		pulled <- err
	}()
	d.await(t, time.Minute, "the hand at the plug", "test -e /run/pulls")
	answered := make(chan struct{})
	go func() { // without an answer, for which the hub waits half a minute
		defer close(answered)
		command()
	}()
	defer func() { <-answered }()
	err := poll(ctx, bootWithin, 100*time.Millisecond, func() (bool, error) {
		ready, err := d.readyLines()
		return len(ready) > d.boots, err
	})
	d.hangUp() // nobody has told ssh that the machine has gone
	if <-pulled; err != nil {
		t.Fatalf("the machine does not come to %s: %v", phase, err)
	}
}

// pullWhenDown has QEMU end where the machine would start again.
func (d *device) pullWhenDown(t *testing.T, command func()) {
	t.Helper()
	if err := d.endAtReset(); err != nil {
		t.Fatalf("telling QEMU to end at a reset: %v", err)
	}
	command()
	select {
	case <-d.qemu.done:
	case <-time.After(3 * time.Minute):
		t.Fatal("the machine does not go down")
	}
	d.hangUp()
	_ = d.qtest.conn.Close()
	d.powerOn(t)
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

// The clock jumps while a door is unlocked: it locks on time, the time of the boot
// stays what it was reported to be, and the device is in reach whenever the hub's
// certificate is valid by that clock.
//
// timesyncd follows to no time before it was built, nor beyond the day in 2036 on
// which NTP's count of seconds begins anew. The long jumps are from one to the other,
// as near to ten years as that gets.
func (d *device) testJumps(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	now := d.server.now()
	low := d.bootedBy(t).Add(day).Sub(now)
	high := min(low+10*year, time.Date(2036, time.February, 1, 0, 0, 0, 0, time.UTC).Sub(now))
	before := d.hub.reported(t, d.id, "rebootTime")
	for _, at := range []time.Duration{day, 0, low, high, low, 0} {
		by := at - time.Duration(d.server.offset.Load())
		d.in(t, fmt.Sprintf("%+.0f days", by.Hours()/24), func(t *testing.T) {
			tr := d.trace(t, lockLine)
			d.run(t, "latchd door unlock --time 10s")
			d.jump(t, at)
			d.awaitPin(t, lockLine, driven0, time.Minute)
			checkInterval(t, tr.expect(t, "1", "0"), 10*time.Second)
			if after := d.hub.reported(t, d.id, "rebootTime"); after != before {
				t.Errorf("rebootTime was %v and is %v after the jump", before, after)
			}
			if at.Abs() <= day {
				d.hub.awaitOnline(t, d.id, 2*time.Minute)
				d.must(t, "getStatus", `{}`)
			}
		})
	}
}

// A site that lets no SNTP through: the hub itself corroborates the time. And a
// reboot that nobody commanded is reported too, as what it was.
func (d *device) testTimeBlocked(t *testing.T) {
	d.server.silent.Store(true)
	t.Cleanup(func() { d.server.silent.Store(false) })
	// What timesyncd remembers over a reboot it writes once more when it stops.
	d.run(t, "systemctl stop systemd-timesyncd; touch -d 2023-01-01 /var/lib/systemd/timesync/clock")
	before := d.bootID
	d.reboot(t)
	d.checkBootsInThePast(t)
	d.hub.awaitOnline(t, d.id, 3*time.Minute)
	d.hub.awaitReported(t, d.id, "corroborated", "clock", "state")
	checkReceipt(t, d.awaitReceipt(t), map[string]any{
		"cause": "external", "orderly": true, "state": "completed", "bootId": d.bootID, "previousBootId": before,
	})
	d.checkRebootTime(t)
}
