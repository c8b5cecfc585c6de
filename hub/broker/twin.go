package broker

import (
	"encoding/json"
	"errors"
	"time"

	"latchd/iothub"
)

// twinView keeps what a session shows of the desired section from going
// backwards. A GET reads the twin in one goroutine while a change is announced
// in another; without care the device could get the change first and then the
// twin as it was before, and take the old for the new. So changes that come
// while a GET is answered wait for the answer, and those that it holds already
// are dropped. The session's mu guards it.
type twinView struct {
	reading bool
	waiting []iothub.Section
	shown   int64 // the newest desired version sent
}

// maxWaiting bounds the changes that wait for one GET. A hub that is so slow,
// or so busy with one device, does better to have the device begin anew.
const maxWaiting = 256

// NotifyDesired sends a desired patch to the device if it is connected and
// subscribed; otherwise it is dropped: a device asks for its twin after each
// connect. Patches of one device must come in the order of their versions. It
// never blocks; a device that does not read is disconnected.
func (b *Broker) NotifyDesired(deviceID string, patch iothub.Section) {
	if s := b.session(deviceID); s != nil {
		s.notify(patch)
	}
}

func (s *session) notify(patch iothub.Section) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.twin.reading {
		s.show(patch)
		return
	}
	if len(s.twin.waiting) == maxWaiting {
		s.reason = "too many changes came while its twin was read"
		s.link.abort()
		return
	}
	s.twin.waiting = append(s.twin.waiting, patch)
}

// show sends a patch that is new to the device. Called with mu held.
func (s *session) show(patch iothub.Section) {
	qos, subscribed := s.filters[iothub.FilterDesired]
	if !subscribed || !s.ready || s.over || patch.Version <= s.twin.shown {
		return
	}
	body, err := json.Marshal(patch)
	if err != nil {
		s.broker.cfg.Log.Error("a desired patch could not be written", "device", s.device.id, "err", err)
		return
	}
	s.twin.shown = patch.Version
	topic := iothub.Topic{Kind: iothub.TopicDesired, Version: patch.Version, HasVersion: true}
	if !s.link.offer(s.publish(topic.String(), body, qos)) {
		s.reason = reasonDeaf
	}
}

const reasonDeaf = "it does not read what it is sent"

// twinGet answers a request for the twin.
func (s *session) twinGet(t iothub.Topic) error {
	if !s.accepts(iothub.FilterTwinRes) {
		return nil
	}
	if err := s.link.waitRoom(); err != nil {
		return err
	}
	s.mu.Lock()
	s.twin.reading = true
	s.mu.Unlock()

	twin, err := s.backend().Twin(s.device.id)
	var body []byte
	if err == nil {
		body, err = json.Marshal(twin)
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.respondError(t, err)
	} else {
		s.respond(iothub.Topic{Status: 200, RequestID: t.RequestID}, body)
		s.twin.shown = max(s.twin.shown, twin.Desired.Version)
	}
	s.twin.reading = false
	for _, patch := range s.twin.waiting {
		s.show(patch)
	}
	s.twin.waiting = nil
	return nil
}

// report applies a reported patch and answers. A device that does not listen
// for the answer has its patch applied all the same.
func (s *session) report(t iothub.Topic, body []byte) error {
	if err := s.link.waitRoom(); err != nil {
		return err
	}
	var expected *int64
	if t.HasVersion {
		expected = &t.Version
	}
	var version int64
	patch, err := iothub.DecodeObject(body)
	if err != nil {
		err = iothub.Errorf(iothub.ArgumentInvalid, "The reported properties cannot be read: %v.", err)
	} else {
		version, err = s.backend().Report(s.device.id, patch, expected)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.respondError(t, err)
		return nil
	}
	s.respond(iothub.Topic{Status: 204, RequestID: t.RequestID, Version: version, HasVersion: true}, nil)
	return nil
}

// respondError answers a twin request with a failure: as status in the topic,
// where Python's SDK looks, and as code in the body, where Node's does. Error
// topics carry no version (Azure/azure-sdk-for-c#1768). Called with mu held.
func (s *session) respondError(t iothub.Topic, err error) {
	var refusal *iothub.Error
	if !errors.As(err, &refusal) {
		s.broker.cfg.Log.Error("a twin request failed", "device", s.device.id, "err", err)
		refusal = iothub.Errorf(iothub.ServerError, "The hub could not do this.")
	}
	e := *refusal
	if e.TrackingID == "" {
		e.TrackingID = newID()
	}
	s.respond(iothub.Topic{Status: e.Status(), RequestID: t.RequestID}, e.TwinBody(time.Now()))
}

// respond answers a twin request, if the device listens. Called with mu held,
// after waitRoom.
func (s *session) respond(t iothub.Topic, body []byte) {
	qos, subscribed := s.filters[iothub.FilterTwinRes]
	if !subscribed || s.over {
		return
	}
	t.Kind = iothub.TopicTwinResponse
	s.link.push(s.publish(t.String(), body, qos))
}
