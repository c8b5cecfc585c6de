package hub_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchd/iothub"
)

// Packets of MQTT 3.1.1, written by hand, so that they can be wrong.

func mqttPacket(first byte, body []byte) []byte {
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func mqttConnect(flags byte, fields ...string) []byte {
	body := append(mqttText("MQTT"), 4, flags, 0, 60)
	for _, f := range fields {
		body = append(body, mqttText(f)...)
	}
	return mqttPacket(0x10, body)
}

func mqttPublish(qos byte, id uint16, topic, body string) []byte {
	b := mqttText(topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return mqttPacket(0x30|qos<<1, append(b, body...))
}

func mqttSubscribe(id uint16, qos byte, filters ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		b = append(append(b, mqttText(f)...), qos)
	}
	return mqttPacket(0x82, b)
}

// eachType is a good packet of every type there is, also of those that only a
// server sends.
func eachType(connect []byte) map[string][]byte {
	id := []byte{0, 7}
	return map[string][]byte{
		"reserved 0":  {0x00, 0},
		"CONNECT":     connect,
		"CONNACK":     {0x20, 2, 0, 0},
		"PUBLISH":     mqttPublish(1, 7, "devices/attacker/messages/events/a=b", `{"x":1}`),
		"PUBLISH get": mqttPublish(0, 0, "$iothub/twin/GET/?$rid=1", ""),
		"PUBLISH set": mqttPublish(1, 8, "$iothub/twin/PATCH/properties/reported/?$rid=2", `{"x":1}`),
		"PUBLISH res": mqttPublish(1, 9, "$iothub/methods/res/200/?$rid=3", `{}`),
		"PUBACK":      mqttPacket(0x40, id),
		"PUBREC":      mqttPacket(0x50, id),
		"PUBREL":      mqttPacket(0x62, id),
		"PUBCOMP":     mqttPacket(0x70, id),
		"SUBSCRIBE":   mqttSubscribe(7, 1, iothub.FilterMethods, iothub.FilterDesired),
		"SUBACK":      mqttPacket(0x90, append(id, 0)),
		"UNSUBSCRIBE": mqttPacket(0xa2, append(id, mqttText(iothub.FilterMethods)...)),
		"UNSUBACK":    mqttPacket(0xb0, id),
		"PINGREQ":     {0xc0, 0},
		"PINGRESP":    {0xd0, 0},
		"DISCONNECT":  {0xe0, 0},
		"reserved 15": {0xf0, 0},
	}
}

// mutations gives what can be wrong with a packet as such: its flags, its
// length, where it ends, how it goes on.
func mutations(p []byte) [][]byte {
	_, n := binary.Uvarint(p[1:])
	rest := p[1+n:]
	var out [][]byte
	for _, flags := range []byte{0, 1, 2, 3, 6, 8, 15} { // retain, QoS 1 to 3, dup, all
		out = append(out, append([]byte{p[0]&0xf0 | flags}, p[1:]...))
	}
	for _, length := range []uint64{0, 1, uint64(len(rest)) + 1, 1 << 20, 1<<28 - 1} { // announced, not sent
		out = append(out, append(binary.AppendUvarint([]byte{p[0]}, length), rest...))
	}
	out = append(out, append([]byte{p[0], 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, rest...))
	step := max(1, len(rest)/4)
	for cut := 0; cut < len(rest); cut += step {
		out = append(out, p[:1+n+cut])                  // the connection breaks off
		out = append(out, mqttPacket(p[0], rest[:cut])) // a whole packet that ends too early
		wrong := append([]byte{}, p...)
		wrong[1+n+cut] ^= 0xff
		out = append(out, wrong)
	}
	out = append(out, mqttPacket(p[0], append(append([]byte{}, rest...), "\xff\xfe\x00 and more"...)))
	return append(out, append(append([]byte{}, p...), p...)) // twice, with its packet id
}

// wrongTopics are none of the attacker's business, or no topics at all.
var wrongTopics = []string{
	"", "a", "#", "+", "$SYS/#", "$SYS/broker/version", "/", strings.Repeat("a/", 30000), "devices/#", "devices/+/messages/events/",
	"devices/witness/messages/events/", "devices/witness/messages/devicebound/", "devices/attacker/messages/devicebound/x",
	"devices/attacker/messages/events/%24.exp=1", "devices/attacker/messages/events/%zz=%", "devices/attacker/messages/events/\xff\xfe",
	"devices/attacker/messages/events/a\x00b", "devices/attacker/../witness/messages/events/", "devices/attacker/modules/m/messages/events/",
	"$iothub/methods/POST/m/?$rid=1", "$iothub/methods/POST/unlockDoor/?$rid=1", "$iothub/methods/res/200/", "$iothub/methods/res/abc/?$rid=1",
	"$iothub/methods/res/-1/?$rid=1", "$iothub/methods/res/99999999999999999999/?$rid=1", "$iothub/methods/res/200/?$rid=" + strings.Repeat("1", 2000),
	"$iothub/twin/PATCH/properties/desired/?$version=9", "$iothub/twin/PATCH/properties/reported/", "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=-1",
	"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=99999999999999999999", "$iothub/twin/PATCH/properties/reported/?$rid=\xff",
	"$iothub/twin/res/200/?$rid=1", "$iothub/twin/GET/", "$iothub/twin/GET/?$rid='; DROP TABLE twins; --", "$iothub/#", "$share/g/#", "$share//", "\xf0\x28\x8c\x28",
}

// wrongReports are no reported properties.
var wrongReports = []string{
	"", "null", "[]", "1", `"x"`, "{", `{"a":1e400}`, `{"\u0000":1}`, "{\"\xff\":1}", `{"$version":1}`, `{"a.b":1}`,
	strings.Repeat(`{"a":`, 5000), `{"a":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`,
	`{"a":"` + strings.Repeat("x", 64<<10) + `"}`, `{"'; DROP TABLE twins; --":"'; DELETE FROM devices; --"}`, `{"a":1,"a":2}`,
}

// TestWrongPackets sends every kind of malformed packet, before CONNECT, after
// one that was refused, and after one that was accepted.
func TestWrongPackets(t *testing.T) {
	t.Parallel()
	a := newAbused(t)
	key := a.addDevice("attacker")
	token := deviceToken("attacker", key)
	user := "localhost/attacker/?api-version=2021-04-12"
	good := mqttConnect(0xc2, "attacker", user, token)
	refused := mqttConnect(0xc2, "attacker", user, token+"x")
	// What would have come of an attack that worked.
	before := a.call("GET", "/__events?after=-1", "").at("last")
	a.endure(func() {
		var attacks [][]byte
		add := func(beginning []byte, all ...[]byte) {
			for _, p := range all {
				attacks = append(attacks, append(append([]byte{}, beginning...), p...))
			}
		}
		types := eachType(good)
		for _, name := range slices.Sorted(maps.Keys(types)) { // the same share each time
			all := mutations(types[name])
			add(good, all...)
			add(refused, all[0])
			add(nil, all[0], all[len(all)-1]) // broker tests and fuzzes what comes before CONNECT
		}
		add(nil, mutations(good)...)
		for _, topic := range wrongTopics {
			retained := mqttPublish(1, 1, topic, "{}")
			retained[0] |= 1
			add(good, mqttPublish(0, 0, topic, "{}"), retained, mqttSubscribe(1, 1, iothub.FilterMethods, topic))
			add(nil, mqttConnect(0xee, "attacker", topic, "a will", user, token)) // retained, at QoS 1
		}
		for _, topic := range []string{"devices/attacker/messages/events/", "$iothub/twin/GET/?$rid=1", "#"} {
			add(good, mqttPublish(2, 1, topic, "{}"), mqttPublish(3, 1, topic, "{}"), mqttSubscribe(1, 2, topic), mqttSubscribe(1, 3, topic))
			add(nil, mqttConnect(0xf6, "attacker", topic, "a will", user, token), mqttConnect(0xfe, "attacker", topic, "a will", user, token))
		}
		for _, report := range wrongReports {
			add(good, mqttPublish(1, 1, "$iothub/twin/PATCH/properties/reported/?$rid=1", report))
		}
		for _, id := range append([]string{"witness", "witness/m", "attacker/m", "\xff", "a\x00b"}, wrongStrings...) {
			add(nil, mqttConnect(0xc2, id, "localhost/"+id+"/?api-version=2021-04-12", token), mqttConnect(0xc2, id, user, token))
		}
		attacks = share(&sharer{}, 3, attacks)
		add(good, floods()...)
		a.attack(attacks)
		t.Logf("%d connections", len(attacks))
	})
	if d := a.call("GET", "/twins/witness", "").want(200); d.at("properties", "reported", "x") != "" || d.at("properties", "reported", "$version") != "1" {
		t.Errorf("the attacker reported for another device: %s", d.body)
	}
	var page struct {
		Events []struct{ Source, DeviceID string }
	}
	decode(t, a.call("GET", "/__events?after="+before, "").want(200).body, &page)
	for _, e := range page.Events {
		if e.Source == "Telemetry" && e.DeviceID != "attacker" {
			t.Errorf("the attacker sent telemetry of %q", e.DeviceID)
		}
	}
	if got := a.call("GET", "/twins/attacker", "").want(200).at("properties", "desired", "$version"); got != "1" {
		t.Errorf("the attacker changed desired properties, they have version %s", got)
	}
}

// floods are good packets, too many of them.
func floods() [][]byte {
	var pings, duplicates, subscriptions []byte
	for i := range 2000 {
		pings = append(pings, 0xc0, 0)
		duplicates = append(duplicates, mqttPublish(1, 7, "$iothub/methods/res/200/?$rid=1", "{}")...)
		subscriptions = append(subscriptions, mqttSubscribe(uint16(i+1), 1, iothub.FilterMethods, iothub.FilterTwinRes)...)
	}
	again := make([]string, 4000) // the same filter, in one packet
	others := make([]string, 4000)
	for i := range again {
		again[i] = iothub.FilterMethods
		others[i] = fmt.Sprintf("devices/d%d/#", i)
	}
	return [][]byte{
		pings, duplicates, subscriptions, mqttSubscribe(1, 1, again...), mqttSubscribe(1, 1, others...),
		mqttPublish(0, 0, "devices/attacker/messages/events/", strings.Repeat("x", 300<<10)),
	}
}

// attack makes a connection for each, sends it, and waits for the hub to hang
// up or to fall silent.
func (a *abused) attack(all [][]byte) {
	work := make(chan []byte)
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for text := range work {
				a.attackOnce(text)
			}
		})
	}
	for _, text := range all {
		work <- text
	}
	close(work)
	running.Wait()
}

