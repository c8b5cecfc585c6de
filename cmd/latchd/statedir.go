package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"syscall"
)

// takeState makes the state directory and takes it for this process alone: two
// agents on one state would each believe to be the only one. That is the only
// error.
//
// A card that wears out turns read-only, and then the door and its exit button
// are needed as much as before. So nothing is written here: the lock is on the
// directory itself. One that cannot be made or locked is logged, and the agent
// goes on with what it cannot keep, as on a full disk.
func takeState(dir string, log *slog.Logger) (release func(), err error) {
	release = func() {}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		log.Error("there is no state directory; nothing is kept for a restart", "error", err)
		return release, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		log.Error("the state directory cannot be opened", "error", err)
		return release, nil
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return release, fmt.Errorf("another latchd uses the state directory %s", dir)
		}
		log.Error("the state directory cannot be locked; nothing keeps another latchd from it", "error", err)
		return release, nil
	}
	return func() { _ = f.Close() }, nil
}
