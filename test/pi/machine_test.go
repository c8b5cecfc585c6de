package pi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// board is what QEMU emulates.
type board string

const (
	board3B   board = "raspi3b"
	boardVirt board = "virt"
)

// A boot of the Pi takes 70 s of two idle cores, one of the virt board 25 s;
// machines that run tests are not always idle.
const bootWithin = 5 * time.Minute

// machine is an emulated board with its card: QEMU, and the ways in.
type machine struct {
	board board
	image string // folder that image.sh made
	dir   string // of this machine: card, console, sockets

	redirect []string // "udp:123:40123": see image/guest/usr/local/sbin/guest-network
	qemu     *process
	qtest    *qtest

	gpioDevice string   // the chip's name inside QEMU, on the virt board
	sshPort    int      // on the host's loopback
	master     *process // the ssh connection that all commands share
	boots      int      // ready lines of the console that were waited for
	bootID     string   // that the last one told
	traced     int      // marks in the kernel's trace
}

// newMachine takes a fresh card. It is not powered yet. When the test fails it
// shows what the guest said.
func newMachine(t *testing.T, b board) *machine {
	t.Helper()
	m := &machine{board: b, image: imageDir, dir: machineDir(t)}
	card := exec.Command("cp", "--sparse=always", "--reflink=auto", filepath.Join(m.image, "card.img"), m.card())
	if out, err := card.CombinedOutput(); err != nil {
		t.Fatalf("copying the card: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			m.tellConsole(t)
		}
		if m.qemu != nil {
			m.pullPlug()
		}
	})
	return m
}

func (m *machine) file(name string) string { return filepath.Join(m.dir, name) }
func (m *machine) card() string            { return m.file("card.img") }

// redirectTo lets the guest find a port of the host at another number. It must
// come before powerOn.
func (m *machine) redirectTo(protocol string, guestPort, hostPort int) {
	m.redirect = append(m.redirect, fmt.Sprintf("pi.redirect=%s:%d:%d", protocol, guestPort, hostPort))
}

// arguments are QEMU's. The kernel traces GPIO from its first moment; kaslr and
// mitigations cost time and serve nothing here. What the guest writes is in the
// host's memory at once and stays there when QEMU is killed, so that nothing is
// won by waiting for the host's disk (cache=unsafe), and on a busy machine a
// guest that waits for it stands still for minutes.
func (m *machine) arguments() []string {
	kernel := "quiet loglevel=4 systemd.show_status=0 mitigations=off audit=0 nokaslr " +
		"trace_clock=boot trace_event=gpio:gpio_direction,gpio:gpio_value " + strings.Join(m.redirect, " ")
	args := []string{
		"-display", "none", "-accel", "tcg,thread=multi,tb-size=256",
		"-kernel", filepath.Join(m.image, "kernel"), "-initrd", filepath.Join(m.image, "initrd"),
		"-netdev", "user,id=net,hostfwd=tcp:127.0.0.1:0-:22",
		"-monitor", "unix:" + m.file("monitor") + ",server,nowait", "-qmp", "unix:" + m.file("qmp") + ",server,nowait",
		"-qtest", "unix:" + m.file("qtest") + ",server,nowait", "-qtest-log", os.DevNull,
		"-chardev", "file,id=console,append=on,path=" + m.file("console"),
	}
	switch m.board {
	case board3B: // its device tree has the console at the second serial port
		return append(args, "-M", "raspi3b", "-dtb", filepath.Join(m.image, "pi3b.dtb"),
			"-append", "console=ttyS1,115200 root=/dev/mmcblk0 "+kernel,
			"-serial", "null", "-serial", "chardev:console",
			"-drive", "if=sd,format=raw,cache=unsafe,file="+m.card(), "-device", "usb-net,netdev=net")
	default:
		return append(args, "-M", "virt", "-cpu", "cortex-a53", "-smp", "2", "-m", "512", "-dtb", filepath.Join(m.image, "virt.dtb"),
			"-append", "console=ttyAMA0 root=/dev/vda "+kernel,
			"-serial", "chardev:console",
			"-drive", "if=none,id=card,format=raw,cache=unsafe,file="+m.card(), "-device", "virtio-blk-device,drive=card",
			"-device", "virtio-net-device,netdev=net")
	}
}

