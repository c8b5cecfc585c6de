package hub

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// feed wakes those who wait for events. The events themselves are in the store.
type feed struct {
	mu   sync.Mutex
	news chan struct{} // closed at the next event
}

// next gives a channel that is closed when events have come after this call.
func (f *feed) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.news == nil {
		f.news = make(chan struct{})
	}
	return f.news
}

func (f *feed) wake() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.news != nil {
		close(f.news)
		f.news = nil
	}
}

// write runs f in a transaction and wakes the readers of the feed. It is not
// undone by a client that hangs up: its part of the work is over.
func (h *Hub) write(ctx context.Context, f func(ctx context.Context, tx *sql.Tx) error) error {
	ctx = context.WithoutCancel(ctx)
	if err := h.store.write(ctx, func(tx *sql.Tx) error { return f(ctx, tx) }); err != nil {
		return err
	}
	h.feed.wake()
	return nil
}

// events waits at most wait for events after one and gives them, with the
// number to ask with next time. After -1 it gives just the newest number.
func (h *Hub) events(ctx context.Context, after int64, wait time.Duration) (rest.EventPage, error) {
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		news := h.feed.next() // before reading, so that nothing comes in between unseen
		page := rest.EventPage{Events: []rest.Event{}}
		var err error
		if after >= 0 {
			if page.Events, err = eventsAfter(ctx, h.store.r, after); err != nil {
				return page, err
			}
		}
		if n := len(page.Events); n > 0 {
			page.Last = page.Events[n-1].Seq
			return page, nil
		}
		page.Events = []rest.Event{}
		if page.Last, err = lastEvent(ctx, h.store.r); err != nil || after < 0 {
			return page, err
		}
		select {
		case <-news:
		case <-timeout.C:
			return page, nil
		case <-ctx.Done():
			return page, nil
		}
	}
}

// System properties of an event, beside those a device sets itself.
const (
	systemDevice   = "iothub-connection-device-id"
	systemSource   = "iothub-message-source"
	systemEnqueued = "iothub-enqueuedtime"
	systemEncoding = "content-transfer-encoding" // base64 where the body is neither JSON nor text
)

// hubEvent is an event that the hub itself reports.
func (h *Hub) hubEvent(source, operation, deviceID string, body any) (rest.Event, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return rest.Event{}, fmt.Errorf("make event %s of device %s: %w", operation, deviceID, err)
	}
	now := iothub.FormatTwinTime(h.now())
	return rest.Event{
		Source: source, DeviceID: deviceID, Body: text,
		System: map[string]string{systemDevice: deviceID, systemSource: source, systemEnqueued: now},
		Properties: map[string]string{
			"hubName": h.names[0], "deviceId": deviceID, "opType": operation, "operationTimestamp": now,
		},
	}, nil
}

// report adds an event of the hub itself.
func (h *Hub) report(ctx context.Context, tx *sql.Tx, source, operation, deviceID string, body any) error {
	e, err := h.hubEvent(source, operation, deviceID, body)
	if err == nil {
		_, err = appendEvent(ctx, tx, e)
	}
	return err
}

// systemNames are the bag keys of a telemetry topic and the system properties
// that they stand for (Learn, "Create and read IoT Hub messages").
var systemNames = map[string]string{
	"$.mid": "message-id", "$.cid": "correlation-id", "$.uid": "user-id", "$.to": "to",
	"$.ct": "content-type", "$.ce": "content-encoding", "$.ctime": "iothub-creation-time-utc",
	"$.on": "iothub-output-name", "$.sub": "dt-subject", "$.ifid": "iothub-interface-id",
	"$.schema": "iothub-message-schema", "$.cdid": "iothub-connection-device-id", "$.cmid": "iothub-connection-module-id",
}

// telemetryEvent is a message of a device as readers of the feed see it.
func (h *Hub) telemetryEvent(d identity, m iothub.Message) rest.Event {
	e := rest.Event{
		Source: rest.EventTelemetry, DeviceID: d.id,
		System: map[string]string{}, Properties: map[string]string{},
	}
	for name, value := range m.Properties {
		if system, ok := systemNames[name]; ok {
			e.System[system] = value
		} else {
			e.Properties[name] = value
		}
	}
	method := `{"scope":"device","type":"sas","issuer":"iothub"}`
	if d.auth.kind != rest.AuthSAS {
		method = `{"scope":"device","type":"x509","issuer":"external"}`
	}
	// After the device's own, which must not pass for these.
	e.System[systemDevice] = d.id
	e.System["iothub-connection-auth-generation-id"] = d.generation
	e.System["iothub-connection-auth-method"] = method
	e.System[systemSource] = rest.EventTelemetry
	e.System[systemEnqueued] = iothub.FormatTwinTime(h.now())
	if d.modelID != "" {
		e.System["dt-dataschema"] = d.modelID
	}
	body, encoding := eventBody(m)
	e.Body = body
	if encoding != "" {
		e.System[systemEncoding] = encoding
	}
	return e
}

// eventBody is a message's body in JSON: itself where it is a JSON object or
// array, or any JSON that calls itself so; else a string.
func eventBody(m iothub.Message) (body json.RawMessage, encoding string) {
	text := strings.TrimSpace(string(m.Body))
	saysJSON := strings.HasPrefix(strings.ToLower(m.Properties["$.ct"]), "application/json")
	if saysJSON || strings.HasPrefix(text, "{") || strings.HasPrefix(text, "[") {
		if _, err := iothub.DecodeJSON([]byte(text)); err == nil {
			return json.RawMessage(text), ""
		}
	}
	s := string(m.Body)
	if !utf8.Valid(m.Body) {
		s, encoding = base64.StdEncoding.EncodeToString(m.Body), "base64"
	}
	quoted, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always marshals
	}
	return quoted, encoding
}
