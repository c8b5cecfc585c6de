package broker

import (
	"bytes"
	"testing"
	"time"

	"latchd/iothub"
)

// malformed are bytes that no client should send after CONNECT. All but those
// marked end the connection.
var malformed = map[string]struct {
	bytes []byte
	stays bool
}{
	"nothing":                           {nil, true},
	"half a ping":                       {[]byte{kPing << 4}, true},
	"an answer to nothing":              {packet(kPuback, 0, []byte{0, 9}), true},
	"a ping with a body":                {packet(kPing, 0, []byte("x")), true},
	"packet type 0":                     {packet(0, 0, nil), false},
	"packet type 15":                    {packet(15, 0, nil), false},
	"a second CONNECT":                  {connectPacket{id: "d1"}.encode(), false},
	"a second CONNECT of another":       {connectPacket{id: "d2"}.encode(), false},
	"CONNACK":                           {packet(kConnack, 0, []byte{0, 0}), false},
	"SUBACK":                            {packet(kSuback, 0, []byte{0, 1, 0}), false},
	"UNSUBACK":                          {packet(kUnsuback, 0, []byte{0, 1}), false},
	"PINGRESP":                          {packet(kPingresp, 0, nil), false},
	"PUBREC":                            {packet(kPubrec, 0, []byte{0, 1}), false},
	"PUBREL":                            {packet(kPubrel, 2, []byte{0, 1}), false},
	"PUBCOMP":                           {packet(7, 0, []byte{0, 1}), false},
	"a ping with flags":                 {packet(kPing, 1, nil), false},
	"SUBSCRIBE with wrong flags":        {packet(kSubscribe, 0, subscribePacket(1, 0, iothub.FilterMethods)[2:]), false},
	"SUBSCRIBE to nothing":              {subscribePacket(1, 0), false},
	"SUBSCRIBE with packet id 0":        {subscribePacket(0, 0, iothub.FilterMethods), false},
	"SUBSCRIBE at QoS 3":                {subscribePacket(1, 3, iothub.FilterMethods), false},
	"SUBSCRIBE without a QoS":           {packet(kSubscribe, 2, append([]byte{0, 1}, text(iothub.FilterMethods)...)), false},
	"SUBSCRIBE without an id":           {packet(kSubscribe, 2, []byte{1}), false},
	"UNSUBSCRIBE from nothing":          {unsubscribePacket(1), false},
	"UNSUBSCRIBE with packet id 0":      {unsubscribePacket(0, iothub.FilterMethods), false},
	"PUBLISH without a topic":           {packet(kPublish, 0, nil), false},
	"PUBLISH with half a topic length":  {packet(kPublish, 0, []byte{0}), false},
	"PUBLISH with too long a topic":     {packet(kPublish, 0, []byte{0xff, 0xff, 'a'}), false},
	"PUBLISH without a packet id":       {packet(kPublish, 2, text("devices/d1/messages/events/")), false},
	"PUBACK without a packet id":        {packet(kPuback, 0, nil), false},
	"a length that does not end":        {[]byte{kPublish << 4, 0xff, 0xff, 0xff, 0xff, 0xff}, false},
	"a length longer than MQTT has":     {[]byte{kPublish << 4, 0xff, 0xff, 0xff, 0xff, 0x7f}, false},
	"a length of 256 MB":                {[]byte{kPublish << 4, 0xff, 0xff, 0xff, 0x7f}, false},
	"a length with more zeros than due": {append([]byte{kPing << 4, 0x80}, 0), true},
}

func TestMalformedPackets(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	other := r.raw(t, "d2")
	for name, test := range malformed {
		t.Run(name, func(t *testing.T) {
			c := r.raw(t, "d1")
			c.send(test.bytes)
			if !test.stays {
				c.expectClosed()
			}
			other.ping()
		})
	}
	if len(hub.messages) != 0 {
		t.Errorf("%d messages were stored", len(hub.messages))
	}
}

