package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"latchd/iothub"
)

// session is one device's connection from an accepted CONNECT to the end.
type session struct {
	broker *Broker
	device *device
	link   *link
	keeps  bool            // CleanSession=0: its filters outlive it
	will   *iothub.Message // sent if it ends without DISCONNECT; nil if there is none

	// Only the goroutine that reads uses these.
	up       bool            // the Backend was told that the device is connected
	resumed  bool            // it began with filters of an earlier one
	farewell bool            // DISCONNECT came
	granting map[string]byte // the filters as the next SUBACK will have them

	mu        sync.Mutex // guards the fields below
	ready     bool       // the CONNACK is queued, so publishes may follow
	over      bool
	ended     bool // no more is said to the Backend
	forgotten bool // the device was deleted: its filters go with it
	reason    string
	expiry    *time.Timer
	filters   map[string]byte  // what is subscribed, with the granted QoS
	calls     map[string]*call // methods that wait for an answer, by request id
	packetID  uint16           // of the last QoS 1 publish
	twin      twinView
}

func newSession(b *Broker, d *device, k *link, c connect) *session {
	return &session{
		broker:  b,
		device:  d,
		link:    k,
		keeps:   !c.clean,
		will:    c.will,
		filters: map[string]byte{},
		calls:   map[string]*call{},
	}
}

// backend is the Broker's.
func (s *session) backend() Backend { return s.broker.cfg.Backend }

// allowed tells whether the device may subscribe to a filter. There are no
// others (Learn, "MQTT support").
func (s *session) allowed(filter string) bool {
	switch filter {
	case iothub.FilterMethods, iothub.FilterTwinRes, iothub.FilterDesired,
		iothub.FilterDevicebound(s.device.id):
		return true
	}
	return false
}

// resume takes up the filters of the device's session before, or drops them
// if it asked for a clean one.
func (s *session) resume() error {
	saved, err := s.backend().Subscriptions(s.device.id)
	if err != nil {
		return fmt.Errorf("reading the filters of device %s: %w", s.device.id, err)
	}
	if !s.keeps {
		if len(saved) == 0 {
			return nil
		}
		if err := s.backend().SaveSubscriptions(s.device.id, nil); err != nil {
			return fmt.Errorf("dropping the filters of device %s: %w", s.device.id, err)
		}
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for filter, qos := range saved {
		if s.allowed(filter) {
			s.filters[filter] = min(qos, 1)
		}
	}
	s.resumed = len(s.filters) > 0
	return nil
}

// start tells the Backend, before the client hears its CONNACK: who has heard
// it may ask the hub whether it is connected.
func (s *session) start(expiry time.Time) error {
	if err := s.resume(); err != nil {
		return err
	}
	s.up = true
	s.backend().ConnectionChanged(s.device.id, true)
	s.expireAt(expiry)
	return nil
}

// acknowledge queues a packet of mochi's. What a CONNACK or a SUBACK promises
// holds from the same moment on: a client that has read it can be called, and
// no publish overtakes it.
func (s *session) acknowledge(f *frame) bool {
	s.mu.Lock()
	ok := s.link.push(f)
	kind := f.bytes[0] >> 4
	switch {
	case kind == packets.Connack && f.bytes[3] == 0: // not a refusal
		s.ready = true
	case kind == packets.Suback:
		s.filters = s.granting
	}
	s.mu.Unlock()
	if kind == packets.Connack || kind == packets.Suback {
		s.broker.announce(s.device)
	}
	return ok
}

// clockLook is how long a session may outlive its token after the wall clock
// was set forward.
const clockLook = time.Minute

// expireAt ends the session when its token does; the zero time is never. A
// token ends by the wall clock, which may be set meanwhile, and timers do not
// follow it: so it looks at the clock again and again.
func (s *session) expireAt(t time.Time) {
	if t.IsZero() {
		return
	}
	left := t.Sub(s.broker.cfg.Now())
	if left <= 0 {
		s.close("its token has expired")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.over {
		s.expiry = time.AfterFunc(min(left, clockLook), func() { s.expireAt(t) })
	}
}

// close ends the session: no more goes out, methods under way fail and are
// taken back, and the connection is closed. It does not wait. The first reason
// given is the one that is logged.
func (s *session) close(why string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == "" {
		s.reason = why
	}
	if s.over {
		return
	}
	s.over = true
	if s.expiry != nil {
		s.expiry.Stop()
	}
	for _, c := range s.calls {
		s.link.recall(c.request)
		close(c.lost)
	}
	s.calls = nil
	s.link.shut()
}

// end has the last word, when the connection's reader is gone: the will, the
// news that the device is down, the end of filters nobody will ask for again.
func (s *session) end(cause error) {
	switch {
	case errors.Is(cause, os.ErrDeadlineExceeded):
		cause = errors.New("it was silent for longer than its keep-alive allows")
	case errors.Is(cause, io.EOF):
		cause = errors.New("it broke the connection off")
	}
	s.close("")
	id := s.device.id
	if s.up && s.will != nil && !s.farewell {
		if err := s.backend().Telemetry(id, *s.will); err != nil {
			s.broker.cfg.Log.Error("a will could not be stored", "device", id, "err", err)
		}
	}
	if s.up {
		s.backend().ConnectionChanged(id, false)
	}
	s.mu.Lock()
	s.ended = true
	forgotten, reason := s.forgotten, s.reason
	s.mu.Unlock()
	if forgotten {
		if err := s.backend().SaveSubscriptions(id, nil); err != nil {
			s.broker.cfg.Log.Debug("the filters of a deleted device could not be dropped", "device", id, "err", err)
		}
	}
	switch {
	case s.farewell:
		reason = "it said goodbye"
	case reason == "" && cause != nil:
		reason = cause.Error()
	}
	s.broker.cfg.Log.Info("device disconnected", "device", id, "why", logText(reason))
}

// forget marks the filters to be dropped at the end. False if that is past.
func (s *session) forget() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgotten = true
	return !s.ended
}

func (s *session) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.over
}

// accepts tells whether a publish for the filter would be delivered now.
func (s *session) accepts(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.filters[filter]
	return ok && s.ready && !s.over
}

// subscriptions is a copy of the filters.
func (s *session) subscriptions() map[string]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.filters)
}

// save stores new filters, if they are to be kept and differ: Node's SDK
// subscribes to the same again after each connect.
func (s *session) save(filters map[string]byte) error {
	if !s.keeps || maps.Equal(filters, s.subscriptions()) {
		return nil
	}
	if err := s.backend().SaveSubscriptions(s.device.id, filters); err != nil {
		return fmt.Errorf("saving its filters: %w", err)
	}
	return nil
}

// publish makes the packet of a publish to this device. Called with mu held.
//
// QoS 1 here means a packet id that the client acknowledges. It is not sent
// again: what has not arrived when the connection breaks, the device learns
// by asking for its twin.
func (s *session) publish(topic string, payload []byte, qos byte) *frame {
	pk := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Publish, Qos: qos},
		ProtocolVersion: mqttVersion,
		TopicName:       topic,
		Payload:         payload,
	}
	if qos > 0 {
		if s.packetID++; s.packetID == 0 {
			s.packetID = 1
		}
		pk.PacketID = s.packetID
	}
	var b bytes.Buffer
	b.Grow(len(topic) + len(payload) + 16)
	if err := pk.PublishEncode(&b); err != nil { // only for a missing packet id
		panic(err)
	}
	return &frame{bytes: b.Bytes()}
}
