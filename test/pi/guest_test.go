package pi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

// commandWithin bounds a command in the guest; installing a package takes half
// a minute on the slow board, and ten times that on a machine that has much else
// to do.
const commandWithin = 8 * time.Minute

// guestUser is the guest's first user, who is in the group gpio as on Raspberry Pi OS
// (image.sh).
const guestUser = "pi"

// ssh is the command line that reaches a user of the guest's; more options may come
// before the command. All that root does shares one connection: making one takes
// seconds of the guest's time. The cheapest algorithms are good enough on the host's
// loopback.
func (m *machine) ssh(user string, args ...string) *exec.Cmd {
	return exec.Command("ssh", append([]string{
		"-F", "none", "-i", m.image + "/key", "-p", strconv.Itoa(m.sshPort), "-S", m.file("ssh-" + user),
		"-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=" + os.DevNull,
		"-o", "ConnectTimeout=60", "-o", "KexAlgorithms=curve25519-sha256", "-o", "Ciphers=aes128-ctr",
		user + "@127.0.0.1",
	}, args...)...)
}

// dial makes the connection.
func (m *machine) dial(t *testing.T) {
	t.Helper()
	cmd := m.ssh("root", "-M", "-N", "-o", "ServerAliveInterval=15", "-o", "ServerAliveCountMax=8")
	var said bytes.Buffer
	cmd.Stderr = &said
	var err error
	if m.master, err = startProcess(context.Background(), cmd); err != nil {
		t.Fatalf("starting ssh: %v", err)
	}
	err = poll(t.Context(), time.Minute, 50*time.Millisecond, func() (bool, error) {
		if !m.master.alive() {
			return false, errors.New("ssh ended: " + said.String())
		}
		_, err := os.Stat(m.file("ssh-root"))
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("reaching the guest by ssh: %v", err)
	}
}

// hangUp ends the connection, if there is one.
func (m *machine) hangUp() {
	if m.master != nil {
		m.master.kill()
		m.master = nil
	}
	_ = os.Remove(m.file("ssh-root"))
}

// try runs a shell script as root in the guest and returns what it printed. The
// error holds what it printed on standard error.
func (m *machine) try(ctx context.Context, script string) (string, error) {
	cmd := m.ssh("root", "set -eu; "+script)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ctx, cancel := context.WithTimeout(ctx, commandWithin)
	defer cancel()
	p, err := startProcess(ctx, cmd)
	if err != nil {
		return "", err
	}
	<-p.done
	if ctx.Err() != nil {
		return stdout.String(), fmt.Errorf("it took too long: %w: %s", ctx.Err(), stderr.String())
	}
	if p.err != nil {
		return stdout.String(), fmt.Errorf("%w: %s", p.err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), nil
}

// run is try in a test, without the last line's end.
func (m *machine) run(t *testing.T, script string) string {
	t.Helper()
	out, err := m.try(t.Context(), script)
	if err != nil {
		t.Fatalf("in the guest: %s\n%s\n%v", script, out, err)
	}
	return strings.TrimSuffix(out, "\n")
}

// logIn opens an ssh session of the guest's first user, which lasts until the guest or
// the test ends, and demands that logind counts it as a session of that user's.
func (m *machine) logIn(t *testing.T) *process {
	t.Helper()
	session, err := startProcess(t.Context(), m.ssh(guestUser, "sleep infinity"))
	if err != nil {
		t.Fatalf("starting ssh: %v", err)
	}
	m.await(t, time.Minute, "a session of "+guestUser, `for id in $(loginctl list-sessions --no-legend | awk '$3 == "`+guestUser+`" { print $1 }'); do
			case $(loginctl show-session $id -p Class -p Service -p Remote | sort | xargs) in "Class=user Remote=yes Service=sshd") exit 0 ;; esac
		done
		exit 1`)
	return session
}

// await waits until a script of the guest's succeeds.
func (m *machine) await(t *testing.T, within time.Duration, what, script string) {
	t.Helper()
	var last error
	err := poll(t.Context(), within, 300*time.Millisecond, func() (bool, error) {
		_, last = m.try(t.Context(), script)
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("%s: not within %s: %v", what, within, last)
	}
}

// finally runs a script in the guest when the test has ended, however it did.
func (m *machine) finally(t *testing.T, script string) {
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), commandWithin) // the test's own has ended
		defer cancel()
		if out, err := m.try(ctx, script); err != nil {
			t.Errorf("in the guest, to clean up: %s\n%s\n%v", script, out, err)
		}
	})
}

// write makes a file of the guest's, with a mode like "0644".
func (m *machine) write(t *testing.T, path, mode, content string) {
	t.Helper()
	m.run(t, toWrite(path, mode, content))
}

// toWrite is a script that makes a file.
func toWrite(path, mode, content string) string {
	return fmt.Sprintf("install -D -m %s /dev/stdin '%s' <<'END-OF-FILE'\n%s\nEND-OF-FILE\n", mode, path, strings.TrimSuffix(content, "\n"))
}

// put copies a large file into the guest. The Pi's network hangs on its USB, at
// 0.2 MB/s emulated; the card is twenty times as fast. So the host writes the
// file onto the card, behind the file system, and the guest reads it from
// there, past its cache.
func (m *machine) put(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	const mb = 1 << 20
	begin, end := m.mailbox(t)
	if len(content) > (end-begin)*mb {
		t.Fatalf("%s has %d bytes, more than the card has room for", from, len(content))
	}
	card, err := os.OpenFile(m.card(), os.O_WRONLY, 0)
	if err == nil {
		_, err = card.WriteAt(content, int64(begin)*mb)
		err = errors.Join(err, card.Close())
	}
	if err != nil {
		t.Fatalf("copying %s onto the card: %v", from, err)
	}
	m.run(t, fmt.Sprintf(`dd if="$(findmnt -no SOURCE /)" bs=1M skip=%d count=%d iflag=direct status=none | head -c %d >'%s'
		echo '%x  %s' | sha256sum -c --quiet`, begin, (len(content)+mb-1)/mb, len(content), to, sha256.Sum256(content), to))
}

// mailbox is the room behind the file system on the card, in MB.
func (m *machine) mailbox(t *testing.T) (begin, end int) {
	t.Helper()
	text, err := os.ReadFile(m.image + "/card.env")
	if err == nil {
		_, err = fmt.Sscanf(string(text), "filesystem_mb=%d\ncard_mb=%d\n", &begin, &end)
	}
	if err != nil {
		t.Fatalf("reading card.env: %v", err)
	}
	return begin, end
}

// reboot is a reboot by hand.
func (m *machine) reboot(t *testing.T) {
	t.Helper()
	before := m.bootID
	_, _ = m.try(t.Context(), "systemctl reboot") // ssh may or may not live to tell how it went
	if after := m.awaitBoot(t); after == before {
		t.Fatalf("after the reboot the boot id is the same: %s", after)
	}
}

// now is the guest's wall clock.
func (m *machine) now(t *testing.T) time.Time {
	t.Helper()
	seconds, err := strconv.ParseFloat(m.run(t, "date +%s.%N"), 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.UnixMicro(int64(seconds * 1e6))
}
