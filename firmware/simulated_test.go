package firmware

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// bench is what a simulated machine stands on: a disk, a memory, a real machine.
type bench struct {
	disk, runtime string
	host          tree
	uptime        time.Duration // of the real machine when the bench was set up
	since         time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	dir := t.TempDir()
	return &bench{
		disk:    filepath.Join(dir, "state"),
		runtime: filepath.Join(dir, "run"),
		host:    grow(t, map[string]string{"proc/sys/kernel/random/boot_id": firstBoot, "etc/os-release": "PRETTY_NAME=Host"}),
		uptime:  time.Hour,
		since:   time.Now(),
	}
}

// on is a new process that opens the machine.
func (b *bench) on(t *testing.T) *Simulated {
	t.Helper()
	k := noKernel()
	k.uptime = func() time.Duration { return b.uptime + time.Since(b.since) }
	s, err := openSimulated(b.host, k, b.disk, b.runtime, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.memory.close)
	s.execute = func() error { return errExecuted }
	return s
}

// errExecuted stands for the execve that does not return.
var errExecuted = errors.New("executed")

func (b *bench) write(t *testing.T, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(b.runtime, name), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (b *bench) left(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(b.runtime)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() != memoryMark {
			names = append(names, entry.Name())
		}
	}
	return names
}

func TestRestartedProcessIsInTheSameBoot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		first := b.on(t)
		b.write(t, "line")
		time.Sleep(90 * time.Second)
		again := b.on(t)
		if first.Boot() != again.Boot() {
			t.Errorf("boot %+v became %+v", first.Boot(), again.Boot())
		}
		if got := again.Uptime(); got != 90*time.Second {
			t.Errorf("uptime %v, want 1m30s", got)
		}
		if got := b.left(t); !slices.Equal(got, []string{bootFile, "line"}) {
			t.Errorf("memory holds %q", got)
		}
	})
}

func TestPulledPlugIsANewBoot(t *testing.T) {
	tests := []struct {
		name  string
		pull  func(t *testing.T, b *bench)
		cause string
	}{
		{"directory emptied, mark and all", func(t *testing.T, b *bench) {
			if err := os.RemoveAll(b.runtime); err != nil {
				t.Fatal(err)
			}
		}, CausePowerLoss},
		{"rm -rf of what shows", func(t *testing.T, b *bench) {
			if err := os.Remove(filepath.Join(b.runtime, bootFile)); err != nil {
				t.Fatal(err)
			}
		}, CausePowerLoss},
		{"the real machine rebooted", func(t *testing.T, b *bench) {
			b.host = grow(t, map[string]string{"proc/sys/kernel/random/boot_id": secondBoot})
		}, CausePowerLoss},
		{"the clock of the real machine began again", func(_ *testing.T, b *bench) { b.uptime = time.Minute }, CausePowerLoss},
		{"boot file damaged", func(t *testing.T, b *bench) { b.write(t, bootFile) }, CauseUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				first := b.on(t).Boot()
				b.write(t, "line")
				test.pull(t, b)
				second := b.on(t)
				boot := second.Boot()
				if boot.ID == first.ID || checkBootID(boot.ID) != nil {
					t.Errorf("boot id %s after %s", boot.ID, first.ID)
				}
				if boot.Cause != test.cause {
					t.Errorf("cause %q by %q, want %q", boot.Cause, boot.Evidence, test.cause)
				}
				if second.Uptime() != 0 {
					t.Errorf("uptime %v of a new boot", second.Uptime())
				}
				if got := b.left(t); !slices.Equal(got, []string{bootFile}) {
					t.Errorf("memory holds %q after a power loss", got)
				}
				if third := b.on(t).Boot(); third != boot {
					t.Errorf("restarted process: boot %+v became %+v", boot, third)
				}
			})
		})
	}
}

func TestReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.on(t)
		b.write(t, "line")
		if err := s.CanReboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.PowerCycle(t.Context()); err == nil || errors.Is(err, errExecuted) {
			t.Errorf("power cycle of a machine that stays up: %v", err)
		}
		if err := s.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.Stopping(t.Context()) {
			t.Error("stopping before the programs are told")
		}
		if err := s.Reboot(t.Context()); err == nil {
			t.Error("a second reboot was accepted")
		}
		start := time.Now()
		<-s.GoingDown()
		if got := time.Since(start); got != noticeTime {
			t.Errorf("told after %v, want %v", got, noticeTime)
		}
		if !s.Stopping(t.Context()) {
			t.Error("not stopping after the programs were told")
		}
		if err := s.Reboot(t.Context()); err == nil {
			t.Error("a second reboot was accepted while going down")
		}
		if got := b.on(t).Boot(); got != s.Boot() {
			t.Error("a process restarted before the power cycle is in another boot")
		}
		start = time.Now()
		if err := s.PowerCycle(t.Context()); !errors.Is(err, errExecuted) {
			t.Fatal(err)
		}
		if got := time.Since(start); got != DefaultDownTime {
			t.Errorf("down for %v, want %v", got, DefaultDownTime)
		}
		if got := b.left(t); got != nil {
			t.Errorf("memory holds %q without power", got)
		}
		next := b.on(t)
		if next.Boot().ID == s.Boot().ID || next.Boot().Cause != CauseUnknown {
			t.Errorf("next boot %+v", next.Boot())
		}
		if next.Stopping(t.Context()) {
			t.Error("the next boot is stopping already")
		}
	})
}

func TestStoppedWhileDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.on(t)
		if err := s.Reboot(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-s.GoingDown()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.PowerCycle(ctx); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, errExecuted) {
			t.Errorf("got %v, want the context's error", err)
		}
		if got := b.on(t).Boot(); got.ID == s.Boot().ID || got.Cause != CauseUnknown {
			t.Errorf("switched on again: boot %+v", got)
		}
	})
}

func TestRebootWithAnEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newBench(t).on(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.Reboot(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if err := s.Reboot(t.Context()); err != nil {
			t.Errorf("the one before was not accepted, but: %v", err)
		}
		<-s.GoingDown()
	})
}

func TestSimulatedInformation(t *testing.T) {
	want := Information{Manufacturer: "latchd", Model: "Simulated machine", SoftwareVersion: "1.2.0", OSName: "Host"}
	if got := newBench(t).on(t).Information("1.2.0"); got != want {
		t.Errorf("got %+v", got)
	}
}

// Everything that an accident could empty is refused, and nothing in it is touched.
func TestDirectoriesThatAreNotAMemory(t *testing.T) {
	home := t.TempDir()
	letter := filepath.Join(home, "letter")
	if err := os.WriteFile(letter, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	empty, target := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	marked := t.TempDir()
	if err := os.Mkdir(filepath.Join(marked, memoryMark), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(home)
	tests := []struct{ name, dir, disk, says string }{
		{"nothing", "", empty, "no runtime directory"},
		{"root", "/", empty, "root of the file system"},
		{"root in disguise", "//usr/..", empty, "root of the file system"},
		{"a home", home, empty, "letter"},
		{"a home as the working directory", ".", empty, "letter"},
		{"a file", letter, empty, "not a directory"},
		{"a symbolic link", link, empty, "symbolic link"},
		{"a mark that is no file", marked, empty, "holds files"},
		{"the state directory itself", empty, empty, "state directory"},
		{"above the state directory", empty, filepath.Join(empty, "state"), "state directory"},
		{"around this program", filepath.Dir(os.Args[0]), empty, "this program"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := noKernel()
			k.uptime = func() time.Duration { return 0 }
			_, err := openSimulated(grow(t, nil), k, test.disk, test.dir, 0)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error with %q", err, test.says)
			}
		})
	}
	if _, err := os.Stat(letter); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(filepath.Join(target, memoryMark)); err == nil {
		t.Error("the link was followed")
	}
}

// A link in the memory is removed at a reboot; what it points to is not.
func TestEmptyingDoesNotFollowLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.on(t)
		outside := filepath.Join(t.TempDir(), "keep")
		if err := os.WriteFile(outside, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(b.runtime, "a", "b"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"link", "a/b/link"} {
			if err := os.Symlink(filepath.Dir(outside), filepath.Join(b.runtime, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.memory.clear(); err != nil {
			t.Fatal(err)
		}
		if got := b.left(t); got != nil {
			t.Errorf("memory holds %q", got)
		}
		if _, err := os.Stat(outside); err != nil {
			t.Error(err)
		}
	})
}
