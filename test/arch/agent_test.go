package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The boards that the agent runs on: 64-bit, and the Raspberry Pi 1 and Zero.
var boards = []struct {
	name, goarch, goarm string
	flags               []string // as in the Makefile
}{
	{"arm64", "arm64", "", inlineLess},
	{"armv6", "arm", "6", inlineLess},
}

// inlineLess is how the Makefile builds for the boards.
var inlineLess = []string{
	"-gcflags=all=-l", "-gcflags=runtime/...=", "-gcflags=internal/runtime/...=", "-gcflags=crypto/...=",
	"-gcflags=crypto/internal/fips140/nistec/fiat=-l",
}

// What the agent must never hold, and why.
var forbiddenInAgent = map[string]string{
	"modernc.org/sqlite":            "4 MB of database, on flash memory that wears out",
	"github.com/mochi-mqtt":         "a broker belongs to the hub",
	"github.com/spf13/cobra":        "a daemon has two flags, and needs no command framework",
	"periph.io/x/host/v3/bcm283x":   "it writes the GPIO registers behind the kernel's back, so that no line has an owner",
	"periph.io/x/host/v3/allwinner": "host.Init brings every driver; the agent uses gpioioctl alone",
	module + "/hub":                 "the agent talks to a hub and holds none",
}

// maxAgentSize is what the agent may take, stripped, in bytes. It is downloaded over metered links, and twice on
// the disk during an update. 8 MB leaves room over the 7 MB that its libraries take.
const maxAgentSize = 8_000_000

// The functions that start a process. Replacing the process (syscall.Exec) starts none: the simulated reboot does it.
var startsProcess = []string{"os/exec.", "os.StartProcess", "os.startProcess", "syscall.forkExec"}

// A dependency is one package of the agent binary, as `go list -deps` describes it.
type dependency struct {
	ImportPath string
	CgoFiles   []string
	Imports    []string
}

func TestAgentHoldsNothingForbidden(t *testing.T) {
	for _, board := range boards {
		t.Run(board.name, func(t *testing.T) {
			for _, d := range dependencies(t, board.goarch, board.goarm) {
				for forbidden, why := range forbiddenInAgent {
					// Only the import that crosses the border is worth a line, not those behind it.
					if i := slices.IndexFunc(d.Imports, func(p string) bool { return within(forbidden, p) }); i >= 0 && !within(forbidden, d.ImportPath) {
						t.Errorf("%s brings %s into the agent: %s", d.ImportPath, d.Imports[i], why)
					}
				}
				if len(d.CgoFiles) > 0 {
					t.Errorf("the agent holds %s, which uses cgo: %v", d.ImportPath, d.CgoFiles)
				}
			}
		})
	}
}

// What the linker left in the program counts, not what a library imports: godbus imports os/exec to start a session
// bus, which the agent never asks for.
func TestAgentStartsNoProcess(t *testing.T) {
	program := filepath.Join(t.TempDir(), "latchd")
	goTool(t, "arm64", "", "build", "-trimpath", "-buildvcs=false", "-o", program, "./cmd/latchd")
	symbols := string(goTool(t, "arm64", "", "tool", "nm", program))
	if !strings.Contains(symbols, " main.main\n") {
		t.Fatal("these are not the symbols of a program")
	}
	for _, f := range startsProcess {
		if strings.Contains(symbols, " "+f) {
			t.Errorf("%s is in the agent, which starts no other process", f)
		}
	}
}

func TestAgentIsSmall(t *testing.T) {
	for _, board := range boards {
		t.Run(board.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "latchd")
			args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w", "-o", program}, board.flags...)
			goTool(t, board.goarch, board.goarm, append(args, "./cmd/latchd")...)
			info, err := os.Stat(program)
			if err != nil {
				t.Fatal(err)
			}
			if info.Size() > maxAgentSize {
				t.Errorf("latchd for %s takes %d bytes, more than %d", board.name, info.Size(), maxAgentSize)
			}
			t.Logf("latchd for %s: %d bytes", board.name, info.Size())
		})
	}
}

// dependencies lists all packages of the agent binary for a board.
func dependencies(t *testing.T, goarch, goarm string) []dependency {
	t.Helper()
	list := json.NewDecoder(bytes.NewReader(goTool(t, goarch, goarm,
		"list", "-deps", "-json=ImportPath,CgoFiles,Imports", "./cmd/latchd")))
	var all []dependency
	for {
		var d dependency
		err := list.Decode(&d)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("reading the answer of go list: %v", err)
		}
		all = append(all, d)
	}
}

// goTool runs the go command for a board, as make does, and returns what it prints.
func goTool(t *testing.T, goarch, goarm string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH="+goarch, "GOARM="+goarm, "CGO_ENABLED=0")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", args[0], err, stderr.String())
	}
	return out
}

// within reports whether an import path is tree or beneath it.
func within(tree, importPath string) bool {
	return strings.HasPrefix(importPath+"/", tree+"/")
}
