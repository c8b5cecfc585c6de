package firmware

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// helperVariable, when set, makes the test binary a program on a simulated
// machine in that directory.
const helperVariable = "FIRMWARE_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperVariable); dir != "" {
		if err := program(dir); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program tells what it sees and reboots, until it ran in three boots. Its
// arguments are those of main: NAME DOWNTIME.
func program(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	downTime, err := time.ParseDuration(os.Args[2])
	if err != nil {
		return err
	}
	run := filepath.Join(dir, "run")
	machine, err := OpenSimulated(filepath.Join(dir, "state"), run, downTime)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(run)
	if err != nil {
		return err
	}
	fmt.Println("boot", machine.Boot().ID, os.Getpid(), machine.Boot().Cause, len(files), os.Args[1], machine.Uptime() < time.Minute)
	if err := os.WriteFile(filepath.Join(run, "level"), nil, 0o600); err != nil {
		return err
	}
	count := filepath.Join(dir, "count")
	boots, _ := os.ReadFile(count)
	if err := os.WriteFile(count, append(boots, '.'), 0o600); err != nil || len(boots) == 2 {
		return err
	}
	if err := machine.Reboot(ctx); err != nil {
		return err
	}
	<-machine.GoingDown()
	fmt.Println("down")
	return machine.PowerCycle(ctx)
}

func startProgram(t *testing.T, dir, downTime string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "an argument", downTime)
	cmd.Env = append(os.Environ(), helperVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewScanner(out)
}

func TestThreeBootsOfOneProcess(t *testing.T) {
	cmd, lines := startProgram(t, t.TempDir(), "10ms")
	var ids []string
	for lines.Scan() {
		if lines.Text() == "down" {
			continue
		}
		var id string
		rest := ""
		if kind, after, _ := strings.Cut(lines.Text(), " "); kind == "boot" {
			id, rest, _ = strings.Cut(after, " ")
		}
		// The mark and the boot file, and nothing of the boot before.
		want := strconv.Itoa(cmd.Process.Pid) + " unknown 2 an argument true"
		if checkBootID(id) != nil || rest != want {
			t.Errorf("got %q, want a boot id and %q", lines.Text(), want)
		}
		ids = append(ids, id)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	if len(ids) != 3 || ids[0] == ids[1] || ids[1] == ids[2] || ids[0] == ids[2] {
		t.Errorf("boot ids %q, want three different ones", ids)
	}
}

// SIGTERM while the machine is down ends the process; the next one to start is
// in a new boot.
func TestTerminatedWhileDown(t *testing.T) {
	dir := t.TempDir()
	cmd, lines := startProgram(t, dir, "1h")
	var first string
	for lines.Scan() && lines.Text() != "down" {
		first = strings.Fields(lines.Text())[1]
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !lines.Scan() || !strings.Contains(lines.Text(), "stays switched off") {
		t.Errorf("got %q", lines.Text())
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("ended with %v, want exit code 1", err)
	}
	next, err := OpenSimulated(filepath.Join(dir, "state"), filepath.Join(dir, "run"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if next.Boot().ID == first {
		t.Error("the same boot after the machine was down")
	}
}

// kill -9 is the death of a process, not of the machine.
func TestKilledProcessLeavesTheBoot(t *testing.T) {
	dir := t.TempDir()
	open := func() Boot {
		t.Helper()
		m, err := OpenSimulated(filepath.Join(dir, "state"), filepath.Join(dir, "run"), 0)
		if err != nil {
			t.Fatal(err)
		}
		return m.Boot()
	}
	before := open()
	if err := os.WriteFile(filepath.Join(dir, "count"), []byte(".."), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd, lines := startProgram(t, dir, "1h")
	if !lines.Scan() || !strings.HasPrefix(lines.Text(), "boot "+before.ID+" ") {
		t.Errorf("the process saw %q, want boot %s", lines.Text(), before.ID)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if after := open(); after != before {
		t.Errorf("boot %+v became %+v", before, after)
	}
}

func TestThisMachine(t *testing.T) {
	m, err := OpenLinux(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	if m.Boot().ID+"\n" != string(raw) {
		t.Errorf("boot id %q, the kernel says %q", m.Boot().ID, raw)
	}
	info := m.Information("test")
	if info.TotalMemory <= 0 || info.TotalStorage <= 0 || info.ProcessorArchitecture == "" || info.OSName == "" {
		t.Errorf("information %+v", info)
	}
	if a, b := m.Uptime(), m.Uptime(); a <= 0 || b < a {
		t.Errorf("uptime %v, then %v", a, b)
	}
	ctx := t.Context()
	if m.CanReboot(ctx) == nil || m.Stopping(ctx) {
		t.Error("this version claims to reboot a real machine")
	}
	if err := m.Reboot(ctx); err == nil || !strings.Contains(err.Error(), m.CanReboot(ctx).Error()) {
		t.Errorf("reboot: %v", err)
	}
}
