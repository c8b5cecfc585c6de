package pi

import (
	"context"
	"os/exec"
	"runtime"
	"syscall"
)

// process is a program that never outlives the test, however that ends: the
// kernel kills it with the thread that started it. The Go runtime ends threads
// as it likes, so that one stays with the process until it has ended.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // of Wait; read it after done
}

// startProcess starts a program in a process group of its own, so that the
// Ctrl-C that ends the test does not end it in the middle of a step. It dies
// with ctx.
func startProcess(ctx context.Context, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with this goroutine
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.done)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, p.kill)
	return p, nil
}

// kill ends the process and all that it started, at once. It may be called
// again, and when the process has ended by itself.
func (p *process) kill() {
	select {
	case <-p.done: // its number may be somebody else's by now
		return
	default:
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}

// terminate asks the process to end in order, and waits for it.
func (p *process) terminate() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.done
}

func (p *process) alive() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}
