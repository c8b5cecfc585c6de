package agent

import (
	"context"
	"maps"
	"time"
)

// shownReceipts is how many receipts getStatus shows.
const shownReceipts = 8

func parseGetStatus(a *Agent, _ *params) action {
	return func(context.Context, command) answer { return a.getStatus() }
}

// getStatus answers with everything that is reported, live, and the last
// receipts, oldest first.
func (a *Agent) getStatus() answer {
	a.mu.Lock()
	live := a.reportedLocked()
	receipts := a.ops.Receipts
	if n := len(receipts); n > shownReceipts {
		receipts = receipts[n-shownReceipts:]
	}
	shown := make([]any, 0, len(receipts))
	for _, r := range receipts {
		shown = append(shown, r.Receipt)
	}
	a.mu.Unlock()
	live["door"] = a.doorDocument()
	live["receipts"] = shown
	live["uptimeSeconds"] = a.Machine.Uptime().Round(time.Second).Seconds()
	if now := a.trustedNow(); !now.IsZero() {
		live["time"] = formatTime(now)
	}
	// In a report nil removes a key; here it is absent.
	maps.DeleteFunc(live, func(_ string, v any) bool { return v == nil })
	live["Response"] = "getStatus called successfully"
	return answer{status: 200, payload: live}
}
