package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

func TestTwinGet(t *testing.T) {
	hub := &fakeHub{twin: func(string) (iothub.Twin, error) {
		return iothub.Twin{
			Desired:  iothub.Section{Version: 12, Properties: map[string]any{"telemetryConfig": map[string]any{"sendFrequency": "5m"}}},
			Reported: iothub.Section{Version: 123, Properties: map[string]any{"batteryLevel": json.Number("55")}},
		}, nil
	}}
	r := start(t, hub)
	c := r.raw(t, "d1")
	c.send(publishPacket("$iothub/twin/GET/?$rid=0", "", 1, 9, 0)) // not subscribed: nothing but the PUBACK
	c.expect(kPuback)
	for qos := range byte(2) {
		c.subscribe(qos, iothub.FilterTwinRes)
		for _, body := range []string{"", " ", "anything"} {
			c.send(publishPacket("$iothub/twin/GET/?$rid=A-1", body, 0, 0, 0))
			topic, got, gotQoS := c.expect(kPublish).publish()
			want := `{"desired":{"$version":12,"telemetryConfig":{"sendFrequency":"5m"}},"reported":{"$version":123,"batteryLevel":55}}`
			if topic != "$iothub/twin/res/200/?$rid=A-1" || got != want {
				t.Errorf("got %s %s; want %s", topic, got, want)
			}
			if gotQoS != qos {
				t.Errorf("it came at QoS %d; want %d", gotQoS, qos)
			}
		}
	}
}

func TestReported(t *testing.T) {
	plain := &fakeHub{}
	hub := &fakeHub{report: func(id string, patch map[string]any, ifVersion *int64) (int64, error) {
		switch {
		case patch["refuse"] != nil:
			return 0, iothub.Errorf(iothub.ArgumentInvalid, "refuse: no.")
		case patch["fail"] != nil:
			return 0, errors.New("cannot write /secret/path")
		}
		return plain.Report(id, patch, ifVersion)
	}}
	c := start(t, hub).raw(t, "d1")
	c.subscribe(0, iothub.FilterTwinRes)
	for _, test := range []struct {
		version, body string
		topic         string
		code          iothub.Code
		message       string
	}{
		{"", `{"a":1}`, "204/?$rid=r&$version=2", 0, ""},
		{"", `{}`, "204/?$rid=r&$version=3", 0, ""},
		{"", `{"a":null}`, "204/?$rid=r&$version=4", 0, ""},
		{"&$version=4", `{"b":1}`, "204/?$rid=r&$version=5", 0, ""},
		{"&$version=4", `{"b":2}`, "412/?$rid=r", iothub.PreconditionFailed, "The version is 5."},
		{"", `{"refuse":1}`, "400/?$rid=r", iothub.ArgumentInvalid, "refuse: no."},
		{"", `{"fail":1}`, "500/?$rid=r", iothub.ServerError, "The hub could not do this."},
		{"", ``, "400/?$rid=r", iothub.ArgumentInvalid, "The reported properties cannot be read: no JSON value."},
		{"", `[1]`, "400/?$rid=r", iothub.ArgumentInvalid, "The reported properties cannot be read: must be a JSON object, not an array."},
		{"", "{\"a\":\"\xff\"}", "400/?$rid=r", iothub.ArgumentInvalid, "The reported properties cannot be read: not valid UTF-8."},
	} {
		c.send(publishPacket("$iothub/twin/PATCH/properties/reported/?$rid=r"+test.version, test.body, 0, 0, 0))
		topic, body := c.expectPublish()
		if want := "$iothub/twin/res/" + test.topic; topic != want {
			t.Errorf("%s: got %s; want %s", test.body, topic, want)
		}
		if test.code == 0 {
			if body != "" {
				t.Errorf("%s: body %q; want none", test.body, body)
			}
			continue
		}
		var e struct {
			ErrorCode  iothub.Code `json:"errorCode"`
			Message    string      `json:"message"`
			TrackingID string      `json:"trackingId"`
		}
		if err := json.Unmarshal([]byte(body), &e); err != nil || e.ErrorCode != test.code || e.Message != test.message || len(e.TrackingID) < 32 {
			t.Errorf("%s: body %s; want %v %q", test.body, body, test.code, test.message)
		}
	}
	want := map[string]any{"b": json.Number("1")}
	if diff := cmp.Diff(want, plain.twins["d1"].Reported.Properties); diff != "" {
		t.Errorf("reported (-want +got):\n%s", diff)
	}
}

func TestReportedWithoutSubscription(t *testing.T) {
	hub := &fakeHub{}
	c := start(t, hub).raw(t, "d1")
	c.send(publishPacket("$iothub/twin/PATCH/properties/reported/?$rid=1", `{"a":"b"}`, 1, 5, 0))
	c.expect(kPuback)
	c.ping()
	if got := hub.twins["d1"].Reported.Properties["a"]; got != "b" {
		t.Errorf("reported a is %v; want b", got)
	}
}

