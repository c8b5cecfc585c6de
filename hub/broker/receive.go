package broker

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"

	"latchd/iothub"
)

// receive does what a packet asks, before mochi acknowledges it. An error
// closes the connection without an acknowledgement, which is how IoT Hub
// answers whatever it does not accept.
func (s *session) receive(pk *packets.Packet) error {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		return s.published(pk)
	case packets.Subscribe:
		return s.subscribe(pk)
	case packets.Unsubscribe:
		return s.unsubscribe(pk)
	case packets.Disconnect:
		s.farewell = true
		return nil
	case packets.Puback, packets.Pingreq:
		return nil
	}
	return fmt.Errorf("it sent a packet of type %d, which a device has no use for", pk.FixedHeader.Type)
}

func (s *session) published(pk *packets.Packet) error {
	if pk.FixedHeader.Qos > 1 {
		return errors.New("it published at QoS 2, which is not supported")
	}
	// Mochi checks this too, but only after the message would be stored.
	if code := pk.PublishValidate(0); code != packets.CodeSuccess {
		return fmt.Errorf("its publish is malformed: %s", code.Reason)
	}
	t, err := parseTopic(pk.TopicName)
	if err != nil {
		return fmt.Errorf("it published to a wrong topic: %w", err)
	}
	if len(pk.Payload) > iothub.MaxMessage {
		return fmt.Errorf("it published %d bytes; at most %d are allowed", len(pk.Payload), iothub.MaxMessage)
	}
	switch t.Kind {
	case iothub.TopicEvents:
		return s.telemetry(t, pk.Payload, pk.FixedHeader.Retain)
	case iothub.TopicTwinGet:
		return s.twinGet(t)
	case iothub.TopicReported:
		return s.report(t, pk.Payload)
	case iothub.TopicMethodResponse:
		s.answered(t, pk.Payload)
		return nil
	}
	return errors.New("it published to a topic that only the hub publishes to")
}

// maxRequestID bounds the $rid of a device: it comes back in the topic of the
// answer, which has an end. The SDKs send UUIDs.
const maxRequestID = 1024

// parseTopic is iothub.ParseTopic for what a device publishes to.
func parseTopic(topic string) (iothub.Topic, error) {
	if strings.ContainsAny(topic, "+#\x00") {
		return iothub.Topic{}, errors.New("a topic that is published to holds no '+', '#' or NUL")
	}
	t, err := iothub.ParseTopic(topic)
	if err == nil && len(t.RequestID) > maxRequestID {
		err = fmt.Errorf("the $rid has %d characters; at most %d are allowed", len(t.RequestID), maxRequestID)
	}
	return t, err
}

func (s *session) telemetry(t iothub.Topic, body []byte, retain bool) error {
	if t.DeviceID != s.device.id {
		return errors.New("it published telemetry of another device")
	}
	m, err := message(t, body, retain)
	if err != nil {
		return fmt.Errorf("it published telemetry that is not accepted: %w", err)
	}
	if err := s.backend().Telemetry(s.device.id, m); err != nil {
		s.broker.cfg.Log.Error("telemetry could not be stored", "device", s.device.id, "err", err)
		return errors.New("its telemetry could not be stored")
	}
	return nil
}

// message makes a message of a publish to the telemetry topic.
func message(t iothub.Topic, body []byte, retain bool) (iothub.Message, error) {
	// An expiry is for messages to devices; here it makes IoT Hub disconnect.
	if _, ok := t.Properties["$.exp"]; ok {
		return iothub.Message{}, errors.New("a message to the hub cannot have $.exp")
	}
	size := len(body)
	for name, value := range t.Properties {
		size += len(value)
		if !strings.HasPrefix(name, "$.") { // of system properties only the values count
			size += len(name)
		}
	}
	if size > iothub.MaxMessage {
		return iothub.Message{}, fmt.Errorf("the message has %d bytes; at most %d are allowed", size, iothub.MaxMessage)
	}
	if retain { // nothing is retained, but the wish is passed on (Learn, "MQTT support")
		t.Properties["mqtt-retain"] = "true"
	}
	return iothub.Message{Body: body, Properties: t.Properties}, nil
}

// subscribe notes what will be subscribed when the SUBACK goes out, and turns
// QoS 2 into 1, which mochi then grants.
func (s *session) subscribe(pk *packets.Packet) error {
	if code := pk.SubscribeValidate(); code != packets.CodeSuccess {
		return fmt.Errorf("its subscribe is malformed: %s", code.Reason)
	}
	all := s.subscriptions()
	for i, f := range pk.Filters {
		if !s.allowed(f.Filter) {
			return fmt.Errorf("it subscribed to %q, which is not a filter of this device", f.Filter)
		}
		pk.Filters[i].Qos = min(f.Qos, 1)
		all[f.Filter] = pk.Filters[i].Qos
	}
	s.granting = all
	return s.save(all)
}

func (s *session) unsubscribe(pk *packets.Packet) error {
	if code := pk.UnsubscribeValidate(); code != packets.CodeSuccess {
		return fmt.Errorf("its unsubscribe is malformed: %s", code.Reason)
	}
	rest := s.subscriptions()
	for _, f := range pk.Filters {
		delete(rest, f.Filter)
	}
	if err := s.save(rest); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filters = rest
	return nil
}