// Before CONNECT anybody may send anything. What the hub closes, it closes for
// what came, not because nothing more did.
func TestMalformedBeginnings(t *testing.T) {
	r := start(t, &fakeHub{}, func(c *Config) { c.ConnectTimeout = time.Hour })
	other := r.raw(t, "d2")
	good := connectPacket{id: "d1"}.encode()
	for name, b := range map[string][]byte{
		"HTTP":               []byte("GET / HTTP/1.1\r\n\r\n"),
		"ping":               packet(kPing, 0, nil),
		"publish":            publishPacket("devices/d1/messages/events/", "x", 0, 0, 0),
		"zeros":              make([]byte, 100),
		"CONNECT with flags": append([]byte{kConnect<<4 | 1}, good[1:]...),
		"CONNECT of 256 MB":  {kConnect << 4, 0xff, 0xff, 0xff, 0x7f},
		"CONNECT of 161 KB":  packet(kConnect, 0, make([]byte, 161<<10))[:10],
		"an empty CONNECT":   packet(kConnect, 0, nil),
		"the reserved flag":  bytes.Replace(good, []byte{4, 0xc0}, []byte{4, 0xc1}, 1),
		"invalid UTF-8":      connectPacket{id: "d\xff"}.encode(),
		"MQTT 5, cut off":    packet(kConnect, 0, append(text("MQTT"), 5, 0xc0, 0, 0, 200)),
	} {
		t.Run(name, func(t *testing.T) {
			c := r.tls(t)
			c.send(b)
			c.expectClosed()
			other.ping()
		})
	}
	t.Run("not TLS", func(t *testing.T) {
		conn := r.dial(t)
		defer conn.Close()
		_, _ = conn.Write(good)
		if _, err := bytes.NewBuffer(nil).ReadFrom(conn); err != nil {
			t.Logf("closed with %v", err)
		}
		other.ping()
	})
	t.Run("MQTT 5", func(t *testing.T) {
		c := r.tls(t)
		// With no properties at all.
		body := append(text("MQTT"), 5, 0xc0, 0, 0, 0)
		for _, s := range []string{"d1", "localhost/d1/", "secret"} {
			body = append(body, text(s)...)
		}
		c.send(packet(kConnect, 0, body))
		if got := c.expect(kConnack); got.body[1] != 0x84 { // "unsupported protocol version" in MQTT 5
			t.Errorf("CONNACK %x; want 84", got.body[1])
		}
		c.expectClosed()
	})
}

// FuzzPackets sends any bytes after CONNECT. Whatever becomes of that client,
// another must not notice, and nobody else's telemetry may appear.
func FuzzPackets(f *testing.F) {
	for _, test := range malformed {
		f.Add(test.bytes)
	}
	f.Add(publishPacket("devices/d1/messages/events/a=b", "x", 1, 1, 1))
	f.Add(publishPacket("$iothub/twin/GET/?$rid=1", "", 1, 1, 0))
	f.Add(publishPacket("$iothub/twin/PATCH/properties/reported/?$rid=1&$version=1", `{"a":1}`, 0, 0, 0))
	f.Add(publishPacket("$iothub/methods/res/200/?$rid=1", `{}`, 0, 0, 0))
	f.Add(append(subscribePacket(1, 2, allFilters...), unsubscribePacket(2, allFilters...)...))
	f.Add(packet(kDisconnect, 0, nil))
	hub := &fakeHub{}
	hub.telemetry = func(id string, _ iothub.Message) error {
		if id != "d1" {
			panic("telemetry of " + id)
		}
		return nil
	}
	r := start(f, hub)
	other := r.raw(f, "d2")
	other.subscribe(0, allFilters[:3]...)
	f.Fuzz(func(t *testing.T, b []byte) {
		c := r.raw(t, "d1")
		_, _ = c.conn.Write(b)
		_ = c.tcp.Close()
		other.t = t
		other.ping()
		hub.update(func() { hub.messages, hub.states = nil, nil })
	})
}

// FuzzBeginning sends any bytes before CONNECT.
func FuzzBeginning(f *testing.F) {
	f.Add(connectPacket{id: "d1"}.encode())
	f.Add(connectPacket{id: "d1", willTopic: "devices/d1/messages/events/", will: []byte("x"), willRetain: true}.encode())
	f.Add(connectPacket{id: "d1", protocol: "MQIsdp", level: 3}.encode())
	f.Add(packet(kConnect, 0, append(text("MQTT"), 5, 0xc0, 0, 0, 5, 17, 0, 0, 0, 10)))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	r := start(f, &fakeHub{})
	other := r.raw(f, "d2")
	f.Fuzz(func(t *testing.T, b []byte) {
		c := r.tls(t)
		_, _ = c.conn.Write(b)
		_ = c.tcp.Close()
		other.t = t
		other.ping()
	})
}

func FuzzParseUserName(f *testing.F) {
	f.Add("h/d1/?api-version=2021-04-12&model-id=x", "d1")
	f.Add("h/d1/api-version=2016-11-14", "d1")
	f.Add("h/d1/m1/?api-version=1", "d1")
	f.Fuzz(func(t *testing.T, name, id string) {
		c, err := parseUserName(name, id)
		if err == nil && (c.Host == "" || !bytes.HasPrefix([]byte(name), []byte(c.Host+"/"+id))) {
			t.Errorf("parseUserName(%q, %q) = %+v", name, id, c)
		}
	})
}
