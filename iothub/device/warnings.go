package device

import (
	"log/slog"
	"sync"
	"time"
)

// maxWarnings is how many lines a minute the log gets about methods that were
// not served. A person reads no more, and a flood of methods must not wear out
// the memory card that the log is kept on.
const maxWarnings = 60

// warnings writes warnings to the log, at most maxWarnings a minute. Those left
// out are counted in the next line. The zero value is ready.
type warnings struct {
	mu      sync.Mutex // guards what follows
	began   time.Time  // of the minute
	written int        // in it
	leftOut int        // since the last line
}

func (w *warnings) warn(log *slog.Logger, text string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if now := time.Now(); now.Sub(w.began) >= time.Minute {
		w.began, w.written = now, 0
	}
	if w.written == maxWarnings {
		w.leftOut++
		return
	}
	w.written++
	if w.leftOut > 0 {
		args = append(args, "leftOut", w.leftOut)
		w.leftOut = 0
	}
	log.Warn(text, args...)
}
