package firmware

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"
)

// recorded is a machine in testdata; see the README there.
func recorded(t *testing.T, dir string) (tree, kernel) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "kernel.json"))
	if err != nil {
		t.Fatal(err)
	}
	var answers struct {
		Architecture, PIDNamespace string
		Storage                    int64
	}
	if err := json.Unmarshal(data, &answers); err != nil {
		t.Fatal(err)
	}
	return tree(filepath.Join(dir, "tree")), kernel{
		architecture: func() string { return answers.Architecture },
		storage:      func(string) int64 { return answers.Storage },
		pidNamespace: func() string { return answers.PIDNamespace },
		uptime:       func() time.Duration { return time.Minute },
	}
}

// golden is all that the package says about a machine.
type golden struct {
	Boot        Boot
	Information Information
	CanReboot   string
	Uptime      string
}

func TestRecordedMachines(t *testing.T) {
	files, err := filepath.Glob("testdata/*/kernel.json")
	if err != nil || len(files) < 5 {
		t.Fatalf("recorded machines: %v, %v", files, err)
	}
	for _, file := range files {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			root, k := recorded(t, dir)
			m, err := openLinux(root, k, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			m.logind.dial = func(context.Context) (*dbus.Conn, error) { return nil, errors.New("a recording has no D-Bus") }
			got, err := json.MarshalIndent(golden{
				Boot:        m.Boot(),
				Information: m.Information("1.2.0"),
				CanReboot:   m.CanReboot(t.Context()).Error(),
				Uptime:      m.Uptime().String(),
			}, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, '\n')
			path := filepath.Join(dir, "golden.json")
			if os.Getenv("UPDATE_GOLDEN") != "" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("differs from %s (-want +got):\n%s", path, diff)
			}
		})
	}
}
