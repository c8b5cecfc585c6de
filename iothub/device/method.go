package device

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"

	"latchd/iothub"
)

const (
	// maxRefusals bounds the answers on their way to methods that were not
	// run. Whoever floods the device beyond that gets the hub's time-out.
	maxRefusals = 64

	// maxRequestIDs is how many request ids of methods a session remembers.
	// A repetition by the hub comes within seconds, not thousands of methods
	// later.
	maxRequestIDs = 4096

	// maxRequestID bounds an id in bytes: it comes back in the topic of the
	// answer, which has an end. Hubs send numbers and UUIDs.
	maxRequestID = 1024
)

// method takes the request of a direct method: drops it, refuses it, or
// starts it.
func (s *session) method(t iothub.Topic, m message) {
	if why := s.stale(t.RequestID, m); why != "" {
		s.client.warn("a direct method was dropped", "method", t.Method, "why", why)
		return
	}
	switch {
	case s.leaving == errStopped:
		s.refuse(t, http.StatusServiceUnavailable, "The device's agent is stopping")
	case s.client.handler.Method == nil:
		s.refuse(t, http.StatusNotFound, "Unknown method")
	default:
		select {
		case s.client.inFlight <- struct{}{}:
			s.messages.enter()
			s.serveMethod(t, iothub.MethodRequest{Name: t.Method, Payload: m.Payload()})
		default:
			s.refuse(t, http.StatusTooManyRequests, "Too many methods at once")
		}
	}
}

// stale tells why a request must not be run: it may be an old one, and its
// caller may have given up on it.
func (s *session) stale(requestID string, m message) string {
	switch {
	case m.Duplicate():
		return "it was sent before (DUP)"
	case m.Qos() > 0 && m.early:
		// It comes under a subscription that somebody else made for this
		// device id; at QoS 1 a hub keeps messages for that.
		return "it may have waited in the session"
	case len(requestID) > maxRequestID:
		return "its request id is too long"
	case !s.seen.add(requestID):
		return "its request id was seen before"
	}
	return ""
}

// serveMethod hands one method to the handler, which answers now or later,
// once. A panic before that is the answer 500.
func (s *session) serveMethod(t iothub.Topic, req iothub.MethodRequest) {
	var once sync.Once
	respond := func(r iothub.MethodResponse) {
		once.Do(func() { go s.finishMethod(t, r) })
	}
	returned := false
	s.client.guard("method "+req.Name, func() {
		s.client.handler.Method(s.client.grace, req, respond)
		returned = true
	})
	if !returned {
		respond(plainResponse(http.StatusInternalServerError, "The device's agent failed"))
	}
}

// finishMethod sends the answer to a method and tells whether it arrived.
func (s *session) finishMethod(t iothub.Topic, response iothub.MethodResponse) {
	defer func() { <-s.client.inFlight }()
	defer s.messages.end()
	sent := response.Sent
	if err := checkResponse(response); err != nil {
		s.client.log.Error("the answer to a direct method is not sent as it is", "method", t.Method, "error", err)
		response = plainResponse(http.StatusInternalServerError, "The device's agent has no valid answer")
		response.Sent = sent // it has to arrive as surely
	}
	err := s.answer(t, response)
	if err != nil {
		s.client.warn("the answer to a direct method did not reach the hub", "method", t.Method, "error", err)
	}
	if sent != nil {
		s.client.guard("Sent of method "+t.Method, func() { sent(err) })
	}
}

// checkResponse tells why the hub would not take an answer. It would close
// the connection instead.
func checkResponse(r iothub.MethodResponse) error {
	if n := len(r.Payload); n > iothub.MaxMethodPayload {
		return fmt.Errorf("it has %d bytes; at most %d are allowed", n, iothub.MaxMethodPayload)
	}
	if len(r.Payload) > 0 && !json.Valid(r.Payload) {
		return fmt.Errorf("it is not JSON")
	}
	return nil
}

func plainResponse(status int, text string) iothub.MethodResponse {
	body, _ := json.Marshal(map[string]string{"Response": text}) // strings always marshal
	return iothub.MethodResponse{Status: status, Payload: body}
}

// refuse answers a method that is not run.
func (s *session) refuse(t iothub.Topic, status int, text string) {
	select {
	case s.client.refusals <- struct{}{}:
	default:
		s.client.warn("a direct method was dropped", "method", t.Method, "why", "too many are being refused already")
		return
	}
	s.client.warn("a direct method was refused", "method", t.Method, "status", status, "why", text)
	s.messages.enter()
	go func() {
		defer func() { <-s.client.refusals }()
		defer s.messages.end()
		if err := s.answer(t, plainResponse(status, text)); err != nil {
			s.client.warn("the answer to a direct method did not reach the hub", "method", t.Method, "error", err)
		}
	}()
}

// answer sends the answer. Where somebody asks whether the hub has it (Sent) it
// goes out at QoS 1 and is waited for, else at QoS 0, as the official Node SDK
// sends all answers: nothing would be done about a missing PUBACK, and each
// costs both sides a packet.
func (s *session) answer(t iothub.Topic, r iothub.MethodResponse) error {
	select {
	case <-s.done:
		return errSessionOver
	default:
	}
	topic := iothub.Topic{Kind: iothub.TopicMethodResponse, Status: r.Status, RequestID: t.RequestID}.String()
	if r.Sent != nil {
		return s.publish(context.Background(), topic, r.Payload)
	}
	return s.send(topic, r.Payload)
}

// warn writes a warning about methods, unless there are too many.
func (c *Client) warn(text string, args ...any) { c.warnings.warn(c.log, text, args...) }

// guard calls a function of the handler and survives its panic.
func (c *Client) guard(what string, call func()) { guard(c.log, what, call) }

func guard(log *slog.Logger, what string, call func()) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("a handler panicked", "what", what, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	call()
}

// requestIDs remembers the last maxRequestIDs ids, by their hashes: the ids
// themselves are ten times as large, and thousands of pointers that each garbage
// collection would follow. Two ids with one hash would cost a method; of two
// ids that happens with a chance of 2^-64, and nobody can choose such ids,
// because the seed is the process's own.
type requestIDs struct {
	known  map[uint64]struct{}
	oldest int
	ring   []uint64
}

var requestIDSeed = maphash.MakeSeed()

func newRequestIDs() requestIDs { return requestIDs{known: map[uint64]struct{}{}} }

// add tells whether the id is new, and remembers it.
func (r *requestIDs) add(id string) bool {
	hash := maphash.String(requestIDSeed, id)
	if _, isKnown := r.known[hash]; isKnown {
		return false
	}
	r.known[hash] = struct{}{}
	if len(r.ring) < maxRequestIDs {
		r.ring = append(r.ring, hash)
		return true
	}
	delete(r.known, r.ring[r.oldest])
	r.ring[r.oldest] = hash
	r.oldest = (r.oldest + 1) % maxRequestIDs
	return true
}
