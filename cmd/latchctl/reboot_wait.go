package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// rebootWait watches a device's twin until it holds the receipt of one
// operation.
type rebootWait struct {
	device    string
	operation string // from the answer; "" with a device that gives none
	commandID string
	read      func(ctx context.Context, device string) (rest.Twin, error)
	show      func(state, detail string)
}

// errDeferred ends a wait that cannot succeed in time.
var errDeferred = errors.New("deferred")

// run gives the twin in which the operation has ended, however it did.
// accepted is the device's answer, limit how long to wait.
func (w *rebootWait) run(ctx context.Context, accepted map[string]any, limit time.Duration) (rest.Twin, error) {
	var (
		began   = time.Now()
		end     = began.Add(limit)
		twin    rest.Twin
		state   = "rebooting"
		planned string
	)
	if textOf(accepted, "state") == "scheduled" {
		planned = textOf(accepted, "notBefore")
	}
	waiting, stop := context.WithDeadline(ctx, end)
	defer stop()
	err := service.Poll(waiting, func(ctx context.Context) (bool, error) {
		if at, err := time.Parse(time.RFC3339, planned); err == nil && at.After(end) {
			return false, errDeferred
		}
		got, err := w.read(ctx, w.device)
		if err != nil {
			w.show(w.device+": "+state, "; the hub does not answer")
			return false, err
		}
		twin = got
		if receiptState(w.receipt(twin)).ended() {
			return true, nil
		}
		state, planned = w.state(twin)
		w.show(w.device+": "+state, fmt.Sprintf(", %d s", int(time.Since(began).Seconds())))
		return false, nil
	})
	switch {
	case err == nil:
		w.show(w.device+": "+textOf(w.receipt(twin), "state"), "")
		return twin, nil
	case ctx.Err() != nil:
		return twin, fmt.Errorf("wait for %s to reboot: %w", w.device, context.Cause(ctx))
	case errors.Is(err, errDeferred):
		return twin, &waitError{fmt.Sprintf("%s will not reboot before %s, which is later than --wait-timeout allows", w.device, planned)}
	case errors.Is(err, context.DeadlineExceeded):
		return twin, &waitError{fmt.Sprintf("%s gave no receipt within %s; last seen: %s", w.device, limit, state)}
	}
	return twin, err
}

// receipt is lastReboot if it is of this operation, else nil. The command id
// counts only with a device that told no operation id: a command that joined
// an operation of somebody else is answered by that one's receipt.
func (w *rebootWait) receipt(twin rest.Twin) map[string]any {
	last, _ := twin.Properties.Reported["lastReboot"].(map[string]any)
	if w.operation != "" && textOf(last, "operationId") == w.operation ||
		w.operation == "" && textOf(last, "commandId") == w.commandID {
		return last
	}
	return nil
}

// state says what the twin shows of an operation that has not ended, and when
// it is planned for ("" if it is not).
func (w *rebootWait) state(twin rest.Twin) (text, planned string) {
	all, _ := twin.Properties.Reported["pendingOperations"].(map[string]any)
	if pending, ok := all[w.operation].(map[string]any); ok && w.operation != "" {
		planned = textOf(pending, "notBefore")
		text = textOf(pending, "state")
		if planned != "" {
			text += ", not before " + planned
		}
		if by := textOf(pending, "blockedBy"); by != "" {
			text += ", blocked by " + by
		}
		return text, planned
	}
	if twin.ConnectionState == rest.StateDisconnected {
		return "rebooting, not connected", ""
	}
	return "rebooting", ""
}

// receiptState is lastReboot.state.
type receiptState map[string]any

func (s receiptState) ended() bool {
	switch textOf(s, "state") {
	case "completed", "failed", "expired", "cancelled":
		return true
	}
	return false
}

// printReceipt shows how the operation ended, and gives an error unless the
// device rebooted.
func (p *program) printReceipt(c methodCall, r rest.MethodResult, twin rest.Twin) error {
	last, _ := twin.Properties.Reported["lastReboot"].(map[string]any)
	bootTime := textOf(twin.Properties.Reported, "rebootTime")
	if p.wantsJSON() {
		if err := p.printJSON(struct {
			answer
			RebootTime string         `json:"rebootTime,omitempty"`
			LastReboot map[string]any `json:"lastReboot"`
		}{answerOf(c, r), bootTime, last}); err != nil {
			return err
		}
		return rebootFailure(c, last)
	}
	headline := c.device + " rebooted"
	if state := textOf(last, "state"); state != "completed" {
		headline = c.device + ": reboot " + clean(state)
	}
	if wasReplayed(r) {
		headline += " (replayed: this command was carried out before, nothing was done again)"
	}
	fmt.Fprintln(p.stdout, headline)
	if err := p.printTable(receiptRows(last, bootTime)); err != nil {
		return err
	}
	return rebootFailure(c, last)
}

// wasReplayed tells whether the device only repeated an earlier answer.
func wasReplayed(r rest.MethodResult) bool {
	doc, err := iothub.DecodeObject(r.Payload)
	return err == nil && textOf(doc, "replayed") == "true"
}

func receiptRows(last map[string]any, bootTime string) [][]string {
	cause := textOf(last, "cause")
	if cause != "" && textOf(last, "orderly") == "true" {
		cause += " (orderly)"
	}
	down := textOf(last, "downSeconds")
	if down != "" {
		down += " s"
	}
	var rows [][]string
	for _, row := range [][]string{
		{"  rebootTime", bootTime},
		{"  bootId", textOf(last, "bootId")},
		{"  previousBootId", textOf(last, "previousBootId")},
		{"  down", down},
		{"  cause", cause},
		{"  reason", textOf(last, "reason")},
		{"  error", textOf(last, "error")},
		{"  operationId", textOf(last, "operationId")},
		{"  commandId", textOf(last, "commandId")},
	} {
		if row[1] != "" {
			rows = append(rows, row)
		}
	}
	return rows
}

func rebootFailure(c methodCall, last map[string]any) error {
	state := textOf(last, "state")
	if state == "completed" {
		return nil
	}
	text := fmt.Sprintf("the reboot of %s is %s", c.device, state)
	if why := textOf(last, "error"); why != "" {
		text += ": " + why
	}
	return &deviceError{text}
}