func TestNotifyDesired(t *testing.T) {
	r := start(t, &fakeHub{})
	patch := func(v int64) iothub.Section {
		return iothub.Section{Version: v, Properties: map[string]any{"interval": json.Number("5"), "old": nil}}
	}
	r.NotifyDesired("d1", patch(2)) // absent
	c := r.rawWith(t, connectPacket{id: "d1"})
	r.NotifyDesired("d1", patch(3)) // not subscribed
	for qos := range byte(2) {
		c.subscribe(qos, iothub.FilterDesired)
		version := int64(4 + qos)
		r.NotifyDesired("d1", patch(version))
		p := c.expect(kPublish)
		topic, body, gotQoS := p.publish()
		wantTopic, wantBody := fmt.Sprintf("$iothub/twin/PATCH/properties/desired/?$version=%d", version), fmt.Sprintf(`{"$version":%d,"interval":5,"old":null}`, version)
		if topic != wantTopic || body != wantBody || gotQoS != qos {
			t.Errorf("got %v; want %s %s at QoS %d", p, wantTopic, wantBody, qos)
		}
	}
	// Not acknowledged, and yet not sent again to the session that follows.
	_ = c.tcp.Close()
	r.hub.awaitStates(t, "+d1", "-d1")
	r.NotifyDesired("d1", patch(6))
	c = r.rawWith(t, connectPacket{id: "d1"})
	c.ping()
	for version := range int64(200) {
		r.NotifyDesired("d1", patch(10+version))
	}
	for version := range int64(200) {
		if topic, _ := c.expectPublish(); topic != fmt.Sprintf("$iothub/twin/PATCH/properties/desired/?$version=%d", 10+version) {
			t.Fatalf("got %s; want version %d", topic, 10+version)
		}
	}
}

// A change that comes while the twin is read must not be followed by a twin
// that does not have it.
func TestDesiredNeverGoesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reading, goOn := make(chan struct{}), make(chan struct{})
		hub := &fakeHub{twin: func(string) (iothub.Twin, error) {
			close(reading)
			<-goOn
			return iothub.Twin{Desired: iothub.Section{Version: 6}, Reported: iothub.Section{Version: 1}}, nil
		}}
		r := startPiped(t, hub)
		c := r.raw(t, "d1")
		c.subscribe(0, iothub.FilterDesired, iothub.FilterTwinRes)
		r.NotifyDesired("d1", iothub.Section{Version: 4})
		c.expectPublish()
		c.send(publishPacket("$iothub/twin/GET/?$rid=1", "", 0, 0, 0))
		<-reading
		for version := range int64(4) {
			r.NotifyDesired("d1", iothub.Section{Version: 5 + version})
		}
		close(goOn)
		for _, want := range []string{"res/200/?$rid=1", "PATCH/properties/desired/?$version=7", "PATCH/properties/desired/?$version=8"} {
			if topic, body := c.expectPublish(); topic != "$iothub/twin/"+want {
				t.Errorf("got %s %s; want %s", topic, body, want)
			}
		}
		r.NotifyDesired("d1", iothub.Section{Version: 8}) // an echo
		c.ping()
	})
}

// Nobody sees what is another's.
func TestNoOtherTrafficIsVisible(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	ids := []string{"d1", "d2", "d10"}
	clients := map[string]*rawClient{}
	for _, id := range ids {
		c := r.rawWith(t, connectPacket{id: id, willTopic: "devices/" + id + "/messages/events/", will: []byte("w")})
		c.subscribe(1, iothub.FilterMethods, iothub.FilterDesired, iothub.FilterTwinRes, iothub.FilterDevicebound(id))
		clients[id] = c
	}
	active := clients["d1"]
	active.send(publishPacket("devices/d1/messages/events/", "x", 1, 1, 1))
	active.expect(kPuback)
	active.send(publishPacket("$iothub/twin/GET/?$rid=1", "", 0, 0, 0))
	active.expectPublish()
	active.send(publishPacket("$iothub/twin/PATCH/properties/reported/?$rid=1", `{"a":1}`, 0, 0, 0))
	active.expectPublish()
	r.NotifyDesired("d1", iothub.Section{Version: 2})
	active.expectPublish()
	done := r.invoke(t.Context(), "d1", "m", "", 0, patience)
	active.answer(active.expectMethod("m", ""), 200, "")
	<-done
	_ = active.tcp.Close()
	hub.await(t, "the will", func() bool { return len(hub.messages) == 2 })
	for _, id := range ids[1:] {
		clients[id].ping() // nothing came before
	}
	if n := r.mqtt.Topics.Retained.Len(); n != 0 {
		t.Errorf("mochi retains %d messages", n)
	}
}