func (a *abused) attackOnce(text []byte) {
	conn, err := a.tryTLS(a.mqtt)
	if err != nil {
		a.t.Errorf("the hub takes no more connections: %v\n%s", err, a.log)
		return
	}
	defer conn.Close()
	// Into a full connection: the hub has stopped reading, and that is its right.
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = conn.Write(text)
	_ = conn.CloseWrite()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, bufio.NewReader(conn)); errors.Is(err, os.ErrDeadlineExceeded) {
		a.t.Errorf("the hub neither answers nor hangs up after % x", text[:min(len(text), 200)])
	}
}

// TestCrowdOfStrangers is a thousand connections that say nothing, a thousand
// that stop in the middle of TLS, as many again on the operators' side, and
// devices that never read what they are sent.
func TestCrowdOfStrangers(t *testing.T) {
	t.Parallel()
	a := newAbused(t)
	slow := []string{"slow"}
	tokens := map[string]string{}
	for _, id := range slow {
		tokens[id] = deviceToken(id, a.addDevice(id))
	}
	a.endure(func() {
		var open []net.Conn
		defer func() {
			for _, conn := range open {
				_ = conn.Close()
			}
		}()
		dial := func(address string, say []byte) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = conn.Write(say)
			open = append(open, conn)
		}
		// The beginning of a ClientHello of 512 bytes.
		hello := append([]byte{0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3}, make([]byte, 100)...)
		for range 500 {
			for _, address := range []string{a.mqtt, a.https} {
				dial(address, nil)
				dial(address, hello)
			}
		}
		for range 40 {
			open = append(open, a.dialTLS(a.mqtt)) // TLS, and no CONNECT
			half := a.dialTLS(a.mqtt)
			_, _ = half.Write(mqttConnect(0xc2, "witness", "localhost/witness/", "x")[:20])
			open = append(open, half)
			open = append(open, a.dialTLS(a.https))
		}
		for _, id := range slow {
			open = append(open, a.slowReader(id, tokens[id]))
		}
		a.overload(slow)
	})
}

