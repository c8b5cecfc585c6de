package loop

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchd/test/site"
)

// TestTheSiteLeavesNothing ends the hub and the devices of "make up" in each
// way a terminal knows. Nobody reads what the script says in the end, as when
// the terminal is gone.
func TestTheSiteLeavesNothing(t *testing.T) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not installed")
	}
	for name, end := range map[string]struct {
		signal syscall.Signal
		group  bool // the signal goes to all the site.Programs() at once
	}{
		"Ctrl-C":                {syscall.SIGINT, true},
		"the terminal closes":   {syscall.SIGHUP, true},
		"make alone is stopped": {syscall.SIGTERM, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			temp := t.TempDir()
			cmd := exec.Command(bash, "../demo/up.sh")
			cmd.Env = append(os.Environ(), "LATCHD_BIN="+site.Programs(), "TMPDIR="+temp)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			cmd.Stderr = cmd.Stdout
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			group := -cmd.Process.Pid
			t.Cleanup(func() { _ = syscall.Kill(group, syscall.SIGKILL) })
			up := false
			for lines := bufio.NewScanner(out); !up && lines.Scan(); {
				up = strings.HasPrefix(lines.Text(), "Ctrl-C stops")
			}
			if !up {
				t.Fatal("the site did not come up")
			}
			_ = out.Close()
			to := cmd.Process.Pid
			if end.group {
				to = group
			}
			if err := syscall.Kill(to, end.signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // its exit status is that of a script without a terminal
			for deadline := time.Now().Add(10 * time.Second); syscall.Kill(group, 0) == nil; time.Sleep(10 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatal("a program is left running")
				}
			}
			left, err := os.ReadDir(temp)
			if err != nil || len(left) > 0 {
				t.Errorf("left lying about: %v, %v", left, err)
			}
		})
	}
}
