package pi

import (
	"path/filepath"
	"strings"
	"testing"
)

// leftovers are files, users and groups that bear latchd's name, but for the
// test's own and the records of the package manager and the journal.
const leftovers = `find / -xdev -iname '*latchd*' ! -path '/tmp/*' ! -path '/var/log/*' ! -path '/var/cache/apt/*' ! -path '/proc/*'
	find /run /dev -iname '*latchd*'
	getent passwd latchd || true
	getent group latchd || true
	dpkg-query -W -f '${Package} ${db:Status-Status}\n' latchd 2>/dev/null || true
	ls -ld /etc/latchd /var/lib/latchd /etc/systemd/system/multi-user.target.wants/latchd.service 2>/dev/null || true`

// Removing stops the service and keeps what is the administrator's; purging
// leaves nothing.
func (d *device) testRemoveAndPurge(t *testing.T) {
	d.run(t, "DEBIAN_FRONTEND=noninteractive apt-get remove -y -qq latchd 2>&1")
	if p := d.pin(t, lockLine); p.output && p.high {
		t.Errorf("after the removal the line is %s: the door stands open", p)
	}
	if state := d.run(t, "systemctl is-active latchd || true"); state != "inactive" {
		t.Errorf("after the removal the service is %s", state)
	}
	d.run(t, "test -e /etc/latchd/latchd.toml; test -d /etc/latchd/credentials; test -d /var/lib/latchd; ! test -e /usr/bin/latchd")
	d.run(t, "DEBIAN_FRONTEND=noninteractive apt-get purge -y -qq latchd 2>&1")
	if left := d.run(t, leftovers); left != "" {
		t.Errorf("the purge left\n%s", left)
	}
	if group := d.run(t, "stat -c %U:%G /dev/gpiochip0"); strings.Contains(group, "latchd") || strings.Contains(group, "UNKNOWN") {
		t.Errorf("the purge left the GPIO chip to %s", group)
	}
}

// The tests of package gpio for the kernel's lines, on this kernel.
func (d *device) testKernelLines(t *testing.T) {
	d.put(t, filepath.Join(buildDir, "pi", "gpio.test"), "/tmp/gpio.test")
	said := d.run(t, "chmod +x /tmp/gpio.test; cd /tmp; LATCHD_TEST_LINE=GPIO24 LATCHD_TEST_OTHER=GPIO23 ./gpio.test -test.v -test.run Kernel 2>&1; rm /tmp/gpio.test")
	if !strings.Contains(said, "--- PASS") || strings.Contains(said, "--- SKIP") {
		t.Errorf("they did not all run:\n%s", said)
	}
}
