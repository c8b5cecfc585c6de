package health

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// pristine is a machine without a fault: a copy of testdata/tree with the modes
// that git does not keep. Tests share it; one that spoils a file gets its own.
var pristine string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "health")
	if err == nil {
		err = os.CopyFS(filepath.Join(dir, "tree"), os.DirFS("testdata/tree"))
	}
	pristine = filepath.Join(dir, "tree")
	if err = errors.Join(err, setModes(pristine)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	exit := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(exit)
}

// modes are as the package sets them, whatever the umask is.
var modes = map[string]fs.FileMode{
	"etc/latchd/latchd.toml": 0o644, "etc/latchd/ca.pem": 0o644, "etc/latchd/device.connection": 0o600,
	"etc/latchd/credentials": 0o700, "etc/latchd/credentials/connection-string": 0o600, "var/lib/latchd": 0o700,
}

func setModes(root string) (err error) {
	for name, mode := range modes {
		err = errors.Join(err, os.Chmod(filepath.Join(root, name), mode))
	}
	return err
}

// A device is a machine without a fault, of which a test spoils one thing: its
// files are those of testdata/tree, and what is no file is answered as on a
// Raspberry Pi 4 with a fail-secure strike on GPIO17.
type device struct {
	*testing.T
	Facts
	hub Hub
}

func newDevice(t *testing.T) *device {
	t.Helper()
	root := pristine
	d := &device{T: t, Facts: Facts{
		Root: root, UID: os.Getuid(), GID: os.Getgid(), StateDir: "/var/lib/latchd",
		Configuration: Configuration{
			File: "/etc/latchd/latchd.toml",
			Named: []NamedFile{
				{Key: "hub.connection_string_file", Path: "/etc/latchd/device.connection", Secret: true},
				{Key: "hub.ca_file", Path: "/etc/latchd/ca.pem"},
			},
			Parse: func() error { return nil },
		},
		Credentials: func() (Credentials, error) { return Credentials{Text: "a key for door-7"}, nil },
		Clock:       func() (string, time.Time) { return "synchronized", time.Now() },
		Chips:       func() ([]string, error) { return []string{"pinctrl-bcm2711", "raspberrypi-exp-gpio"}, nil },
		Line: func(name string) (Line, error) {
			return map[string]Line{
				"GPIO17": {"pinctrl-bcm2711", 17, Consumer},
				"GPIO27": {"pinctrl-bcm2711", 27, Consumer},
			}[name], nil
		},
		Door: &Door{
			Line:   "GPIO17",
			Inputs: []Input{{"contact", "GPIO27"}},
			Status: func() DoorStatus { return DoorStatus{State: "locked"} },
		},
		Service:         Service{Asked: true, Managed: true, Kept: func(context.Context) (int, error) { return 1, nil }},
		CanReboot:       func(context.Context) error { return nil },
		Inhibitors:      func(context.Context) ([]string, error) { return nil, nil },
		RuntimeWatchdog: func(context.Context) (time.Duration, error) { return 0, nil },
		Space: func(string) (Space, error) {
			return Space{Free: 8 << 30, Total: 16 << 30, FreeFiles: 1e6, TotalFiles: 2e6}, nil
		},
		Lockable: func(string) error { return nil },
		Unsaved:  func(context.Context) string { return "" },
		Boots:    func(time.Duration) int { return 1 },
	}}
	d.hub = Hub{Host: "hub.example", Port: "8883", Connection: func() (bool, error) { return true, nil }}
	d.Hub = func() Hub { return d.hub }
	d.hub.lookup = func(context.Context, string) ([]string, error) { return []string{"192.0.2.7"}, nil }
	d.serveTLS("hub.example", time.Now().Add(300*day))
	return d
}

// own gives the device files of its own.
func (d *device) own() {
	d.Helper()
	if d.Root != pristine {
		return
	}
	d.Root = d.TempDir()
	if err := errors.Join(os.CopyFS(d.Root, os.DirFS(pristine)), setModes(d.Root)); err != nil {
		d.Fatal(err)
	}
}

func (d *device) chmod(name string, mode fs.FileMode) {
	d.Helper()
	d.own()
	if err := os.Chmod(filepath.Join(d.Root, name), mode); err != nil {
		d.Fatal(err)
	}
}

// write makes or replaces a file.
func (d *device) write(name, text string) {
	d.Helper()
	d.own()
	path := filepath.Join(d.Root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		d.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		d.Fatal(err)
	}
}

// remove removes a file or a directory with all that is in it.
func (d *device) remove(name string) {
	d.Helper()
	d.own()
	if err := os.RemoveAll(filepath.Join(d.Root, name)); err != nil {
		d.Fatal(err)
	}
}

// replace changes a file that is there.
func (d *device) replace(name, old, new string) {
	d.Helper()
	text, err := os.ReadFile(filepath.Join(d.Root, name))
	if err != nil {
		d.Fatal(err)
	}
	if !strings.Contains(string(text), old) {
		d.Fatalf("%s has no %q", name, old)
	}
	d.write(name, strings.ReplaceAll(string(text), old, new))
}

// look runs one check.
func (d *device) look(id string) Result {
	d.Helper()
	report, err := New(func() Facts { return d.Facts }).Run(context.Background(), []string{id})
	if err != nil {
		d.Fatal(err)
	}
	if len(report.Checks) != 1 {
		d.Fatalf("%s: %+v", id, report)
	}
	return report.Checks[0]
}
