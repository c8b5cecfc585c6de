package pi

import (
	"strings"
	"testing"
	"time"
)

// What configure does from systemd 256 on, by hand: the stored credentials are
// encrypted by this machine, and kept elsewhere in plain.
const (
	encryptStored = `mkdir -m 0700 /run/kept
		for file in /etc/latchd/credentials/*; do
			systemd-creds encrypt --name=latchd-encrypted_${file##*/} $file /etc/latchd/credentials.encrypted/${file##*/}
		done
		mv /etc/latchd/credentials/* /run/kept/
		systemctl restart latchd`
	decryptStored = `mv /run/kept/* /etc/latchd/credentials/
		rm -r /run/kept /etc/latchd/credentials.encrypted/*
		systemctl restart latchd`
	hostKey = "/var/lib/systemd/credential.secret"
)

// A machine that cannot decrypt its credentials, as on a card that came from another
// one: the service starts all the same, the door works, and the status line says what
// is wrong. It is no matter for once: it goes on as soon as they can be decrypted.
func (d *device) testUndecryptable(t *testing.T) {
	d.finally(t, decryptStored)
	d.run(t, encryptStored)
	d.awaitStatus(t, "connected to "+hubName)
	d.run(t, "mv "+hostKey+" /var/lib/host-key; systemctl restart latchd")
	d.awaitStatus(t, "cannot decrypt the stored credentials")
	tr := d.trace(t, lockLine)
	d.run(t, "latchd door unlock --time 1s")
	d.awaitPin(t, lockLine, driven0, 10*time.Second)
	checkInterval(t, tr.expect(t, "1", "0"), time.Second)
	d.run(t, "mv /var/lib/host-key "+hostKey+"; systemctl restart latchd")
	d.awaitStatus(t, "connected to "+hubName)
}

// awaitStatus waits until latchd's line in systemctl status says something.
func (d *device) awaitStatus(t *testing.T, what string) {
	t.Helper()
	var said string
	err := poll(t.Context(), time.Minute, 300*time.Millisecond, func() (bool, error) {
		said = d.statusText(t)
		return strings.Contains(said, what), nil
	})
	if err != nil {
		t.Fatalf("the status line does not say %q: %q", what, said)
	}
}
