package broker

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"latchd/iothub"
)

// call is a method that waits for its answer.
type call struct {
	id      string // $rid
	request *frame
	answer  chan iothub.Topic // with its status; holds one
	body    []byte            // of the answer, set before it is sent
	lost    chan struct{}     // closed when the session ends first
}

// newID makes a request id: 128 random bits. A counter would do within one
// session; but an answer that was meant for another call, one of before a
// restart even, must never fit.
func newID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails: crypto/rand aborts the program instead
	return hex.EncodeToString(b)
}

// Invoke sends a direct method to a device and waits for its answer: at most
// connect until the device is online and subscribed to methods, then at most
// response for the answer. The payload is JSON, or empty. The status is the
// device's own; the body is valid JSON, or empty.
//
// An *iothub.Error is DeviceNotOnline, GatewayTimeout (no answer in time),
// DeviceUnavailable (the connection was lost meanwhile),
// DeviceMaximumInflightMethodExceeded, ArgumentInvalid (no method can be called
// that), MessageTooLarge (for the payload or the answer), or IotHubFormatError
// (the answer is not JSON that can be passed on). If ctx ends, its error is returned.
//
// After GatewayTimeout, DeviceUnavailable, or the end of ctx the device may
// have acted or not. But it will not get the request from then on, as far as
// it can be taken back: see the package's invariants.
func (b *Broker) Invoke(ctx context.Context, deviceID, method string, payload []byte, connect, response time.Duration) (status int, body []byte, err error) {
	if err := iothub.CheckMethodName(method); err != nil {
		return 0, nil, iothub.Errorf(iothub.ArgumentInvalid, "Method name: %v.", err)
	}
	if len(payload) > iothub.MaxMethodPayload {
		return 0, nil, iothub.Errorf(iothub.MessageTooLarge,
			"The payload has %d bytes; at most %d are allowed.", len(payload), iothub.MaxMethodPayload)
	}
	s, c, err := b.dispatch(ctx, deviceID, method, payload, connect)
	if err != nil {
		return 0, nil, err
	}
	timer := time.NewTimer(response)
	defer timer.Stop()
	select {
	case t := <-c.answer:
		return c.result(t)
	case <-c.lost:
		err = iothub.Errorf(iothub.DeviceUnavailable, "Device unavailable.")
	case <-timer.C:
		err = timeoutError(iothub.GatewayTimeout, "Timed out waiting for the response from device.", response)
	case <-ctx.Done():
		err = fmt.Errorf("calling %s on %s: %w", method, deviceID, ctx.Err())
	}
	s.giveUp(c)
	select {
	case t := <-c.answer: // it came in the same moment
		return c.result(t)
	default:
		return 0, nil, err
	}
}

// dispatch waits for a session that takes methods, and sends one.
func (b *Broker) dispatch(ctx context.Context, deviceID, method string, payload []byte, connect time.Duration) (*session, *call, error) {
	d := b.hold(deviceID)
	defer b.release(d)
	deadline := time.NewTimer(connect)
	defer deadline.Stop()
	until := time.Now().Add(connect)
	for {
		s, err := b.await(ctx, d, deadline.C)
		if err == nil {
			err = b.pulse.settle(ctx)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("waiting for %s to call %s: %w", deviceID, method, err)
		}
		// The clock decides, not the timer: when the process stood still, both
		// the device and the end of the time may have come meanwhile.
		if s == nil || connect > 0 && time.Now().After(until) {
			return nil, nil, timeoutError(iothub.DeviceNotOnline, "Timed out waiting for device to connect.", connect)
		}
		c, err := s.call(method, payload)
		if !errors.Is(err, errGone) {
			return s, c, err
		}
	}
}

var errGone = errors.New("the session has just ended")

// call sends a method, at QoS 0 whatever was granted: nothing may keep it for
// later. After errGone nothing was sent.
func (s *session) call(method string, payload []byte) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, subscribed := s.filters[iothub.FilterMethods]; !subscribed || !s.ready || s.over {
		return nil, errGone
	}
	if len(s.calls) >= s.broker.cfg.MaxMethods {
		return nil, iothub.Errorf(iothub.DeviceMaximumInflightMethodExceeded,
			"The device has %d methods to answer already.", len(s.calls))
	}
	c := &call{id: newID(), answer: make(chan iothub.Topic, 1), lost: make(chan struct{})}
	topic := iothub.Topic{Kind: iothub.TopicMethodRequest, Method: method, RequestID: c.id}
	c.request = s.publish(topic.String(), payload, 0)
	if !s.link.offer(c.request) {
		if s.reason == "" {
			s.reason = reasonDeaf
		}
		return nil, iothub.Errorf(iothub.DeviceUnavailable, "Device unavailable.")
	}
	s.calls[c.id] = c
	return c, nil
}

// answered takes the device's answer. One that fits no call of this session is
// late, or a second one, or made up, and is dropped.
func (s *session) answered(t iothub.Topic, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[t.RequestID]
	if c == nil {
		s.broker.cfg.Log.Debug("an answer to no method was dropped", "device", s.device.id)
		return
	}
	delete(s.calls, t.RequestID)
	c.body = body
	c.answer <- t
}

// giveUp forgets a call and takes its request back.
func (s *session) giveUp(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[c.id] != nil { // else it is answered, or close has taken it back
		delete(s.calls, c.id)
		s.link.recall(c.request)
	}
}

// result checks an answer. What cannot be passed on has a 4xx code, because
// Python's SDK repeats a method after 5xx, and this one has run.
func (c *call) result(t iothub.Topic) (int, []byte, error) {
	switch {
	case len(c.body) > iothub.MaxMethodPayload:
		return 0, nil, iothub.Errorf(iothub.MessageTooLarge,
			"The device's answer has %d bytes; at most %d are allowed.", len(c.body), iothub.MaxMethodPayload)
	case len(c.body) == 0:
		return t.Status, nil, nil
	}
	// It goes into the pages of a job's results, where one bad answer would
	// spoil those of all other devices.
	if err := iothub.CheckJSON(c.body); err != nil {
		return 0, nil, iothub.Errorf(iothub.IotHubFormatError, "The device's answer is %s.", err)
	}
	return t.Status, c.body, nil
}

func timeoutError(code iothub.Code, message string, waited time.Duration) *iothub.Error {
	e := iothub.Errorf(code, "%s", message)
	seconds := int(waited / time.Second)
	e.Info = map[string]any{"timeout": fmt.Sprintf("%02d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)}
	return e
}
