package pi

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What make e2e hands over.
var (
	imageDir   = os.Getenv("LATCHD_PI_IMAGE") // folder that image.sh made; without it nothing runs
	programDir = os.Getenv("LATCHD_PI_BIN")   // latchhub and latchctl for this machine
	buildDir   = os.Getenv("LATCHD_PI_BUILD") // what else was built: deb/ and pi/
)

func needPi(t *testing.T) {
	t.Helper()
	if imageDir == "" {
		t.Skip("this needs the emulated Raspberry Pi: run make e2e")
	}
}

func TestMain(m *testing.M) {
	go endWithParent()
	sweep()
	code := m.Run()
	figures.print()
	os.Exit(code)
}

// endWithParent ends this process, and so all that it started, when go test is
// killed: go test takes nobody along.
func endWithParent() {
	parent := os.Getppid()
	for range time.Tick(time.Second) {
		if os.Getppid() != parent {
			fmt.Fprintln(os.Stderr, "go test is gone; so am I")
			os.Exit(1)
		}
	}
}

const machinePrefix = "latchd-pi-"

// machineDir is a short-named folder (the name of a socket has 107 bytes at
// most) that is locked while this process lives.
func machineDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", machinePrefix)
	if err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(dir)
	if err == nil {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX)
	}
	if err != nil {
		t.Fatalf("locking %s: %v", dir, err)
	}
	t.Cleanup(func() {
		_ = lock.Close()
		_ = os.RemoveAll(dir)
	})
	return dir
}

// sweep removes the folders of runs that were killed: those that nobody locks.
func sweep() {
	left, err := filepath.Glob(filepath.Join(os.TempDir(), machinePrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range left {
		f, err := os.Open(dir)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil {
			if err := os.RemoveAll(dir); err != nil {
				fmt.Fprintln(os.Stderr, "sweeping away what an earlier run left:", err)
			}
		}
		_ = f.Close()
	}
}
