package pi

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A Raspberry Pi Zero has an ARM1176, which knows ARMv6 alone: an instruction of
// a later one ends the program. There is no board of it here, so the program
// runs as one of this machine's, on the emulated processor, with a simulated lock.
const zeroProcessor = "arm1176"

// zero is latchd --simulate on that processor.
type zero struct {
	id, dir string
	process *process
}

// TestRaspberryPiZero is the main job by the program of the package armhf.
func TestRaspberryPiZero(t *testing.T) {
	needPi(t)
	t.Parallel()
	h := newHub(t)
	z := &zero{id: "door-zero", dir: t.TempDir()}
	z.settle(t, h)
	began := time.Now()
	z.start(t)
	h.awaitOnline(t, z.id, time.Minute)
	figures.add(zeroProcessor, "start to connected, simulated lock", "%.1f s", time.Since(began).Seconds())

	h.must(t, z.id, "unlockDoor", `{"unlockTime":"1s"}`)
	h.awaitReported(t, z.id, "locked", "door", "state")
	h.must(t, z.id, "unlockDoor", `{"hold":true}`)
	h.must(t, z.id, "lockDoor", `{}`)
	z.expectEdges(t, "low", "high", "low", "high", "low")

	before := h.reported(t, z.id, "agent", "bootId")
	h.must(t, z.id, "rebootDevice", `{"commandId":"zero-reboot","delay":0}`)
	// The simulated machine boots by executing itself anew, for which this machine
	// would have to know how to run programs for ARM. It stays off, and is switched
	// on by hand.
	if !z.endsWithin(30 * time.Second) {
		t.Fatal("the simulated machine does not go down")
	}
	z.start(t)
	err := poll(t.Context(), time.Minute, 300*time.Millisecond, func() (bool, error) {
		last, _ := h.reported(t, z.id, "lastReboot").(map[string]any)
		return last["commandId"] == "zero-reboot" && last["state"] == "completed" && last["previousBootId"] == before, nil
	})
	if err != nil {
		t.Fatalf("the reboot has no receipt: %v", h.reported(t, z.id, "lastReboot"))
	}
	z.expectEdges(t, "low") // of the new boot
}

// settle writes the configuration.
func (z *zero) settle(t *testing.T, h *hub) {
	t.Helper()
	h.program(t, "latchctl", "device", "add", z.id)
	connection := h.program(t, "latchctl", "device", "connection-string", z.id)
	files := map[string]string{
		"connection": connection,
		"latchd.toml": fmt.Sprintf("[hub]\nconnection_string_file = %q\nca_file = %q\n[state]\ndirectory = %q\nruntime_directory = %q\n[door]\nline = \"GPIO17\"\n",
			filepath.Join(z.dir, "connection"), h.ca(), filepath.Join(z.dir, "state"), filepath.Join(z.dir, "run")),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(z.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (z *zero) start(t *testing.T) {
	t.Helper()
	cmd := exec.Command("qemu-arm-static", "-cpu", zeroProcessor, filepath.Join(buildDir, "linux-arm", "latchd"),
		"--simulate", "--config", filepath.Join(z.dir, "latchd.toml"))
	log, err := os.OpenFile(filepath.Join(z.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if z.process, err = startProcess(t.Context(), cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		z.process.kill()
		if t.Failed() {
			text, err := os.ReadFile(log.Name())
			t.Logf("what it said (%v):\n%s", err, lastLines(string(text), 40))
		}
	})
}

func (z *zero) endsWithin(limit time.Duration) bool {
	select {
	case <-z.process.done:
		return true
	case <-time.After(limit):
		return false
	}
}

// expectEdges compares the levels that the simulated line went through since its
// boot.
func (z *zero) expectEdges(t *testing.T, want ...string) {
	t.Helper()
	var text []byte
	err := filepath.WalkDir(filepath.Join(z.dir, "run"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Base(path) == "edges" {
			text, err = os.ReadFile(path)
		}
		return err
	})
	var got []string
	for edge := range strings.Lines(string(text)) {
		if words := strings.Fields(edge); len(words) > 1 {
			got = append(got, words[1])
		}
	}
	if err != nil || strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the simulated line went %v, want %v (%v)", got, want, err)
	}
}
