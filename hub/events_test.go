package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

func (r *rig) events(after int64, wait string) rest.EventPage {
	r.t.Helper()
	var p rest.EventPage
	a := r.call("GET", fmt.Sprintf("/__events?after=%d&wait=%s", after, wait), "").want(200)
	if err := json.Unmarshal(a.body, &p); err != nil {
		r.t.Fatal(err)
	}
	return p
}

// of gives the next event from a source.
func (r *rig) nextEvent(after int64, source string) rest.Event {
	r.t.Helper()
	for {
		p := r.events(after, "10")
		if len(p.Events) == 0 {
			r.t.Fatalf("no event %s came", source)
		}
		for _, e := range p.Events {
			if e.Source == source {
				return e
			}
		}
		after = p.Last
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if p := r.events(-1, "0"); p.Last != 0 || p.Events == nil {
		t.Errorf("%+v", p)
	}
	d := r.online("d", nil)
	created := r.nextEvent(0, rest.EventLifecycle)
	if created.DeviceID != "d" || created.Properties["opType"] != "createDeviceIdentity" {
		t.Errorf("%+v", created)
	}
	up := r.nextEvent(0, rest.EventConnectionState)
	if up.Properties["opType"] != "deviceConnected" || up.System["iothub-connection-device-id"] != "d" {
		t.Errorf("%+v", up)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, row := range []struct{ name, ct, body, want string }{
		{"JSON", "application/json", `{"temp": 1, "n": 12345678901234567890}`, `{"temp":1,"n":12345678901234567890}`},
		{"JSON that does not say so", "", `[1]`, `[1]`},
		{"a JSON string", "application/json", `"x"`, `"x"`},
		{"text", "", `12`, `"12"`},
		{"broken JSON", "application/json", `{"a":`, `"{\"a\":"`},
		{"bytes", "", "\xff\x00", `"/wA="`},
		{"nothing", "", "", `""`},
	} {
		last := r.events(-1, "0").Last
		m := iothub.Message{Body: []byte(row.body), Properties: iothub.Properties{"$.mid": "m-1", "a b": "c&d", "iothub-connection-device-id": "liar"}}
		if row.ct != "" {
			m.Properties["$.ct"] = row.ct
		}
		if err := d.Send(ctx, m); err != nil {
			t.Fatal(err)
		}
		e := r.nextEvent(last, rest.EventTelemetry)
		if string(e.Body) != row.want {
			t.Errorf("%s: %s, want %s", row.name, e.Body, row.want)
		}
		if e.System["message-id"] != "m-1" || e.System["content-type"] != row.ct || e.Properties["a b"] != "c&d" || e.System["iothub-connection-device-id"] != "d" {
			t.Errorf("%s: %v %v", row.name, e.System, e.Properties)
		}
		if (e.System["content-transfer-encoding"] == "base64") != (row.name == "bytes") {
			t.Errorf("%s: %v", row.name, e.System)
		}
	}

	last := r.events(-1, "0").Last
	d.Report(map[string]any{"a": 1})
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if e := r.nextEvent(last, rest.EventTwinChange); string(e.Body) != `{"properties":{"reported":{"a":1}},"version":3}` {
		t.Errorf("%s", e.Body)
	}
	last = r.events(-1, "0").Last
	d.Report(map[string]any{"a": nil})
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if e := r.nextEvent(last, rest.EventTwinChange); string(e.Body) != `{"properties":{"reported":{"a":null}},"version":4}` {
		t.Errorf("%s", e.Body)
	}
	last = r.events(-1, "0").Last
	r.call("PATCH", "/twins/d", `{"tags":{"t":1},"properties":{"desired":{"x":1}}}`).want(200)
	if e := r.nextEvent(last, rest.EventTwinChange); string(e.Body) != `{"properties":{"desired":{"$version":2,"x":1}},"tags":{"t":1},"version":5}` {
		t.Errorf("%s", e.Body)
	}
	for _, q := range []string{"after=-2", "after=x", "wait=-1", "wait=x"} {
		r.call("GET", "/__events?"+q, "").fails(iothub.ArgumentInvalid)
	}
}

// A reader that waits is woken by the event, not by its patience.
func TestEventsAreWaitedFor(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	began := time.Now()
	done := make(chan rest.EventPage, 1)
	go func() { done <- r.events(0, "25") }()
	time.Sleep(50 * time.Millisecond) // it waits; if not, the test is merely weaker
	r.addDevice("d")
	if p := <-done; len(p.Events) != 1 || p.Last != p.Events[0].Seq {
		t.Errorf("%+v", p)
	}
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("it took %s", took)
	}
	if p := r.events(1, "0"); len(p.Events) != 0 || p.Last != 1 {
		t.Errorf("%+v", p)
	}
}

func TestEndpoints(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for host, want := range map[string]string{"localhost": "localhost", "127.0.0.1": "127.0.0.1", "elsewhere.example": "localhost"} {
		req := r.request("GET", "/__endpoints")
		req.Host = host + ":" + port(r.https)
		a := r.do(req).want(200)
		if got := a.at("mqtt"); got != `"`+want+":"+port(r.mqtt)+`"` {
			t.Errorf("%s: %s", host, got)
		}
	}
	if strings.Contains(r.https, "0.0.0.0") {
		t.Error("the hub listens to all")
	}
}
