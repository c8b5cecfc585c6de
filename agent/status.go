package agent

import (
	"context"
	"time"

	"latchd/iothub"
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
	doc, err := iothub.ToDocument(live)
	if err != nil {
		return reply(500, "the status cannot be encoded: "+err.Error())
	}
	doc = iothub.Merge(nil, doc) // what is nil is absent
	doc["Response"] = "getStatus called successfully"
	return answer{status: 200, payload: doc}
}
