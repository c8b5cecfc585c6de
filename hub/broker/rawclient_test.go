package broker

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// rawClient is an MQTT client written by hand, so that it can do what a
// well-behaved library would not, and shares no code with the broker.
type rawClient struct {
	t    testing.TB
	id   string
	tcp  net.Conn
	conn net.Conn
	in   *bufio.Reader
}

// rawPacket is a packet as it came.
type rawPacket struct {
	kind  byte // the upper half of the first byte
	flags byte
	body  []byte
}

const (
	kConnect, kConnack, kPublish, kPuback     = 1, 2, 3, 4
	kPubrec, kPubrel, kSubscribe, kSuback     = 5, 6, 8, 9
	kUnsubscribe, kUnsuback, kPing, kPingresp = 10, 11, 12, 13
	kDisconnect                               = 14
)

// tls opens a connection and stops before CONNECT.
func (r *rig) tls(t testing.TB, change ...func(*tls.Config)) *rawClient {
	t.Helper()
	config := clientTLS()
	for _, f := range change {
		f(config)
	}
	tcp := r.dial(t)
	conn := tls.Client(tcp, config)
	t.Cleanup(func() { _ = tcp.Close() })
	if err := conn.Handshake(); err != nil {
		t.Fatalf("TLS handshake: %v", err)
	}
	return &rawClient{t: t, tcp: tcp, conn: conn, in: bufio.NewReader(conn)}
}

// raw connects a device with CleanSession=1.
func (r *rig) raw(t testing.TB, id string) *rawClient {
	t.Helper()
	return r.rawWith(t, connectPacket{id: id, clean: true})
}

func (r *rig) rawWith(t testing.TB, p connectPacket) *rawClient {
	t.Helper()
	c := r.tls(t)
	c.id = p.id
	if present, code := c.connect(p); code != 0 {
		t.Fatalf("CONNECT of %s was answered with code %d, session present %v", p.id, code, present)
	}
	return c
}

// connectPacket makes a CONNECT. The zero values of what is not named are
// those of a good one.
type connectPacket struct {
	id         string
	user       string // "": made of id
	noUser     bool
	password   string // "": secret
	noPassword bool
	clean      bool
	keepAlive  uint16
	level      byte   // 0: 4
	protocol   string // "": MQTT
	will       []byte // no will topic: no will
	willTopic  string
	willQoS    byte
	willRetain bool
}

func (p connectPacket) encode() []byte {
	if p.user == "" {
		p.user = "localhost/" + p.id + "/?api-version=2021-04-12"
	}
	if p.password == "" {
		p.password = "secret"
	}
	if p.level == 0 {
		p.level = 4
	}
	if p.protocol == "" {
		p.protocol = "MQTT"
	}
	flags := byte(0)
	if p.clean {
		flags |= 2
	}
	if p.willTopic != "" {
		flags |= 4 | p.willQoS<<3
		if p.willRetain {
			flags |= 0x20
		}
	}
	if !p.noPassword {
		flags |= 0x40
	}
	if !p.noUser {
		flags |= 0x80
	}
	body := append(text(p.protocol), p.level, flags)
	body = binary.BigEndian.AppendUint16(body, p.keepAlive)
	body = append(body, text(p.id)...)
	if p.willTopic != "" {
		body = append(body, text(p.willTopic)...)
		body = append(body, text(string(p.will))...)
	}
	if !p.noUser {
		body = append(body, text(p.user)...)
	}
	if !p.noPassword {
		body = append(body, text(strings.TrimPrefix(p.password, "empty"))...)
	}
	return packet(kConnect, 0, body)
}

func text(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func packet(kind, flags byte, body []byte) []byte {
	out := []byte{kind<<4 | flags}
	for n := len(body); ; n >>= 7 {
		if n < 0x80 {
			out = append(out, byte(n))
			break
		}
		out = append(out, byte(n)|0x80)
	}
	return append(out, body...)
}

func publishPacket(topic, body string, qos byte, id uint16, flags byte) []byte {
	b := text(topic)
	if qos > 0 {
		b = binary.BigEndian.AppendUint16(b, id)
	}
	return packet(kPublish, qos<<1|flags, append(b, body...))
}

func subscribePacket(id uint16, qos byte, filters ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		b = append(append(b, text(f)...), qos)
	}
	return packet(kSubscribe, 2, b)
}

func unsubscribePacket(id uint16, filters ...string) []byte {
	b := binary.BigEndian.AppendUint16(nil, id)
	for _, f := range filters {
		b = append(b, text(f)...)
	}
	return packet(kUnsubscribe, 2, b)
}

func (c *rawClient) send(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatalf("%s: sending: %v", c.id, err)
	}
}

// connect sends a CONNECT and gives what the CONNACK says.
func (c *rawClient) connect(p connectPacket) (present bool, code byte) {
	c.t.Helper()
	c.id = p.id
	c.send(p.encode())
	got := c.expect(kConnack)
	return got.body[0] == 1, got.body[1]
}

// read gives the next packet, or the error that ended the connection.
func (c *rawClient) read() (rawPacket, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	first, err := c.in.ReadByte()
	if err != nil {
		return rawPacket{}, err
	}
	n, shift := 0, 0
	for {
		b, err := c.in.ReadByte()
		if err != nil {
			return rawPacket{}, err
		}
		n |= int(b&0x7f) << shift
		shift += 7
		if b < 0x80 {
			break
		}
	}
	p := rawPacket{kind: first >> 4, flags: first & 15, body: make([]byte, n)}
	_, err = io.ReadFull(c.in, p.body)
	return p, err
}

func (c *rawClient) expect(kind byte) rawPacket {
	c.t.Helper()
	p, err := c.read()
	if err != nil {
		c.t.Fatalf("%s: waiting for a packet of type %d: %v", c.id, kind, err)
	}
	if p.kind != kind {
		c.t.Fatalf("%s: got %v; want a packet of type %d", c.id, p, kind)
	}
	return p
}

// expectPublish gives the topic and the body of the next packet.
func (c *rawClient) expectPublish() (topic, body string) {
	c.t.Helper()
	topic, body, _ = c.expect(kPublish).publish()
	return topic, body
}

func (p rawPacket) publish() (topic, body string, qos byte) {
	n := int(binary.BigEndian.Uint16(p.body))
	topic, rest := string(p.body[2:2+n]), p.body[2+n:]
	qos = p.flags >> 1 & 3
	if qos > 0 {
		rest = rest[2:]
	}
	return topic, string(rest), qos
}

func (p rawPacket) String() string {
	if p.kind == kPublish {
		topic, body, qos := p.publish()
		return fmt.Sprintf("PUBLISH %s QoS %d %q", topic, qos, body)
	}
	return fmt.Sprintf("packet type %d flags %d %x", p.kind, p.flags, p.body)
}

// expectClosed wants nothing more to come but the end.
func (c *rawClient) expectClosed() {
	c.t.Helper()
	p, err := c.read()
	if err == nil {
		c.t.Fatalf("%s: got %v; want the connection closed", c.id, p)
	}
	if !isClosed(err) {
		c.t.Fatalf("%s: %v; want the connection closed", c.id, err)
	}
}

// ping makes sure that all before has been dealt with, and nothing came of it.
func (c *rawClient) ping() {
	c.t.Helper()
	c.send(packet(kPing, 0, nil))
	c.expect(kPingresp)
}

func (c *rawClient) subscribe(qos byte, filters ...string) {
	c.t.Helper()
	c.send(subscribePacket(1, qos, filters...))
	c.expect(kSuback)
}
