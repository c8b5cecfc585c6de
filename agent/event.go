package agent

import (
	"context"
	"encoding/json"
	"maps"
	"strconv"
	"time"

	"latchd/agent/ledger"
	"latchd/agent/outbox"
	"latchd/iothub"
)

// Names of events that this package makes. Those of the door come from the lock;
// docs/device.md has them all.
const (
	eventRebootCompleted = "rebootCompleted"
	eventRebootFailed    = "rebootFailed"
	eventBootLoop        = "bootLoop"
	eventCommandRefused  = "commandRefused"
	eventDoorFault       = "doorFault"
	eventDoorFaultEnded  = "doorFaultEnded"
	eventsLost           = "eventsLost"
)

// DoorEvent is something that happened at the door, in the contract's words.
type DoorEvent struct {
	Name  string        // doorUnlocked, requestToExit, ...
	Cause string        // command, button, sensor, time, policy, start or stop
	At    time.Duration // when, by the boot-time clock
	Time  time.Time     // the same by the wall clock; zero: it was not trusted
}

// DoorHappened takes events of the door, oldest first, and the number of those
// that were lost before them. It waits for nothing.
func (a *Agent) DoorHappened(events []DoorEvent, missed int) {
	a.outbox.Missed(missed)
	out := make([]outbox.Event, 0, len(events))
	for _, e := range events {
		event := a.newEvent(e.Name, map[string]any{"cause": e.Cause})
		event.Uptime, event.Time = e.At, e.Time
		event.CommandID = a.doorCommands.id(e)
		out = append(out, event)
	}
	a.outbox.Add(out...)
}

// newEvent is one that happens now.
func (a *Agent) newEvent(name string, more map[string]any) outbox.Event {
	e := outbox.Event{Name: name, Boot: a.Boot.ID, Uptime: a.Machine.Uptime()}
	if now := a.trustedNow(); !now.IsZero() {
		e.Time = now.Truncate(time.Millisecond)
	}
	maps.DeleteFunc(more, func(_ string, v any) bool { return v == nil || v == "" })
	if len(more) > 0 {
		text, err := json.Marshal(more)
		if err != nil { // only values of this package's making are in it
			a.log.Error("an event cannot be encoded", "event", name, "error", err)
			return e
		}
		e.More = text
	}
	return e
}

// tellBoot adds the event of the reboot that this boot came from. Each start
// adds it; the outbox keeps it once for each boot. It happened when the kernel
// began, so that is its time.
func (a *Agent) tellBoot() {
	for _, r := range a.ops.Receipts {
		if r.State != stateCompleted || r.BootID != a.Boot.ID {
			continue
		}
		more := map[string]any{
			"cause": r.Cause, "reason": r.Reason, "operationId": r.OperationID,
			"bootId": r.BootID, "previousBootId": r.PreviousBootID,
		}
		if r.Orderly != nil {
			more["orderly"] = *r.Orderly
		}
		e := a.newEvent(eventRebootCompleted, more)
		e.CommandID, e.Once = r.CommandID, eventRebootCompleted+" "+r.BootID
		e.Uptime, e.Time = 0, time.Time{}
		a.outbox.Add(e)
	}
}

// tellEnd adds the event of an operation that came to nothing.
func (a *Agent) tellEnd(op ledger.Operation, r ledger.StoredReceipt) {
	if r.State != stateFailed && r.State != stateExpired {
		return
	}
	e := a.newEvent(eventRebootFailed, map[string]any{
		"operationId": op.ID, "state": r.State, "error": r.Error, "reason": op.Reason,
	})
	e.CommandID = op.CommandID
	a.outbox.Add(e)
}

// tellFault adds an event when the lock's hardware begins to be at fault, and when
// it no longer is. fault is what is wrong now; "" is nothing.
func (a *Agent) tellFault(fault string) {
	a.mu.Lock()
	begun, ended := a.doorFault == "" && fault != "", a.doorFault != "" && fault == ""
	a.mu.Unlock()
	if !begun && !ended {
		return
	}
	suppressed, ok := a.faults.take(a.Machine.Uptime())
	if !ok {
		return // the next change tells, and counts this one
	}
	a.mu.Lock()
	a.doorFault = fault
	a.mu.Unlock()
	name, more := eventDoorFaultEnded, map[string]any{"fault": clip(fault)}
	if begun {
		name = eventDoorFault
	}
	if suppressed > 0 {
		more["suppressed"] = suppressed
	}
	a.outbox.Add(a.newEvent(name, more))
}

// FinishEvents writes what happened last, the locking of the door at a stop
// among it, and gives the hub what it does not have. To be called after Run has
// returned and the door was put away; it returns soon after ctx ends.
func (a *Agent) FinishEvents(ctx context.Context) {
	if _, none := a.hub.(noHub); none {
		a.outbox.Finish(ctx, nil)
		return
	}
	a.outbox.Finish(ctx, a.deliverEvents)
}

// deliverEvents is the outbox's way to the hub.
func (a *Agent) deliverEvents(ctx context.Context, entries []outbox.Entry) (int, error) {
	messages := make([]iothub.Message, len(entries))
	for i, e := range entries {
		messages[i] = a.eventMessage(e)
	}
	return a.hub.SendAll(ctx, messages)
}

// eventMessage is an event as it goes out.
func (a *Agent) eventMessage(e outbox.Entry) iothub.Message {
	body := map[string]any{}
	_ = json.Unmarshal(e.More, &body) // only objects of this package's making are in it
	name := e.Name
	if e.Lost != nil {
		name = eventsLost
		body["from"], body["to"] = e.Lost.From, e.Lost.To
		if e.Lost.Count > 0 {
			body["count"] = e.Lost.Count
		}
	}
	body["event"], body["seq"] = name, e.Seq
	if !e.Time.IsZero() {
		body["time"] = formatTime(e.Time)
	}
	if e.CommandID != "" {
		body["commandId"] = e.CommandID
	}
	text, err := json.Marshal(body)
	if err != nil { // it was read from JSON
		text = []byte("{}")
	}
	return iothub.Message{Body: text, Properties: iothub.Properties{
		"$.ct": "application/json", "$.ce": "utf-8",
		"$.mid": a.Device + "-" + strconv.FormatUint(e.Seq, 10),
		"event": name,
	}}
}
