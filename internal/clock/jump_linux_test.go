package clock

import (
	"context"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBootTime(t *testing.T) {
	text, err := os.ReadFile("/proc/uptime") // the boot-time clock, in seconds
	if err != nil {
		t.Skip(err)
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	uptime := time.Duration(seconds * float64(time.Second))
	if off := bootTime() - uptime; off < -time.Second || off > time.Minute {
		t.Errorf("the boot-time clock is off by %v", off)
	}
}

// Setting the machine's clock is not for a test. That the kernel took the timer,
// and that it is given back, can be seen.
func TestJumpsAreWatchedUntilTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	jumps := watchJumps(ctx)
	timer := time.NewTimer(20 * time.Millisecond)
	select {
	case _, ok := <-jumps:
		if !ok {
			t.Fatal("the kernel does not tell of jumps")
		}
	case <-timer.C:
	}
	cancel()
	for range jumps { // until it is closed
	}
}
