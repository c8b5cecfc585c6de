package gpio

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// realLine is a line of this machine that the test may drive, as in
// LATCHD_TEST_LINE=GPIO17; LATCHD_TEST_OTHER is another one. The emulated
// Raspberry Pi has them; a build machine has no GPIO.
func realLine(t *testing.T, variable string) string {
	t.Helper()
	line := os.Getenv(variable)
	if line == "" {
		t.Skip(variable + " names no line to drive")
	}
	return line
}

// store is a service manager that keeps descriptors.
type store map[string]*os.File

func (s store) keep(name string, f *os.File) error {
	fd, err := unix.Dup(int(f.Fd()))
	if err != nil {
		return err
	}
	s[name] = os.NewFile(uintptr(fd), name)
	return nil
}

func (s store) forget(name string) error {
	if s[name] == nil {
		return errors.New("not kept: " + name)
	}
	err := s[name].Close()
	delete(s, name)
	return err
}

func (s store) found() (kept []Kept) {
	for name, f := range s {
		fd, _ := unix.Dup(int(f.Fd()))
		kept = append(kept, Kept{name, os.NewFile(uintptr(fd), name)})
	}
	return kept
}

func (s store) line(settings Settings) *KernelLine {
	return &KernelLine{Settings: settings, Found: s.found(), Keep: s.keep, Forget: s.forget}
}

func closeLine(t *testing.T, l Line) {
	t.Helper()
	if err := l.(*kernelLine).file.Close(); err != nil {
		t.Fatal(err)
	}
}

func checkLevel(t *testing.T, l Line, want Level) {
	t.Helper()
	if got, err := l.Level(); err != nil || got != want {
		t.Errorf("the level is %v (%v), want %v", got, err, want)
	}
}

func TestKernelLineIsAdopted(t *testing.T) {
	settings := Settings{FailMode: FailSecure, Wiring: Wiring{Line: realLine(t, "LATCHD_TEST_LINE")}}
	for _, initial := range []Level{High, Low} {
		kept := store{}
		first, err := kept.line(settings).Open(initial)
		if err != nil {
			t.Fatal(err)
		}
		checkLevel(t, first, initial)
		if _, err := (&KernelLine{Settings: settings}).Open(Low); !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), consumer) {
			t.Errorf("taken twice, or nobody knows by whom: %v", err)
		}
		if err := first.Set(!initial); err != nil {
			t.Fatal(err)
		}
		checkLevel(t, first, !initial)
		closeLine(t, first) // the process ends
		second, err := kept.line(settings).Open(initial)
		if err != nil {
			t.Fatal(err)
		}
		checkLevel(t, second, !initial) // not the initial level: it was adopted
		closeLine(t, second)
		for name := range kept {
			if err := kept.forget(name); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestKernelLineThatWasLeftIsLockedAndGivenBack(t *testing.T) {
	before := Settings{FailMode: FailSafe, Wiring: Wiring{Line: realLine(t, "LATCHD_TEST_LINE")}}
	after := Settings{FailMode: FailSecure, Wiring: Wiring{Line: realLine(t, "LATCHD_TEST_OTHER")}}
	kept := store{}
	old, err := kept.line(before).Open(before.Level(false)) // unlocked
	if err != nil {
		t.Fatal(err)
	}
	opener := kept.line(after)
	line, err := opener.Open(after.Level(true))
	if err != nil {
		t.Fatal(err)
	}
	checkLevel(t, line, after.Level(true))
	checkLevel(t, old, before.Level(true)) // it is this test that still holds it
	if len(opener.Notes()) != 1 || !strings.Contains(opener.Notes()[0], "locked and given back") || len(kept) != 1 {
		t.Errorf("%q, and kept is %v", opener.Notes(), kept)
	}
	closeLine(t, old)
	closeLine(t, line)
	again, err := (&KernelLine{Settings: before}).Open(Low)
	if err != nil {
		t.Fatalf("the old line was not given back: %v", err)
	}
	closeLine(t, again)
}

func TestKernelInput(t *testing.T) {
	line := realLine(t, "LATCHD_TEST_LINE")
	for _, activeLow := range []bool{false, true} {
		in := NewKernelInput(InputWiring{Line: line, ActiveLow: activeLow, Bias: PullUp})
		file, err := in.open()
		if err != nil {
			t.Fatal(err)
		}
		level, err := readLevel(file)
		if err != nil {
			t.Fatal(err)
		}
		want := Inactive
		if bool(level) != activeLow {
			want = Active
		}
		if got, err := in.Read(); err != nil || got != want {
			t.Errorf("it says %v (%v), want %v", got, err, want)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		in.Wait(ctx)
		in.Wait(t.Context())
		if waited := time.Since(began); waited > 20*pollInput {
			t.Errorf("it waited %v", waited)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestStandardInputStaysOpen(t *testing.T) {
	realLine(t, "LATCHD_TEST_LINE")
	if _, err := kernelChips(); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(0, unix.F_GETFD, 0); err != nil {
		t.Errorf("file descriptor 0 is not open: %v", err)
	}
}

func TestKeptNames(t *testing.T) {
	at := lineAt{chip{label: "gpio-brcmstb@107d508500:x/y"}, 17}
	for _, mode := range []FailMode{FailSecure, FailSafe} {
		for _, activeLow := range []bool{false, true} {
			s := Settings{FailMode: mode, ActiveLow: activeLow}
			k := Kept{Name: keptName(at, s)}
			if locked, err := k.lockedLevel(); err != nil || locked != s.Level(true) {
				t.Errorf("%s: locked is %v (%v), want %v", k.Name, locked, err, s.Level(true))
			}
		}
	}
	for _, name := range []string{"", "unknown", "lock/a/1/high", "lock/a/1/hi/secure", "lock/a/1/low/open", "x/a/1/low/safe"} {
		if _, err := (Kept{Name: name}).lockedLevel(); err == nil {
			t.Errorf("%q was taken for a lock's line", name)
		}
	}
}
