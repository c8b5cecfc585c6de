package pi

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// damage is something that is wrong with a device, made by hand, and the check
// that has to find it.
var damage = []struct{ check, do, undo string }{
	{"configuration", "printf '[dor]\\n' >>" + configuration, toWrite(configuration, "0644", latchdToml)},
	{"configurationPermissions", "chmod o+w /etc/latchd", "chmod o-w /etc/latchd"},
	{"stateDirectory", "chmod 0755 /var/lib/latchd", "chmod 0700 /var/lib/latchd"},
	{"packageIntegrity", "cp -p " + manPage + " /run/page; echo >>" + manPage, "cp -p /run/page " + manPage},
	{"zoneData", "mv /usr/share/zoneinfo /usr/share/zoneinfo.away", "mv /usr/share/zoneinfo.away /usr/share/zoneinfo"},
	{"rebootRight", rightAway, rightBack},
	{"inhibitors", inhibit, uninhibit},
	{"rebootRequired", "touch /run/reboot-required", "rm -f /run/reboot-required"},
	{"diskSpace", fillDisk, emptyDisk},
}

// What the host does: the hub is gone, and somebody forces the door open.
var damageFromOutside = []string{"port8883", "hubAnswer", "lock"}

const manPage = "/usr/share/man/man8/latchd.8.gz"

// testCheck damages the device in a dozen ways: latchd check finds each, names a
// remedy, and finds none of them before and after.
func (d *device) testCheck(t *testing.T) {
	ids := append([]string{"service"}, damageFromOutside...)
	for _, what := range damage {
		ids = append(ids, what.check)
	}
	d.checkFinds(t, false, ids...)

	for _, what := range damage {
		d.run(t, what.do)
	}
	undone := false
	undo := func(t *testing.T) {
		if undone {
			return
		}
		undone = true
		for _, what := range damage {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own may have ended
			if out, err := d.try(ctx, what.undo); err != nil {
				t.Errorf("in the guest, to clean up: %s\n%s\n%v", what.undo, out, err)
			}
			cancel()
		}
	}
	t.Cleanup(func() { undo(t) })
	d.drive(t, contactLine, true)
	d.hub.stop()
	d.await(t, time.Minute, "the loss of the hub", "systemctl show -P StatusText latchd | grep -q 'not connected'")
	d.checkFinds(t, true, ids[1:]...)

	undo(t)
	d.drive(t, contactLine, false)
	d.hub.start(t)
	d.hub.awaitOnline(t, d.id, 3*time.Minute)
	d.checkFinds(t, false, ids...)
}

// testCheckStopped is a service that does not run.
func (d *device) testCheckStopped(t *testing.T) {
	d.finally(t, "systemctl start latchd")
	d.run(t, "systemctl stop latchd")
	d.checkFinds(t, true, "service")
}

// result is what latchd check says of one thing.
type result struct {
	ID, Severity, Text, Remedy string
	OK                         bool
}

// checkFinds demands that latchd check finds these faulty, each with a remedy, or
// none of them. A machine that is ten times too slow does not always answer all of
// it within the three seconds that there are, so it is asked again.
func (d *device) checkFinds(t *testing.T, faulty bool, ids ...string) {
	t.Helper()
	var wrong []result
	err := poll(t.Context(), 40*time.Second, time.Second, func() (bool, error) {
		wrong = nil
		all := d.check(t)
		for _, id := range ids {
			if r := all[id]; r.OK == faulty || faulty && r.Remedy == "" {
				wrong = append(wrong, r)
			}
		}
		return len(wrong) == 0, nil
	})
	if err != nil {
		t.Errorf("latchd check, where these are %s: %+v", map[bool]string{true: "damaged", false: "in order"}[faulty], wrong)
	}
	t.Logf("looked at %s", strings.Join(ids, ", "))
}

func (d *device) check(t *testing.T) map[string]result {
	t.Helper()
	out, err := d.try(t.Context(), "latchd check --output json")
	var results []result
	if jsonErr := json.Unmarshal([]byte(out), &results); jsonErr != nil {
		t.Fatalf("latchd check: %q: %v (%v)", out, jsonErr, err)
	}
	all := map[string]result{}
	for _, r := range results {
		all[r.ID] = r
	}
	return all
}
