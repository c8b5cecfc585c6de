package late

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"latchd/iothub"
)

// packet is one MQTT packet on its way through the proxy.
type packet struct {
	fromHub bool
	kind    byte // packets.Publish, …
	topic   iothub.Topic
	payload []byte // of a PUBLISH
	raw     []byte
}

// readPacket reads one packet whole.
func readPacket(r *bufio.Reader, fromHub bool) (*packet, error) {
	first, err := r.ReadByte()
	if err != nil {
		return nil, err
	}
	raw := []byte{first}
	length := 0
	for shift := 0; ; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		raw = append(raw, b)
		length |= int(b&0x7f) << shift
		if b&0x80 == 0 {
			break
		}
	}
	head := len(raw)
	raw = append(raw, make([]byte, length)...)
	if _, err := io.ReadFull(r, raw[head:]); err != nil {
		return nil, err
	}
	p := &packet{fromHub: fromHub, kind: first >> 4, raw: raw}
	if p.kind != packets.Publish {
		return p, nil
	}
	body := raw[head:]
	end := 2 + int(binary.BigEndian.Uint16(body))
	if p.topic, err = iothub.ParseTopic(string(body[2:end])); err != nil {
		return nil, fmt.Errorf("the proxy read a PUBLISH: %w", err)
	}
	if qos := first >> 1 & 3; qos > 0 {
		end += 2
	}
	p.payload = body[end:]
	return p, nil
}

// The moments of the conversation: which packet is stopped.

func isMethod(p *packet) bool { return p.fromHub && p.topic.Kind == iothub.TopicMethodRequest }
func isAnswer(p *packet) bool { return !p.fromHub && p.topic.Kind == iothub.TopicMethodResponse }
func isPuback(p *packet) bool { return p.fromHub && p.kind == packets.Puback }
func isChange(p *packet) bool { return p.fromHub && p.topic.Kind == iothub.TopicDesired }
func isReport(p *packet) bool { return !p.fromHub && p.topic.Kind == iothub.TopicReported }
func isGet(p *packet) bool    { return !p.fromHub && p.topic.Kind == iothub.TopicTwinGet }
func isTwin(p *packet) bool   { return p.fromHub && p.topic.Kind == iothub.TopicTwinResponse }

// isKind is for packets that are told by their kind alone.
func isKind(kind byte) func(*packet) bool {
	return func(p *packet) bool { return p.kind == kind }
}
