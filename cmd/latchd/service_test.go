package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// manager is systemd's end of the notification socket.
type manager struct {
	*testing.T
	socket *net.UnixConn
	status string // the last one
}

func newManager(t *testing.T) *manager {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return &manager{T: t, socket: socket}
}

// hear waits for a message that holds all of text; statuses on the way are kept.
func (m *manager) hear(text string) {
	m.Helper()
	buffer := make([]byte, 4096)
	if err := m.socket.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		m.Fatal(err)
	}
	for {
		n, err := m.socket.Read(buffer)
		if err != nil {
			m.Fatalf("systemd never heard %q: %v; the last status is %q", text, err, m.status)
		}
		said := string(buffer[:n])
		if status, ok := strings.CutPrefix(said, "STATUS="); ok {
			m.status = status
		}
		if strings.Contains(said, text) {
			return
		}
	}
}

// running is the service with a simulated door, as systemd would run it.
type running struct {
	*manager
	file string
	stop func()
}

func startService(t *testing.T, door string) *running {
	t.Helper()
	r := &running{manager: newManager(t), file: filepath.Join(t.TempDir(), "latchd.toml")}
	r.configure(door)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	stderr, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- serve(ctx, r.file, true, stderr) }()
	r.stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	t.Cleanup(func() {
		if t.Failed() {
			log, _ := os.ReadFile(stderr.Name())
			t.Logf("the log:\n%s", log)
		}
	})
	return r
}

func (r *running) configure(door string) {
	r.Helper()
	text := fmt.Sprintf("[state]\ndirectory = \"state\"\nruntime_directory = \"run\"\n[door]\n%s\n", door)
	if err := os.WriteFile(r.file, []byte(text), 0o600); err != nil {
		r.Fatal(err)
	}
}

func (r *running) reload() {
	r.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		r.Fatal(err)
	}
	r.hear("RELOADING=1\nMONOTONIC_USEC=")
}

func TestSystemdHearsHowTheServiceDoes(t *testing.T) {
	t.Setenv("WATCHDOG_USEC", "300000")
	r := startService(t, `line = "GPIO17"`)
	r.hear("STATUS=")
	if !strings.Contains(r.status, "door locked") || !strings.Contains(r.status, "not configured: run sudo latchd configure") {
		t.Errorf("status %q", r.status)
	}
	r.hear("READY=1")
	r.hear("WATCHDOG=1")
	r.hear("WATCHDOG=1")
}

func TestReload(t *testing.T) {
	r := startService(t, `line = "GPIO17"`)
	r.hear("READY=1")
	for _, step := range []struct{ door, status string }{
		{"line = \"GPIO17\"\nresting = \"unlocked\"", "door unlocked"},
		{"line = \"GPIO17\"\nresting = \"unlocked\"\nunlock_time = \"a while\"", "reload refused: configuration " + r.file + ": line 7"},
		{"line = \"GPIO17\"", "door locked"},
		{"line = \"GPIO27\"", "reload refused: door.line was changed, which needs a restart"},
		{"line = \"GPIO17\"\nactive_level = \"low\"", "reload refused: door.active_level was changed"},
		{"line = \"GPIO17\"\nfail_mode = \"safe\"", "reload refused: door.fail_mode was changed"},
		{"", "reload refused: door.line was changed"},
		{"line = \"GPIO17\"\nresting = \"unlocked\"", "door unlocked"},
	} {
		r.configure(step.door)
		r.reload()
		r.hear("READY=1")
		for deadline := time.Now().Add(10 * time.Second); !strings.Contains(r.status, step.status); {
			if time.Now().After(deadline) {
				t.Fatalf("with %q the status is %q, want %q in it", step.door, r.status, step.status)
			}
			r.hear("STATUS=")
		}
	}
}
