package pi

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// maxExposure is what `systemd-analyze security` may find, of ten.
const maxExposure = 1.5

// maxResident is how much memory a connected agent may take, in MB.
const maxResident = 12

// testMeasures notes what the service takes, and how exposed it is.
func (d *device) testMeasures(t *testing.T) {
	for _, deb := range found(t, "latchd_*.deb") {
		name := strings.Split(strings.TrimSuffix(filepath.Base(deb), ".deb"), "_")
		info, err := os.Stat(deb)
		if err != nil {
			t.Fatal(err)
		}
		figures.add("", "package for "+name[len(name)-1], "%.2f MB", float64(info.Size())/1e6)
	}
	said := d.run(t, "systemd-analyze security latchd --no-pager | tail -1")
	var exposure float64
	_, after, _ := strings.Cut(said, ": ")
	if _, err := fmt.Sscan(after, &exposure); err != nil || exposure > maxExposure {
		t.Errorf("systemd-analyze security: %s (more than %v)", said, maxExposure)
	}
	figures.add(d.board, "exposure by systemd-analyze security", "%.1f of 10", exposure)

	d.run(t, "systemctl restart latchd")
	d.hub.awaitOnline(t, d.id, time.Minute)
	d.await(t, time.Minute, "connected", `journalctl -q _PID=$(systemctl show -P MainPID latchd) --no-pager | grep -q "connected to the hub"`)
	started, ready := d.microseconds(t, "ExecMainStartTimestampMonotonic"), d.microseconds(t, "ActiveEnterTimestampMonotonic")
	figures.add(d.board, "start of the service to READY (the lock is under control)", "%.2f s", (ready - started).Seconds())
	figures.add(d.board, "start of the service to connected", "%.2f s", d.seconds(t, "connected to the hub")-started.Seconds())
	// Not VmRSS of status, of which the kernel says that it is inaccurate: by 1 MB here.
	resident := float64(d.number(t, "awk '/^Rss/ {print $2}' /proc/$(systemctl show -P MainPID latchd)/smaps_rollup")) * 1024 / 1e6
	if resident > maxResident {
		t.Errorf("latchd takes %.1f MB of memory, more than %d", resident, maxResident)
	}
	figures.add(d.board, "resident memory, connected", "%.1f MB", resident)
}

func (d *device) microseconds(t *testing.T, property string) time.Duration {
	t.Helper()
	return time.Duration(d.number(t, "systemctl show -P "+property+" latchd")) * time.Microsecond
}

func (d *device) number(t *testing.T, script string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(d.run(t, script), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", script, err)
	}
	return n
}

// testIdle demands that an agent with nothing to do writes nothing.
func (d *device) testIdle(t *testing.T) {
	const writes = "awk '/^write_bytes/ {print $2}' /proc/$(systemctl show -P MainPID latchd)/io"
	before := d.number(t, writes)
	d.run(t, "sleep 120") // the guest's own two minutes
	wrote := d.number(t, writes) - before
	if wrote != 0 {
		t.Errorf("in two idle minutes latchd wrote %d bytes", wrote)
	}
	figures.add(d.board, "written by latchd in two idle minutes", "%d bytes", wrote)
}

// found is the files of build/deb.
func found(t *testing.T, pattern string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(buildDir, "deb", pattern))
	if err != nil {
		t.Fatal(err)
	}
	return all
}
