package broker

import (
	"errors"
	"fmt"
	"net/url"
	"runtime/debug"
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"latchd/iothub"
)

// mqttVersion is MQTT 3.1.1, the only one that IoT Hub speaks.
const mqttVersion = 4

const (
	// maxIdle is the longest a client may be silent, whatever keep-alive it
	// asked for, and without one (Learn, "MQTT support": 29.45 minutes).
	maxIdle = 1767 * time.Second

	// maxConnectPacket bounds the first packet, which anybody may send: a will
	// of 64 KB, a topic of its own, a token of 4 KB. maxPacket, which mochi
	// checks for every packet, is for devices that are known: it would let
	// strangers have the hub make room for twice as much.
	maxConnectPacket = 160 << 10

	// maxPacket bounds all others: the largest message, the longest topic.
	maxPacket = iothub.MaxMessage + 64<<10
)

// connect is what a CONNECT says.
type connect struct {
	clientID    string
	userName    string
	password    string
	hasPassword bool
	clean       bool
	keepAlive   uint16 // seconds
	hasWill     bool
	willTopic   string
	willBody    []byte
	willQoS     byte
	willRetain  bool

	will *iothub.Message // made of the above
}

// serve runs one connection from its first byte to its last.
func (b *Broker) serve(k *link) {
	var cause error
	defer func() {
		if p := recover(); p != nil {
			// Mochi's decoders index what the network sends; one packet that
			// they stumble over must not take the other devices down. The
			// packet is not logged: it may hold a password.
			b.cfg.Log.Error("a connection ended in a panic", "panic", p, "stack", string(debug.Stack()))
			k.abort()
		}
		k.hangUp("")
		if s := k.session.Load(); s != nil {
			s.end(cause)
			b.detach(s)
			b.release(s.device)
		}
		<-k.done
	}()
	_ = k.tcp.SetDeadline(time.Now().Add(b.cfg.ConnectTimeout))
	if cause = k.tls.Handshake(); cause == nil {
		cause = k.expectConnect()
	}
	if cause == nil {
		cause = b.mqtt.EstablishConnection(listenerName, k)
	}
	if cause != nil && k.session.Load() == nil {
		b.cfg.Log.Debug("a connection came to nothing", "remote", k.RemoteAddr().String(), "err", cause)
	}
}

// expectConnect looks at the header of the first packet before mochi sees it:
// mochi makes room for what a header announces, and a stranger's header could
// announce much.
func (k *link) expectConnect() error {
	length := 0
	for i := 1; i <= 4; i++ {
		head, err := k.in.Peek(i + 1)
		if err != nil {
			return fmt.Errorf("waiting for CONNECT: %w", err)
		}
		if head[0] != packets.Connect<<4 {
			return errors.New("the first packet is not CONNECT")
		}
		length |= int(head[i]&0x7f) << (7 * (i - 1))
		if head[i] < 0x80 {
			break
		}
	}
	if length > maxConnectPacket {
		return fmt.Errorf("CONNECT has %d bytes; at most %d are allowed", length, maxConnectPacket)
	}
	return nil
}

// errUnavailable is answered with CONNACK 3: the client may try again.
var errUnavailable = errors.New("the hub cannot take the device now")

// admit decides about a CONNECT and makes the session. After an error that is
// not errUnavailable the client is not authorized.
func (b *Broker) admit(k *link, c connect) error {
	if err := iothub.CheckDeviceID(c.clientID); err != nil {
		return fmt.Errorf("client id: %w", err)
	}
	credentials, err := parseUserName(c.userName, c.clientID)
	if err != nil {
		return fmt.Errorf("user name of client %s: %w", c.clientID, err)
	}
	if err := c.checkWill(); err != nil {
		return fmt.Errorf("will of client %s: %w", c.clientID, err)
	}
	credentials.Password, credentials.HasPassword = c.password, c.hasPassword
	credentials.Certificates = k.tls.ConnectionState().PeerCertificates

	d := b.hold(c.clientID)
	defer func() {
		if k.session.Load() == nil { // else serve releases it, at the end
			b.release(d)
		}
	}()
	s := newSession(b, d, k, c)
	expiry, err := b.authenticate(s, credentials)
	if err != nil {
		return err
	}
	k.session.Store(s)
	k.setIdle(c.keepAlive)
	if err := s.start(expiry); err != nil {
		return fmt.Errorf("%w: %w", errUnavailable, err)
	}
	b.cfg.Log.Info("device connected", "device", d.id, "remote", k.RemoteAddr().String(), "client", logText(credentials.ClientType))
	return nil
}

