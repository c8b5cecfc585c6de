package gpio

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// lineWait bounds the wait for the goroutine that owns the line. It answers in
	// microseconds unless the hardware hangs.
	lineWait = time.Second
	// lineSlow is when that goroutine counts on the sender to have given up: early
	// enough for an answer to cross.
	lineSlow = lineWait - 100*time.Millisecond
)

// job is something for the goroutine that owns the line to do.
type job struct {
	act    func(*driver) error
	last   bool // run returns after it
	result chan result
}

type result struct {
	status Status
	err    error
}

// start runs the lock's goroutines.
func (l *Lock) start(accepted [inputKinds]reading) {
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go l.run()
	l.watchInputs(ctx, accepted)
	for _, r := range []*recorder{l.d.runtime, l.d.state, l.settings} {
		l.running.Go(func() { r.run(ctx) })
	}
	l.running.Go(func() { l.d.notices.run(ctx) })
}

// run owns the machine and the line. It waits for nothing but its inputs.
func (l *Lock) run() {
	defer close(l.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var deadline <-chan time.Time
		if wait, ok := l.d.wait(); ok {
			timer.Reset(wait)
			deadline = timer.C
		}
		select {
		case s := <-l.sensings:
			_ = l.d.sense(s) // a line fault shows in the status, and is retried: so below
		case <-deadline:
			_ = l.d.step(l.d.m.tick)
		case <-l.poke:
			l.d.publish(nil)
		case j := <-l.jobs:
			err := j.act(l.d)
			j.result <- result{l.d.status(), err}
			if j.last {
				return
			}
		}
	}
}

// do lets the goroutine of run do something. Callers are served in the order in
// which they come.
func (l *Lock) do(act func(*driver) error, last bool) (Status, error) {
	timeout := time.NewTimer(lineWait)
	defer timeout.Stop()
	j := job{act: act, last: last, result: make(chan result, 1)}
	select {
	case l.jobs <- j:
	case <-l.ended:
		return l.Status(), ErrClosed
	case <-timeout.C:
		return l.Status(), errHangs()
	}
	select {
	case r := <-j.result:
		return r.status, r.err
	case <-timeout.C:
		return l.Status(), errHangs()
	}
}

func errHangs() error {
	return &HardwareError{What: "drive the lock's line", Err: fmt.Errorf("no answer within %s", lineWait)}
}

// command runs a command, and then waits for its record, for a bounded time. A
// record that fails does not fail the command: it shows in NotRecorded.
func (l *Lock) command(act func(*driver) error) (Status, error) {
	status, err := l.do(func(d *driver) error {
		if d.closing {
			return ErrClosed
		}
		return act(d)
	}, false)
	if errors.Is(err, ErrClosed) {
		return status, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), recordWait)
	defer cancel()
	if recordErr := l.settled(ctx); recordErr != nil {
		status.NotRecorded = recordErr.Error()
	} else {
		status.NotRecorded = ""
	}
	return status, err
}

// Alive is nil when the goroutine that owns the line answers: the button and the
// deadlines are served. It answers in microseconds unless the hardware hangs; the
// error comes after a second.
func (l *Lock) Alive() error {
	_, err := l.do(func(*driver) error { return nil }, false)
	return err
}

// settled waits until both records are on disk, or one failed.
func (l *Lock) settled(ctx context.Context) error {
	return errors.Join(l.d.state.settled(ctx), l.d.runtime.settled(ctx))
}

// Close is the ordered stop, for when the lock will not be served for a while: it
// ends any unlock, drives the line to locked, records what must outlive a reboot,
// and ends. The button opens until the records are written or ctx ends; an exit
// that then still runs is cut short. The line is locked whatever becomes of ctx.
//
// The error tells what could not be done: a [*HardwareError] for the line, or why
// a record is not on disk.
func (l *Lock) Close(ctx context.Context) error {
	lock := func(d *driver) error {
		d.closing = true
		return d.step(d.m.stop)
	}
	return l.end(ctx, lock)
}

// Detach ends for a restart in the same boot: everything is recorded, and the line
// is left alone, for the next Open to adopt. An unlock that runs goes on, and
// nobody ends it until then.
func (l *Lock) Detach(ctx context.Context) error {
	leave := func(d *driver) error {
		d.closing = true
		return d.step(d.m.tick)
	}
	return l.end(ctx, leave)
}

func (l *Lock) end(ctx context.Context, put func(*driver) error) error {
	_, err := l.do(func(d *driver) error {
		if d.closing {
			return ErrClosed
		}
		err := put(d)
		d.recordRemaining()
		return err
	}, false)
	if errors.Is(err, ErrClosed) {
		return err
	}
	errs := []error{l.settled(ctx)}
	_, err = l.do(put, true) // once more: the button may have opened meanwhile
	errs = append(errs, err, l.settled(ctx))
	l.cancel()
	errs = append(errs, l.wait(ctx), closeAll(l.d.cfg.inputs()))
	return firstOf(errs)
}

// wait waits for the goroutines. One that hangs in the listener or in a write is
// left behind when ctx ends.
func (l *Lock) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() { l.running.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("end the lock: a listener or a write did not return: %w", ctx.Err())
	}
}

// firstOf prefers an error about the hardware, which a person must see first.
func firstOf(errs []error) error {
	var hardware *HardwareError
	all := errors.Join(errs...)
	if errors.As(all, &hardware) {
		return hardware
	}
	return all
}
