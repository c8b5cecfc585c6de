package broker

import (
	"errors"
	"fmt"
	"log/slog"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

const listenerName = "devices"

// newMochi makes the mochi server that connections are handed to. Its Serve is
// never called: that would start listeners of its own, publish statistics each
// second, and expire sessions, none of which there are.
func newMochi(b *Broker) (*mqtt.Server, error) {
	limits := mqtt.NewDefaultServerCapabilities()
	limits.MinimumProtocolVersion = mqttVersion
	limits.MaximumPacketSize = maxPacket
	limits.MaximumClientWritesPending = 1 // its queue is not used; the default takes 64 KB per client
	server := mqtt.New(&mqtt.Options{
		Capabilities: limits,
		// Mochi logs whole packets, passwords and payloads included.
		Logger: slog.New(slog.DiscardHandler),
	})
	return server, server.AddHook(&hooks{broker: b}, nil)
}

// hooks is where mochi asks. It keeps out of mochi's hands what a general
// broker would do wrong here:
//
// Sessions. Each client is made to look like one with CleanSession=1, alone
// under its id: mochi would keep a disconnected client with all its buffers
// for ever, send messages it has not acknowledged again after a reconnect (a
// late unlock), and two connections that race for one id could both stay.
//
// Routing. All devices subscribe to the same filters, so that one publish
// through mochi's topic tree would reach all of them. No packet goes there.
//
// Wills and passwords, which it checks more strictly than MQTT 3.1.1 does, and
// packet ids, of which it has one set for both directions, so that a publish
// from the client can cancel one to it. (Packets to the client are made in
// session.publish and never touch mochi.)
type hooks struct {
	mqtt.HookBase
	broker *Broker
}

func (h *hooks) ID() string { return "iothub" }

func (h *hooks) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck,
		mqtt.OnPacketRead, mqtt.OnPacketEncode, mqtt.OnPublish:
		return true
	}
	return false
}

func linkOf(cl *mqtt.Client) *link { return cl.Net.Conn.(*link) }

// OnPacketRead sees each packet first. Only ErrRejectPacket closes the
// connection; mochi goes on after any other error. (The answers of OnPublish
// and OnACLCheck cannot close it at all.) So whatever may be refused is
// decided here.
func (h *hooks) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	k := linkOf(cl)
	s := k.session.Load()
	if s == nil { // the first packet; expectConnect has seen to it that it is CONNECT
		k.connect = takeConnect(&pk)
		return pk, nil
	}
	if err := s.receive(&pk); err != nil {
		s.close(err.Error())
		return pk, fmt.Errorf("%w: %w", packets.ErrRejectPacket, err)
	}
	return pk, nil
}

// takeConnect takes out of a CONNECT what mochi must not see: the will, which
// it would publish by itself and refuses when empty; the password, which it
// refuses when empty (the embedded C SDK sends an empty one with a
// certificate); and the wish for a session that lasts.
func takeConnect(pk *packets.Packet) connect {
	p := &pk.Connect
	c := connect{
		clientID:    p.ClientIdentifier,
		userName:    string(p.Username),
		password:    string(p.Password),
		hasPassword: p.PasswordFlag,
		clean:       p.Clean,
		keepAlive:   p.Keepalive,
		hasWill:     p.WillFlag,
		willTopic:   p.WillTopic,
		willBody:    p.WillPayload,
		willQoS:     p.WillQos,
		willRetain:  p.WillRetain,
	}
	if p.WillFlag && p.WillQos <= 2 {
		p.WillFlag, p.WillTopic, p.WillPayload, p.WillQos, p.WillRetain = false, "", nil, 0, false
	}
	p.PasswordFlag, p.Password = false, nil
	p.Clean = true
	return c
}

// OnConnect is called with a well-formed CONNECT. On error mochi closes the
// connection without a CONNACK, so it is sent from here.
func (h *hooks) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	if pk.ProtocolVersion != mqttVersion {
		_ = h.broker.mqtt.SendConnack(cl, packets.ErrUnsupportedProtocolVersion, false, nil)
		return errors.New("the client does not speak MQTT 3.1.1")
	}
	k := linkOf(cl)
	err := h.broker.admit(k, k.connect)
	k.connect = connect{} // the password is needed no more
	if err == nil {
		return nil
	}
	code := packets.Err3NotAuthorized
	if errors.Is(err, errUnavailable) {
		code = packets.Err3ServerUnavailable
	}
	_ = h.broker.mqtt.SendConnack(cl, code, false, nil)
	h.broker.refused.note(k.RemoteAddr().String(), err)
	return err
}

// OnConnectAuthenticate has nothing left to ask.
func (h *hooks) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

// OnACLCheck lets pass what OnPacketRead has.
func (h *hooks) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// OnPublish is called after OnPacketRead has done all there is to do. "Success,
// ignore" makes mochi acknowledge the packet and send it to nobody.
func (h *hooks) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	return pk, packets.CodeSuccessIgnore
}

// OnPacketEncode sees what mochi writes. A packet without a type is not
// written: MQTT 3.1.1 has no DISCONNECT from the server, and no CONNACK codes
// above 5, with which mochi answers a malformed CONNECT.
func (h *hooks) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	switch pk.FixedHeader.Type {
	case packets.Connack:
		if pk.ReasonCode > packets.Err3NotAuthorized.Code && pk.ReasonCode != packets.ErrUnsupportedProtocolVersion.Code {
			return packets.Packet{}
		}
		if s := linkOf(cl).session.Load(); s != nil && pk.ReasonCode == 0 {
			pk.SessionPresent = s.resumed
		}
	case packets.Disconnect:
		return packets.Packet{}
	}
	return pk
}