// authenticate asks the Backend and attaches the session. If the device was
// disconnected in between (its key was changed, say), the answer may be stale,
// and it asks again.
func (b *Broker) authenticate(s *session, c Credentials) (expiry time.Time, err error) {
	const attempts = 3
	for range attempts {
		b.mu.Lock()
		epoch := s.device.epoch
		b.mu.Unlock()
		expiry, err = b.cfg.Backend.Authenticate(s.device.id, c)
		var refusal *iothub.Error
		if errors.As(err, &refusal) && refusal.Status() >= 500 {
			return expiry, fmt.Errorf("%w: %w", errUnavailable, err)
		}
		if err != nil {
			return expiry, fmt.Errorf("device %s: %w", s.device.id, err)
		}
		err = b.attach(s, epoch)
		if !errors.Is(err, errRevoked) {
			break
		}
	}
	if err != nil {
		return expiry, fmt.Errorf("%w: device %s: %w", errUnavailable, s.device.id, err)
	}
	return expiry, nil
}

func (k *link) setIdle(keepAlive uint16) {
	idle := time.Duration(keepAlive) * time.Second * 3 / 2
	if idle == 0 || idle > maxIdle {
		idle = maxIdle
	}
	k.mu.Lock()
	k.idle = idle
	k.mu.Unlock()
}

// parseUserName takes apart "{host}/{device}/?api-version=…&…", and what else
// has been seen: without the "?", without the slash before it, without any
// query. Knowing the device id helps, because ids may hold "?" and "=".
func parseUserName(name, deviceID string) (Credentials, error) {
	host, rest, ok := strings.Cut(name, "/")
	if !ok || host == "" {
		return Credentials{}, errors.New("it does not begin with a host name and a slash")
	}
	query, ok := strings.CutPrefix(rest, deviceID)
	if !ok {
		return Credentials{}, errors.New("it does not name the device of the client id")
	}
	c := Credentials{Host: host}
	query, slash := strings.CutPrefix(query, "/")
	query, mark := strings.CutPrefix(query, "?")
	switch {
	case query == "":
		return c, nil
	case mark:
	case !slash, strings.Contains(query, "/"),
		!strings.HasPrefix(query, "api-version=") && !strings.Contains(query, "&api-version="):
		return Credentials{}, errors.New("it names another device or a module; modules are not supported")
	}
	values := map[string]string{}
	for _, part := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		if _, twice := values[name]; twice {
			continue
		}
		if decoded, err := url.PathUnescape(value); err == nil {
			value = decoded
		}
		values[name] = value
	}
	c.APIVersion, c.ModelID, c.ClientType = values["api-version"], values["model-id"], values["DeviceClientType"]
	return c, nil
}

// checkWill makes a message of the will. It is telemetry of the device itself,
// nothing else (Learn, "MQTT support").
func (c *connect) checkWill() error {
	if !c.hasWill {
		return nil
	}
	if c.willQoS > 1 {
		return errors.New("QoS 2 is not supported")
	}
	t, err := parseTopic(c.willTopic)
	if err != nil {
		return err
	}
	if t.Kind != iothub.TopicEvents || t.DeviceID != c.clientID {
		return errors.New("its topic is not the device's own telemetry")
	}
	m, err := message(t, c.willBody, c.willRetain)
	if err != nil {
		return err
	}
	m.Properties["iothub-MessageType"] = "Will"
	c.will = &m
	return nil
}
