package broker

import (
	"fmt"
	"strings"
	"testing"

	paho "github.com/eclipse/paho.mqtt.golang"

	"latchd/iothub"
)

// pahoClient is a device as a real library makes it.
type pahoClient struct {
	paho.Client
	messages chan paho.Message
}

func (r *rig) paho(t *testing.T, id string) *pahoClient {
	t.Helper()
	conn := r.dial(t) // only to learn the address
	address := conn.RemoteAddr().String()
	_ = conn.Close()
	c := &pahoClient{messages: make(chan paho.Message, 10)}
	config := clientTLS()
	c.Client = paho.NewClient(paho.NewClientOptions().
		AddBroker("ssl://" + address).SetTLSConfig(config).SetProtocolVersion(4).
		SetClientID(id).SetUsername("localhost/" + id + "/?api-version=2021-04-12").SetPassword("secret").
		SetCleanSession(false).SetAutoReconnect(false).SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ paho.Client, m paho.Message) { c.messages <- m }))
	wait(t, "connect", c.Connect())
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

func wait(t *testing.T, what string, token paho.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) || token.Error() != nil {
		t.Fatalf("%s: %v", what, token.Error())
	}
}

func TestPaho(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	c := r.paho(t, "d1")
	for _, filter := range allFilters {
		wait(t, "subscribe", c.Subscribe(filter, 1, nil))
	}

	wait(t, "telemetry", c.Publish("devices/d1/messages/events/%24.mid=1", 1, false, "x"))
	if len(hub.messages) != 1 {
		t.Errorf("%d messages; want 1", len(hub.messages))
	}

	wait(t, "GET", c.Publish("$iothub/twin/GET/?$rid=1", 1, false, " "))
	if m := <-c.messages; m.Topic() != "$iothub/twin/res/200/?$rid=1" || m.Qos() != 1 {
		t.Errorf("got %s at QoS %d", m.Topic(), m.Qos())
	}
	wait(t, "report", c.Publish("$iothub/twin/PATCH/properties/reported/?$rid=2", 1, false, `{"a":1}`))
	if m := <-c.messages; m.Topic() != "$iothub/twin/res/204/?$rid=2&$version=2" {
		t.Errorf("got %s", m.Topic())
	}

	for i := range 3 {
		done := r.invoke(t.Context(), "d1", "lockDoor", fmt.Sprint(i), 0, patience)
		m := <-c.messages
		rid, ok := strings.CutPrefix(m.Topic(), "$iothub/methods/POST/lockDoor/?$rid=")
		if !ok || m.Qos() != 0 || m.Duplicate() || string(m.Payload()) != fmt.Sprint(i) {
			t.Errorf("got %s %s at QoS %d", m.Topic(), m.Payload(), m.Qos())
		}
		wait(t, "answer", c.Publish("$iothub/methods/res/200/?$rid="+rid, 1, false, "{}"))
		if got := <-done; got.err != nil || got.status != 200 {
			t.Errorf("Invoke gave %+v", got)
		}
	}
	r.NotifyDesired("d1", iothub.Section{Version: 2})
	if m := <-c.messages; m.Topic() != "$iothub/twin/PATCH/properties/desired/?$version=2" {
		t.Errorf("got %s", m.Topic())
	}

	// Without subscribing again, like Python's SDK.
	c.Disconnect(100)
	c = r.paho(t, "d1")
	r.NotifyDesired("d1", iothub.Section{Version: 3})
	if m := <-c.messages; m.Topic() != "$iothub/twin/PATCH/properties/desired/?$version=3" {
		t.Errorf("got %s", m.Topic())
	}
	wait(t, "unsubscribe", c.Unsubscribe(iothub.FilterMethods))
	wantCode(t, <-r.invoke(t.Context(), "d1", "m", "", 0, patience), iothub.DeviceNotOnline, "")
}
