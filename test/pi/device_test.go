package pi

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// device is the machine with latchd on it, its hub and its time server.
type device struct {
	*machine
	id     string
	hub    *hub
	server *timeServer
}

const configuration = "/etc/latchd/latchd.toml"

// Two inputs and the lock; active high, because an emulated input that nobody
// drives is low. The tests reboot more often than a device in service may.
const latchdToml = `
[reboot]
max_per_hour = 1000
max_per_day = 1000
[door]
line = "GPIO17"
unlock_time = "5s"
[door.button]
line = "GPIO22"
active_level = "high"
bias = "pull-down"
[door.contact]
line = "GPIO27"
active_level = "high"
bias = "pull-down"
`

// newDevice boots a machine with a fresh card, on which there is no latchd.
func newDevice(t *testing.T, b board) *device {
	t.Helper()
	d := &device{machine: newMachine(t, b), id: "door-" + string(b), hub: newHub(t), server: newTimeServer(t)}
	d.redirectTo("udp", 123, d.server.port())
	d.hub.reach(t, d.machine)
	d.powerOn(t)
	d.awaitBoot(t)
	return d
}

// in is a part of a test, which shows the guest's journal when it fails.
func (d *device) in(t *testing.T, name string, part func(t *testing.T)) (ok bool) {
	return t.Run(name, func(t *testing.T) {
		t.Cleanup(func() {
			if t.Failed() {
				d.tellJournal(t)
			}
		})
		part(t)
	})
}

// tellJournal shows what latchd and systemd said of it since the last time.
func (d *device) tellJournal(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute) // the test's own has ended
	defer cancel()
	out, err := d.try(ctx, "journalctl -b --cursor-file=/run/told --no-pager -o short-monotonic _COMM=latchd + UNIT=latchd.service + _COMM=systemd-logind | tail -100")
	t.Logf("the guest's journal (%v):\n%s", err, out)
}

// debFile is the package for the guest.
func debFile(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(buildDir, "deb", "latchd_*_arm64.deb"))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s/deb must hold one package latchd_*_arm64.deb: %v %v", buildDir, found, err)
	}
	return found[0]
}

// newerDeb is the same package with a later version: what an upgrade does to
// the service does not depend on what is new in it.
func newerDeb(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	tree, out := filepath.Join(dir, "tree"), filepath.Join(dir, "latchd_newer_arm64.deb")
	command(t, "dpkg-deb", "-R", debFile(t), tree)
	control := filepath.Join(tree, "DEBIAN", "control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, "Version:") {
			lines[i] = l + "+newer"
		}
	}
	if err := os.WriteFile(control, []byte(strings.Join(lines, "\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	command(t, "dpkg-deb", "--root-owner-group", "-Zgzip", "-b", tree, out) // unpacking xz takes long in the guest
	return out
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// install installs the package, as a user would.
func (d *device) install(t *testing.T) (said string) {
	t.Helper()
	d.put(t, debFile(t), "/tmp/latchd.deb")
	return d.run(t, "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq /tmp/latchd.deb 2>&1")
}

// wire writes the configuration.
func (d *device) wire(t *testing.T, toml string) {
	t.Helper()
	d.write(t, configuration, "0644", toml)
}

// configure gives the device its hub.
func (d *device) configure(t *testing.T) (said string) {
	t.Helper()
	connection := d.hub.add(t, d.id)
	ca, err := os.ReadFile(d.hub.ca())
	if err != nil {
		t.Fatal(err)
	}
	d.write(t, "/tmp/ca.pem", "0644", string(ca))
	d.write(t, "/tmp/connection", "0600", connection)
	return d.run(t, "latchd configure --connection-string-file - --ca /tmp/ca.pem </tmp/connection 2>&1; rm /tmp/connection")
}

// goOnline is all that is needed from a bare machine to a connected one.
func (d *device) goOnline(t *testing.T) {
	t.Helper()
	d.install(t)
	d.wire(t, latchdToml)
	d.configure(t)
	d.hub.awaitOnline(t, d.id, time.Minute)
}

// statusText is latchd's line in systemctl status.
func (d *device) statusText(t *testing.T) string {
	t.Helper()
	return d.run(t, "systemctl show -P StatusText latchd")
}

// invoke, must, reported: see hub.
func (d *device) invoke(t *testing.T, method, payload string) (int, map[string]any) {
	t.Helper()
	return d.hub.invoke(t, d.id, method, payload)
}

func (d *device) must(t *testing.T, method, payload string) map[string]any {
	t.Helper()
	return d.hub.must(t, d.id, method, payload)
}