// powerOn starts the machine with the card as it is, and does not wait.
func (m *machine) powerOn(t *testing.T) {
	t.Helper()
	for _, socket := range []string{"monitor", "qmp", "qtest"} {
		_ = os.Remove(m.file(socket))
	}
	cmd := exec.Command("qemu-system-aarch64", m.arguments()...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	var err error
	if m.qemu, err = startProcess(context.Background(), cmd); err != nil {
		t.Fatalf("starting QEMU: %v", err)
	}
	err = poll(t.Context(), time.Minute, 20*time.Millisecond, func() (bool, error) {
		if !m.qemu.alive() {
			return false, fmt.Errorf("QEMU ended: %w: %s", m.qemu.err, said.String())
		}
		if m.qtest, err = dialQtest(m.file("qtest")); err != nil {
			return false, nil
		}
		return true, m.lookInside()
	})
	if err != nil {
		t.Fatalf("starting QEMU: %v", err)
	}
}

var (
	forwardedPort = regexp.MustCompile(`TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)`)
	pl061Path     = regexp.MustCompile(`/(device\[\d+\]) \(pl061\)`)
)

// lookInside asks QEMU what it chose by itself.
func (m *machine) lookInside() error {
	said, err := m.monitor("info usernet")
	if err != nil {
		return err
	}
	port := forwardedPort.FindStringSubmatch(said)
	if port == nil {
		return fmt.Errorf("QEMU forwards no port to ssh: %q", said)
	}
	if _, err := fmt.Sscan(port[1], &m.sshPort); err != nil {
		return err
	}
	if m.board != boardVirt {
		return nil
	}
	if said, err = m.monitor("info qom-tree"); err != nil {
		return err
	}
	path := pl061Path.FindStringSubmatch(said)
	if path == nil {
		return fmt.Errorf("QEMU has no PL061")
	}
	m.gpioDevice = "/machine/unattached/" + path[1]
	return nil
}

// monitor says one command to QEMU's monitor and returns its answer.
func (m *machine) monitor(command string) (string, error) {
	conn, err := net.Dial("unix", m.file("monitor"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	const prompt = "(qemu) "
	if _, err := readUntil(conn, prompt); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(conn, command); err != nil {
		return "", err
	}
	return readUntil(conn, "\n"+prompt) // what was typed comes back first, with a prompt of its own
}

// endAtReset has QEMU end when the guest resets the machine, from which the guest
// would start again. Of QEMU's two languages only the one for programs can say it.
func (m *machine) endAtReset() error {
	conn, err := net.Dial("unix", m.file("qmp"))
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return err
	}
	answers := json.NewDecoder(conn)
	for _, command := range []string{"", `{"execute":"qmp_capabilities"}`, `{"execute":"set-action","arguments":{"reboot":"shutdown"}}`} {
		if _, err := fmt.Fprintln(conn, command); err != nil {
			return err
		}
		var answer map[string]any // the first is QEMU's greeting
		if err := answers.Decode(&answer); err != nil {
			return err
		}
		if answer["error"] != nil {
			return fmt.Errorf("QEMU refuses %s: %v", command, answer["error"])
		}
	}
	return nil
}

func readUntil(conn net.Conn, end string) (string, error) {
	var all []byte
	buffer := make([]byte, 4096)
	for !bytes.HasSuffix(all, []byte(end)) {
		n, err := conn.Read(buffer)
		if err != nil {
			return string(all), fmt.Errorf("QEMU's monitor: %w", err)
		}
		all = append(all, buffer[:n]...)
	}
	return string(all), nil
}

// pullPlug ends the machine in the middle of whatever it does.
func (m *machine) pullPlug() {
	m.hangUp()
	_ = m.qtest.conn.Close()
	m.qemu.kill()
}

var readyLine = regexp.MustCompile(`GUEST-READY ([0-9a-f-]{36})`)

// awaitBoot waits until a boot after the last one that was waited for has come
// far enough for ssh, and returns its id.
func (m *machine) awaitBoot(t *testing.T) (bootID string) {
	t.Helper()
	began := time.Now()
	err := poll(t.Context(), bootWithin, 100*time.Millisecond, func() (bool, error) {
		ready, err := m.readyLines()
		if err != nil || len(ready) <= m.boots {
			return false, err
		}
		m.boots, m.bootID = len(ready), ready[len(ready)-1]
		return true, nil
	})
	if err != nil {
		m.tellConsole(t)
		t.Fatalf("the %s board is not up after %s: %v", m.board, time.Since(began).Round(time.Second), err)
	}
	m.hangUp()
	m.dial(t)
	t.Logf("%s is up after %s, boot id %s", m.board, time.Since(began).Round(100*time.Millisecond), m.bootID)
	return m.bootID
}

// readyLines are the boot ids that the console has told of so far.
func (m *machine) readyLines() (bootIDs []string, err error) {
	if !m.qemu.alive() {
		return nil, fmt.Errorf("QEMU ended: %v", m.qemu.err)
	}
	console, err := os.ReadFile(m.file("console"))
	for _, line := range readyLine.FindAllSubmatch(console, -1) {
		bootIDs = append(bootIDs, string(line[1]))
	}
	return bootIDs, err
}

// tellConsole shows the end of what the guest's kernel said.
func (m *machine) tellConsole(t *testing.T) {
	console, err := os.ReadFile(m.file("console"))
	t.Logf("console of %s (%v):\n%s", m.board, err, lastLines(string(console), 60))
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(text, "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
