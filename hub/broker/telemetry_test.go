package broker

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

func TestTelemetry(t *testing.T) {
	for _, test := range []struct {
		topic  string
		retain byte
		want   iothub.Properties
	}{
		{"devices/d1/messages/events/", 0, iothub.Properties{}},
		{"devices/d1/messages/events", 0, iothub.Properties{}},
		{"devices/d1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8&a%20b=c%26d", 0, iothub.Properties{"$.ct": "application/json", "$.ce": "utf-8", "a b": "c&d"}},
		{"devices/d1/messages/events/?$.mid=1/", 0, iothub.Properties{"$.mid": "1"}},
		{"devices/d1/messages/events/a=1", 1, iothub.Properties{"a": "1", "mqtt-retain": "true"}},
	} {
		hub := &fakeHub{}
		c := start(t, hub).raw(t, "d1")
		for qos := range byte(2) {
			c.send(publishPacket(test.topic, "body", qos, 77, test.retain))
			if qos == 1 {
				if got := c.expect(kPuback); binary.BigEndian.Uint16(got.body) != 77 {
					t.Errorf("PUBACK of %v; want 77", got.body)
				}
			}
		}
		m := iothub.Message{Body: []byte("body"), Properties: test.want}
		if diff := cmp.Diff([]iothub.Message{m, m}, hub.messages); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.topic, diff)
		}
	}
}

func TestTelemetryIsAcknowledgedOnceStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := make(chan error)
		hub := &fakeHub{telemetry: func(string, iothub.Message) error { return <-stored }}
		r := startPiped(t, hub)
		c := r.raw(t, "d1")
		c.send(publishPacket("devices/d1/messages/events/", "1", 1, 1, 0))
		got := make(chan rawPacket)
		go func() {
			p, _ := c.read()
			got <- p
		}()
		synctest.Wait()
		select {
		case p := <-got:
			t.Fatalf("got %v before it was stored", p)
		default:
		}
		stored <- nil
		if p := <-got; p.kind != kPuback {
			t.Errorf("got %v; want PUBACK", p)
		}
		c.send(publishPacket("devices/d1/messages/events/", "2", 1, 2, 0))
		stored <- errors.New("disk full")
		c.expectClosed()
	})
}

func TestTelemetrySize(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	for name, test := range map[string]struct {
		bag  string
		size int
		ok   bool
	}{
		"just fits":            {"", iothub.MaxMessage, true},
		"one more":             {"", iothub.MaxMessage + 1, false},
		"with a property":      {"ab=cd", iothub.MaxMessage - 4, true},
		"one more with it":     {"ab=cd", iothub.MaxMessage - 3, false},
		"with a system's":      {"%24.mid=cd", iothub.MaxMessage - 2, true},
		"beyond all reason":    {"", maxPacket, false},
		"a packet out of size": {"", 100 << 20, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.raw(t, "d1")
			p := publishPacket("devices/d1/messages/events/"+test.bag, strings.Repeat("x", min(test.size, 1<<20)), 1, 1, 0)
			if test.size > 1<<20 { // only announced
				p = []byte{kPublish<<4 | 2, 0x80, 0x80, 0x80, 0x32}
			}
			go func() { _, _ = c.conn.Write(p) }() // the hub may close before it is read
			if test.ok {
				c.expect(kPuback)
			} else {
				c.expectClosed()
			}
		})
	}
	if len(hub.messages) != 3 {
		t.Errorf("%d messages; want 3", len(hub.messages))
	}
}

func TestWrongPublishesCloseTheConnection(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	for name, p := range map[string][]byte{
		"QoS 2":                    publishPacket("devices/d1/messages/events/", "x", 2, 1, 0),
		"QoS 3":                    publishPacket("devices/d1/messages/events/", "x", 3, 1, 0),
		"packet id 0":              publishPacket("devices/d1/messages/events/", "x", 1, 0, 0),
		"DUP at QoS 0":             publishPacket("devices/d1/messages/events/", "x", 0, 0, 8),
		"no topic":                 publishPacket("", "x", 0, 0, 0),
		"another device":           publishPacket("devices/d2/messages/events/", "x", 0, 0, 0),
		"a module":                 publishPacket("devices/d1/modules/m/messages/events/", "x", 0, 0, 0),
		"a wildcard":               publishPacket("devices/d1/messages/events/a=b+c", "x", 1, 1, 0),
		"another wildcard":         publishPacket("devices/d1/messages/events/#", "x", 1, 1, 0),
		"a bad escape":             publishPacket("devices/d1/messages/events/a=%zz", "x", 0, 0, 0),
		"an expiry":                publishPacket("devices/d1/messages/events/%24.exp=2030-01-01T00:00:00Z", "x", 0, 0, 0),
		"invalid UTF-8":            publishPacket("devices/d1/messages/events/a=\xff", "x", 0, 0, 0),
		"NUL":                      publishPacket("devices/d1/messages/events/a=\x00", "x", 0, 0, 0),
		"statistics":               publishPacket("$SYS/broker/uptime", "x", 0, 0, 0),
		"a free topic":             publishPacket("hello", "x", 1, 1, 0),
		"a method":                 publishPacket("$iothub/methods/POST/unlockDoor/?$rid=1", "", 0, 0, 0),
		"a desired change":         publishPacket("$iothub/twin/PATCH/properties/desired/?$version=9", "{}", 0, 0, 0),
		"a twin answer":            publishPacket("$iothub/twin/res/200/?$rid=1", "{}", 0, 0, 0),
		"a message to a device":    publishPacket("devices/d1/messages/devicebound/", "x", 0, 0, 0),
		"GET without $rid":         publishPacket("$iothub/twin/GET/", "", 0, 0, 0),
		"GET with a long $rid":     publishPacket("$iothub/twin/GET/?$rid="+strings.Repeat("r", 1025), "", 0, 0, 0),
		"report without $rid":      publishPacket("$iothub/twin/PATCH/properties/reported/", "{}", 0, 0, 0),
		"report of a bad $version": publishPacket("$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x", "{}", 0, 0, 0),
		"report of too many bytes": publishPacket("$iothub/twin/PATCH/properties/reported/?$rid=1", strings.Repeat(" ", iothub.MaxMessage+1), 0, 0, 0),
		"answer without a status":  publishPacket("$iothub/methods/res/ok/?$rid=1", "", 0, 0, 0),
		"answer without a $rid":    publishPacket("$iothub/methods/res/200/", "", 0, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := r.raw(t, "d1")
			go func() { _, _ = c.conn.Write(p) }()
			c.expectClosed()
		})
	}
	if len(hub.messages) != 0 {
		t.Errorf("%d messages were stored", len(hub.messages))
	}
}
