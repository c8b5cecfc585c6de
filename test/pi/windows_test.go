package pi

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/test/site"
)

// windows is a maintenance policy with one window a day, of half an hour.
func windows(opens time.Time) string {
	return fmt.Sprintf(`{"timeZone":"UTC","windows":[{"name":"night","start":"%s","duration":"30m"}],"spread":0}`, opens.UTC().Format("15:04"))
}

// maintain sets the policy and waits until the device has taken it.
func (d *device) maintain(t *testing.T, policy string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "windows.json")
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	d.hub.program(t, "latchctl", "maintenance", "set", d.id, "-f", file)
}

// maintenance is what the device itself says of its windows, as to the person
// who stands before it.
func (d *device) maintenance(t *testing.T) (doc map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(d.run(t, "latchd maintenance --output json")), &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// pendingIn is the one pending operation in a document.
func pendingIn(t *testing.T, doc any, path ...string) map[string]any {
	t.Helper()
	all, _ := site.At(doc, path...).(map[string]any)
	for _, one := range all {
		return one.(map[string]any)
	}
	t.Fatalf("no operation is pending: %v", doc)
	return nil
}

// awaitPending waits until the device says that its reboot waits for that time and
// that reason, and is still in the boot that the test knows.
func (d *device) awaitPending(t *testing.T, notBefore time.Time, blockedBy string) {
	t.Helper()
	want := notBefore.UTC().Format("2006-01-02T15:04:05.000Z")
	var got map[string]any
	err := poll(t.Context(), time.Minute, 500*time.Millisecond, func() (bool, error) {
		got = pendingIn(t, d.maintenance(t), "pending")
		by, _ := got["blockedBy"].(string)
		return got["notBefore"] == want && strings.HasPrefix(by, blockedBy), nil
	})
	if err != nil {
		t.Errorf("the device says %v; its reboot should wait for %s, by %s", got, want, blockedBy)
	}
	d.checkStillUp(t)
}

func (d *device) checkStillUp(t *testing.T) {
	t.Helper()
	if id := d.run(t, "cat /proc/sys/kernel/random/boot_id"); id != d.bootID {
		t.Fatal("the machine rebooted outside its window")
	}
}

// nextTime is the next time at which a clock that shows now comes to that time of
// the day.
func nextTime(now, opens time.Time) time.Time {
	const day = 24 * time.Hour
	at := now.Truncate(day).Add(opens.Sub(opens.Truncate(day)))
	if !at.After(now) {
		at = at.Add(day)
	}
	return at
}

// A policy and a deferred reboot outlive the loss of power, of the time and of the
// network, and the jumps of a clock: the reboot happens inside the window, once.
func (d *device) testWindows(t *testing.T) {
	const day, year = 24 * time.Hour, 365 * 24 * time.Hour
	opens := d.server.now().Add(3 * time.Hour).Truncate(time.Minute)
	d.maintain(t, windows(opens))
	answer := d.orderReboot(t, `{"commandId":"in-the-window","reason":"new kernel"}`)
	if !strings.Contains(answer, `"scheduled"`) || !strings.Contains(answer, opens.UTC().Format("2006-01-02T15:04:05.000Z")) {
		t.Errorf("a reboot outside the window answered %s", answer)
	}

	// No power, no network, no time: the clock begins in the past.
	d.hub.stop()
	d.server.silent.Store(true)
	t.Cleanup(func() { d.server.silent.Store(false) })
	d.run(t, "systemctl stop systemd-timesyncd; touch -d 2023-01-01 /var/lib/systemd/timesync/clock; sync")
	d.pullPlug()
	d.powerOn(t)
	d.awaitBoot(t)
	d.checkBootsInThePast(t)
	d.awaitPending(t, opens, "clock")
	status, _ := d.maintenance(t)["status"].(map[string]any)
	if status["open"] != false || status["why"] != "clock" || status["next"] != nil {
		t.Errorf("without a clock the windows are %v", status)
	}

	// The time, then the network.
	d.server.silent.Store(false)
	d.run(t, "systemctl restart systemd-timesyncd")
	d.awaitPending(t, nextTime(d.server.now(), opens), "outside")
	d.hub.start(t)
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
	d.hub.awaitReported(t, d.id, "outside", "maintenanceStatus", "why")
	got := pendingIn(t, d.hub.reported(t, d.id), "pendingOperations")
	if got["notBefore"] != opens.UTC().Format("2006-01-02T15:04:05.000Z") || got["reason"] != "new kernel" {
		t.Errorf("after the loss of all the twin says %v", got)
	}

	low := d.bootedBy(t).Add(day).Sub(d.server.now())
	high := min(low+10*year, time.Date(2036, time.February, 1, 0, 0, 0, 0, time.UTC).Sub(d.server.now()))
	for _, at := range []time.Duration{-day, day, 0, low, high, 0} {
		d.jump(t, at)
		believed := d.server.now()
		if at < 0 { // it was not even built then, so it believes the hub instead
			believed = time.Now()
		}
		d.awaitPending(t, nextTime(believed, opens), "outside")
	}

	// And now the window opens.
	before := d.bootID
	d.server.offset.Store(int64(opens.Sub(d.server.now()) - 10*time.Second))
	t.Cleanup(func() { d.server.offset.Store(0) })
	_, _ = d.try(t.Context(), "systemctl restart systemd-timesyncd") // which may have rebooted by then
	if after := d.awaitBoot(t); after == before {
		t.Fatal("the boot id is the same")
	}
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
	last := d.awaitReceipt(t)
	checkReceipt(t, last, map[string]any{
		"commandId": "in-the-window", "reason": "new kernel", "cause": "rebootDevice", "orderly": true,
		"state": "completed", "bootId": d.bootID, "previousBootId": before,
	})
	started, err := time.Parse(time.RFC3339, fmt.Sprint(last["startedAt"]))
	if err != nil || started.Before(opens) || started.After(opens.Add(30*time.Minute)) {
		t.Errorf("the reboot began at %v; the window opened at %s", last["startedAt"], opens)
	}
	d.hub.awaitReported(t, d.id, "window", "maintenanceStatus", "why")
	if pending := d.hub.reported(t, d.id, "pendingOperations"); pending != nil && fmt.Sprint(pending) != "map[]" {
		t.Errorf("after the reboot there is still pending: %v", pending)
	}
	d.hub.program(t, "latchctl", "maintenance", "clear", d.id)
	d.jump(t, 0)
	d.hub.awaitOnline(t, d.id, 2*time.Minute)
	d.checkStillUp(t)
}
