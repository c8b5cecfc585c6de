package interop

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"latchd/iothub"
)

// MQTT packet types, MQTT 3.1.1 section 2.2.1.
const (
	mqttConnect, mqttConnack, mqttPublish, mqttPuback = 1, 2, 3, 4
	mqttSubscribe, mqttSuback                         = 8, 9
)

// device is the device's side of a recording: MQTT written by hand, so that it
// sends the recorded bytes and shares no code with the hub. It answers methods
// by itself.
type device struct {
	conn    net.Conn
	answers byte // the QoS of its answers
	heard   chan packet
	mu      sync.Mutex // held by who writes
	id      uint16     // of the last packet with one
}

type packet struct {
	kind, flags byte
	body        []byte
}

// connect opens the device's connection: CONNECT FLAGS KEEPALIVE CLIENT USERNAME.
func (p *player) connect(t *testing.T, r row) {
	t.Helper()
	var flags byte
	var keepAlive uint16
	var client, user string
	if _, err := fmt.Sscanf(r.target, "%b %d %s %s", &flags, &keepAlive, &client, &user); err != nil {
		t.Fatal(err)
	}
	versions := map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}
	conn, err := tls.Dial("tcp", p.mqtt, &tls.Config{RootCAs: p.roots, ServerName: "localhost", MaxVersion: versions[p.rec.tls]})
	if err != nil {
		t.Fatal(err)
	}
	key, err := iothub.ParseKey(p.fill(t, "{deviceKey}"))
	if err != nil {
		t.Fatal(err)
	}
	password := signed([]string{"sr", "sig", "se"}, key, "localhost%2Fdevices%2F"+client, strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10), "")
	d := &device{conn: conn, answers: p.rec.answers, heard: make(chan packet, 100)}
	body := append(mqttText("MQTT"), 4, flags)
	body = binary.BigEndian.AppendUint16(body, keepAlive)
	for _, s := range []string{client, user, password} {
		body = append(body, mqttText(s)...)
	}
	go func() { // until the hub hangs up, at its end
		defer close(d.heard)
		d.read()
	}()
	p.device = d
	d.write(mqttConnect, 0, body)
	if got := d.next(t, mqttConnack); fmt.Sprintf("CONNACK %d", got.body[1]) != r.want[0] {
		t.Fatalf("CONNACK %d, want %s", got.body[1], r.want[0])
	}
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

// write sends a packet. A connection that is gone is noticed by who reads.
func (d *device) write(kind, flags byte, body []byte) {
	out := binary.AppendUvarint([]byte{kind<<4 | flags}, uint64(len(body))) // MQTT's remaining length is a varint
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = d.conn.Write(append(out, body...))
}

func (d *device) nextID() uint16 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.id++
	return d.id
}

// read hears what the hub sends until it hangs up.
func (d *device) read() {
	in := bufio.NewReader(d.conn)
	for {
		first, err := in.ReadByte()
		if err != nil {
			return
		}
		length, err := binary.ReadUvarint(in)
		if err != nil {
			return
		}
		pk := packet{first >> 4, first & 15, make([]byte, length)}
		if _, err := io.ReadFull(in, pk.body); err != nil {
			return
		}
		if pk.kind != mqttPublish || !d.method(pk) {
			d.heard <- pk
		}
	}
}

// method answers a direct method; it tells whether the packet is one.
func (d *device) method(pk packet) bool {
	topic, body := d.published(pk)
	rid, ok := strings.CutPrefix(topic, "$iothub/methods/POST/lockDoor/?$rid=")
	if ok {
		d.publish(d.answers, "$iothub/methods/res/200/?$rid="+rid, `{"Response": "lockDoor called", "echo": `+body+`}`)
	}
	return ok
}

// published takes a PUBLISH apart, and acknowledges it if it asks for that.
func (d *device) published(pk packet) (topic, body string) {
	n := 2 + int(binary.BigEndian.Uint16(pk.body))
	topic, rest := string(pk.body[2:n]), pk.body[n:]
	if pk.flags>>1&3 > 0 {
		d.write(mqttPuback, 0, rest[:2])
		rest = rest[2:]
	}
	return topic, string(rest)
}

func (d *device) publish(qos byte, topic, body string) {
	b := mqttText(topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, d.nextID())
	}
	d.write(mqttPublish, qos<<1, append(b, body...))
}

// next gives the next packet of a type; others before it are dropped: a
// PUBACK may come before or after the answer.
func (d *device) next(t *testing.T, kind byte) packet {
	t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case pk, ok := <-d.heard:
			if !ok {
				t.Fatal("the hub has closed the device's connection")
			}
			if pk.kind == kind {
				return pk
			}
		case <-timeout:
			t.Fatalf("a packet of type %d never came", kind)
		}
	}
}

// deviceRow plays what the device does after CONNECT: VERB QOS TOPIC.
func (p *player) deviceRow(t *testing.T, r row) {
	t.Helper()
	d := p.device
	if d == nil {
		t.Fatal("the device has not connected")
	}
	word, topic, _ := strings.Cut(r.target, " ")
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	qos := byte(n)
	switch r.verb {
	case "SUBSCRIBE":
		body := append(binary.BigEndian.AppendUint16(nil, d.nextID()), mqttText(topic)...)
		d.write(mqttSubscribe, 2, append(body, qos))
		if got := d.next(t, mqttSuback); fmt.Sprintf("SUBACK %d", got.body[2]) != r.want[0] {
			t.Errorf("SUBACK %d, want %s", got.body[2], r.want[0])
		}
	case "PUBLISH":
		d.publish(qos, topic, r.body)
		if r.want[0] == "PUBACK" {
			d.next(t, mqttPuback)
			return
		}
		p.checkAnswer(t, r, d.twinAnswer(t, topic))
	case "HEARS":
		pk := d.next(t, mqttPublish)
		got, body := d.published(pk)
		if got != topic || pk.flags>>1&3 != qos {
			t.Errorf("heard %s at QoS %d", got, pk.flags>>1&3)
		}
		if err := (answer{body: []byte(`{"it":` + body + `}`)}).equal("it", r.body); err != nil {
			t.Error(err)
		}
	}
}

// twinAnswer reads the answer to a request on the twin:
// $iothub/twin/res/STATUS/?$rid=ID&$version=N.
func (d *device) twinAnswer(t *testing.T, asked string) answer {
	t.Helper()
	topic, body := d.published(d.next(t, mqttPublish))
	rest, ok := strings.CutPrefix(topic, "$iothub/twin/res/")
	status, query, _ := strings.Cut(rest, "/?$rid=")
	rid, version, _ := strings.Cut(query, "&$version=")
	_, want, _ := strings.Cut(asked, "$rid=")
	if !ok || rid != want {
		t.Fatalf("the answer came on %s; the request had the id %s", topic, want)
	}
	return answer{status: status, body: []byte(body), version: version}
}
