package pi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/test/site"
)

// hubName is what the guest calls the host (image/guest/etc/hosts).
const hubName = "hub.test"

// hub is latchhub on the host's loopback, and latchctl that asks it.
type hub struct {
	dir        string
	mqtt, rest string // addresses
	process    *process
	connection string // the owner's connection string
}

func newHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{dir: filepath.Join(t.TempDir(), "hub"), mqtt: site.Address(t), rest: site.Address(t)}
	h.program(t, "latchhub", "init", "--dir", h.dir, "--name", hubName)
	h.start(t)
	h.connection = strings.TrimSpace(h.program(t, "latchhub", "connection-string", "--dir", h.dir))
	t.Cleanup(func() {
		h.process.kill()
		if t.Failed() {
			log, err := os.ReadFile(h.logFile())
			t.Logf("the hub's log (%v):\n%s", err, lastLines(string(log), 40))
		}
	})
	return h
}

func (h *hub) ca() string      { return filepath.Join(h.dir, "ca.pem") }
func (h *hub) logFile() string { return h.dir + ".log" }

// start starts the hub.
func (h *hub) start(t *testing.T) {
	t.Helper()
	endpoints := filepath.Join(h.dir, "endpoints.json")
	_ = os.Remove(endpoints)
	log, err := os.OpenFile(h.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(programDir, "latchhub"), "serve", "--dir", h.dir, "--mqtt", h.mqtt, "--https", h.rest)
	cmd.Stdout, cmd.Stderr = log, log
	if h.process, err = startProcess(context.Background(), cmd); err != nil {
		t.Fatalf("starting the hub: %v", err)
	}
	err = poll(t.Context(), 30*time.Second, 20*time.Millisecond, func() (bool, error) {
		if _, err := os.Stat(endpoints); err == nil {
			return true, nil
		}
		if !h.process.alive() {
			return false, errors.New("it ended")
		}
		return false, nil
	})
	if err != nil {
		t.Fatalf("starting the hub: %v", err)
	}
}

// stop is a hub that is gone.
func (h *hub) stop() { h.process.terminate() }

func port(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// reach lets the machine find the hub where a device looks for one.
func (h *hub) reach(t *testing.T, m *machine) {
	t.Helper()
	m.redirectTo("tcp", 8883, port(t, h.mqtt))
	m.redirectTo("tcp", 443, port(t, h.rest))
}

// program runs latchhub or latchctl, which must succeed.
func (h *hub) program(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, code := h.try(t, name, args...)
	if code != 0 {
		t.Fatalf("%s %s: exit status %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// try runs latchhub or latchctl and returns all it printed and its exit status.
func (h *hub) try(t *testing.T, name string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(filepath.Join(programDir, name), args...)
	cmd.Env = append(os.Environ(), "IOTHUB_CONNECTION_STRING="+h.connection, "LATCHCTL_CA="+h.ca())
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	ctx, cancel := context.WithTimeout(t.Context(), commandWithin)
	defer cancel()
	p, err := startProcess(ctx, cmd)
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if stderr.Len() > 0 {
		t.Logf("%s %s: %s", name, args[0], strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

var hostName = regexp.MustCompile(`HostName=[^;]*`)

// add registers a device and returns its connection string as the guest may
// use it.
func (h *hub) add(t *testing.T, device string) string {
	t.Helper()
	h.program(t, "latchctl", "device", "add", device)
	text := h.program(t, "latchctl", "device", "connection-string", device)
	return hostName.ReplaceAllString(strings.TrimSpace(text), "HostName="+hubName)
}

// twin is the device twin.
func (h *hub) twin(t *testing.T, device string) any {
	t.Helper()
	var twin any
	if err := json.Unmarshal([]byte(h.program(t, "latchctl", "twin", "show", device, "--output", "json")), &twin); err != nil {
		t.Fatalf("the twin: %v", err)
	}
	return twin
}

// reported is one value of the twin's reported properties; nil if there is
// none.
func (h *hub) reported(t *testing.T, device string, path ...string) any {
	t.Helper()
	return site.At(h.twin(t, device), append([]string{"properties", "reported"}, path...)...)
}

// awaitReported waits until a reported value is so.
func (h *hub) awaitReported(t *testing.T, device string, want any, path ...string) {
	t.Helper()
	var got any
	err := poll(t.Context(), time.Minute, 300*time.Millisecond, func() (bool, error) {
		got = h.reported(t, device, path...)
		return fmt.Sprint(got) == fmt.Sprint(want), nil
	})
	if err != nil {
		t.Fatalf("%s reports %s as %v, not %v", device, strings.Join(path, "."), got, want)
	}
}

// awaitOnline waits until the device is connected.
func (h *hub) awaitOnline(t *testing.T, device string, within time.Duration) {
	t.Helper()
	err := poll(t.Context(), within, 300*time.Millisecond, func() (bool, error) {
		return site.At(h.twin(t, device), "connectionState") == "Connected", nil
	})
	if err != nil {
		t.Fatalf("%s is not connected after %s", device, within)
	}
}

// invoke calls a method, and returns the device's status and answer.
func (h *hub) invoke(t *testing.T, device, method, payload string) (status int, answer map[string]any) {
	t.Helper()
	out, code := h.try(t, "latchctl", "invoke", device, method, payload, "--output", "json")
	var said struct {
		Status  int
		Payload map[string]any
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%s: exit status %d, %q: %v", method, code, out, err)
	}
	return said.Status, said.Payload
}

// must is invoke for a call that succeeds.
func (h *hub) must(t *testing.T, device, method, payload string) map[string]any {
	t.Helper()
	status, answer := h.invoke(t, device, method, payload)
	if status != 200 && status != 202 {
		t.Fatalf("%s %s: %d, %v", method, payload, status, answer)
	}
	return answer
}