// slowReader is a device that asks for methods and never reads one.
func (a *abused) slowReader(id, token string) net.Conn {
	a.t.Helper()
	conn := a.dialTLS(a.mqtt)
	_ = conn.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
	_, err := conn.Write(append(mqttConnect(0xc2, id, "localhost/"+id+"/", token), mqttSubscribe(1, 1, iothub.FilterMethods, iothub.FilterDesired)...))
	if err != nil {
		a.t.Fatal(err)
	}
	eventually(a.t, id+" is connected", func() bool {
		return a.call("GET", "/twins/"+id, "").at("connectionState") == `"Connected"`
	})
	return conn
}

// overload calls methods with the largest payload on devices that do not read.
// Each call ends: with an error, because the device did not answer, or was
// given up.
func (a *abused) overload(ids []string) {
	body := `{"methodName":"m","payload":"` + strings.Repeat("x", iothub.MaxMethodPayload-2) + `","responseTimeoutInSeconds":5}`
	var running sync.WaitGroup
	for _, id := range ids {
		for range 36 { // more than it may owe answers to
			running.Go(func() {
				switch status := a.post("/twins/"+id+"/methods", body); status {
				case 403, 404, 503, 504: // it owes too many answers, is gone, was given up, is silent
				default:
					a.t.Errorf("a call of a device that does not read: status %d", status)
				}
			})
		}
	}
	running.Wait()
}
