package clock

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// bootTime is the time since boot, suspend included.
func bootTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		return time.Since(started) // no kernel of the last ten years
	}
	return time.Duration(t.Nano())
}

var started = time.Now()

// watchJumps tells of steps of the system clock, resume included. The channel is
// closed when nothing more is told.
//
// The kernel tells through a timer that is set for a time that never comes and is
// cancelled when the clock is set (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
func watchJumps(ctx context.Context) <-chan struct{} {
	jumps := make(chan struct{}, 1)
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		close(jumps)
		return jumps
	}
	timer := os.NewFile(uintptr(fd), "timerfd")
	stop := context.AfterFunc(ctx, func() { _ = timer.Close() })
	go func() {
		defer close(jumps)
		defer timer.Close()
		defer stop()
		for {
			err := arm(timer)
			if err == nil {
				var expirations [8]byte
				_, err = timer.Read(expirations[:])
			}
			if !errors.Is(err, unix.ECANCELED) { // arming says that too, of a step just before
				return // the clock has reached the year of never, or ctx has ended
			}
			poke(jumps)
		}
	}()
	return jumps
}

// arm sets the timer for a time that never comes. Where the kernel's seconds have
// 32 bits that is in 2038.
func arm(timer *os.File) error {
	never, err := unix.TimeToTimespec(time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		if never, err = unix.TimeToTimespec(time.Unix(1<<31-1, 0)); err != nil {
			return err
		}
	}
	raw, err := timer.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET,
			&unix.ItimerSpec{Value: never}, nil)
	})
	return errors.Join(err, failed)
}
