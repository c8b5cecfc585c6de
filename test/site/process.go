package site

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// Process is one of our programs, running.
type Process struct {
	Cmd  *exec.Cmd
	Done chan struct{} // closed when it has ended
}

// Output runs a program to its end and gives what it printed.
func (s *Site) Output(name string, args ...string) string {
	s.Helper()
	out, code := s.Try(name, args...)
	if code != 0 {
		s.Fatalf("%s %s: exit status %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

// Try is Output for a program that may fail; it gives the exit status too.
func (s *Site) Try(name string, args ...string) (out string, code int) {
	s.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Env = append(os.Environ(), "LATCHCTL_CA="+s.Path("hub/ca.pem"))
	if name == "latchctl" {
		cs, err := exec.Command(filepath.Join(programs, "latchhub"), "connection-string", "--dir", s.Path("hub")).Output()
		if err != nil {
			s.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "IOTHUB_CONNECTION_STRING="+strings.TrimSpace(string(cs)))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.Fatal(err)
	}
	if stderr.Len() > 0 {
		s.Logf("%s: %s", name, stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// Start runs one of our programs with its log in a file. It is killed when the
// test ends, at the latest.
func (s *Site) Start(logFile, name string, args ...string) *Process {
	s.Helper()
	return s.StartCommand(logFile, exec.Command(filepath.Join(programs, name), args...))
}

// StartCommand is Start for any program.
func (s *Site) StartCommand(logFile string, cmd *exec.Cmd) *Process {
	s.Helper()
	_, absent := os.Stat(s.Path(logFile))
	log, err := os.OpenFile(s.Path(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	p := &Process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.Done)
	}()
	s.Cleanup(func() {
		p.Signal(syscall.SIGKILL)
		if s.Failed() && absent != nil { // once for all processes that wrote it
			s.Logf("%s:\n%s", logFile, s.Read(logFile))
		}
	})
	return p
}

// Signal sends a signal and waits for the end of the process.
func (p *Process) Signal(sig os.Signal) {
	_ = p.Cmd.Process.Signal(sig)
	<-p.Done
}

// Freeze stops a process and waits until each of its threads stands still.
// kill(2) returns before that: on a busy machine the other threads run on
// until one of them has taken the signal.
func (s *Site) Freeze(p *Process) {
	s.Helper()
	if err := p.Cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.Fatal(err)
	}
	s.Await("the process stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.Cmd.Process.Pid))
		if err != nil || len(threads) == 0 {
			s.Fatalf("no threads of process %d: %v", p.Cmd.Process.Pid, err)
		}
		for _, thread := range threads {
			// proc(5): the state follows the name, which stands in parentheses.
			stat, err := os.ReadFile(thread)
			if err != nil {
				return false // it ended meanwhile: look again
			}
			if _, after, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(after, "T") {
				return false
			}
		}
		return true
	})
}

// Thaw lets a process go on that freeze stopped.
func (s *Site) Thaw(p *Process) {
	s.Helper()
	if err := p.Cmd.Process.Signal(syscall.SIGCONT); err != nil {
		s.Fatal(err)
	}
}

// StartHub starts the hub, on the ports it has had before.
func (s *Site) StartHub() {
	s.Helper()
	_ = os.Remove(s.Path("hub/endpoints.json"))
	s.Hub = s.Start("hub.log", "latchhub", append([]string{"serve", "--dir", s.Path("hub")}, s.ports...)...)
	s.Await("the hub is ready", func() bool {
		b, err := os.ReadFile(s.Path("hub/endpoints.json"))
		return err == nil && json.Valid(b)
	})
}

// StartDevice starts the agent of a device. Its log is ID.log.
func (s *Site) StartDevice(id string) {
	s.Helper()
	s.Devices[id] = s.Start(id+".log", "latchd", "--simulate", "--config", s.Path(id+".toml"))
}
