package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"sync"
	"time"

	"latchd/internal/backoff"
	"latchd/iothub"
)

// The control socket is how somebody at the device, as root, asks the running
// service: one JSON object a line, one line as the answer. What moves the door
// goes through the agent like a direct method of the hub's, so that order,
// bounds, refusals and reports are the same.

// controlName is the socket in the runtime directory.
const controlName = "control"

// controlRequest is one question.
type controlRequest struct {
	Command string   `json:"command"`          // status, check, maintenance, door
	Action  string   `json:"action,omitempty"` // of door: lock, unlock, status
	Time    string   `json:"time,omitempty"`   // of lock and unlock: "10s"
	Hold    bool     `json:"hold,omitempty"`   // of unlock: until it is locked
	Checks  []string `json:"checks,omitempty"` // of check: which; all if there are none
}

// controlAnswer is the answer to one question.
type controlAnswer struct {
	Status  int             `json:"status"`  // as a direct method's: 200, 400, 423, 503
	Payload json.RawMessage `json:"payload"` // of a refusal and of door: an object whose Response is for people
}

// controls is what the service lets itself be asked.
type controls struct {
	// method is the agent's Serve.
	method func(ctx context.Context, req iothub.MethodRequest, respond func(iothub.MethodResponse))
	// status is what goes into the status beside what the agent knows; nil: nothing.
	status func() map[string]any
	// maintenance is the agent's Maintenance.
	maintenance func() map[string]any
}

const (
	// maxControlRequest is the longest line that is read, in bytes. The longest
	// sensible one names every check, in under a tenth of that.
	maxControlRequest = 4096
	// maxControlConnections is how many are served at once; more wait. A person
	// needs one.
	maxControlConnections = 8
	// controlPatience is how long a connection may say nothing, or take nothing.
	controlPatience = 5 * time.Second
	// controlGrace is how long those in flight may take when the service stops.
	controlGrace = time.Second
)

// serveControl answers at the control socket until ctx ends. The error says why
// there is no socket; the service goes on without one.
func serveControl(ctx context.Context, path string, c controls, log *slog.Logger) error {
	listener, release, err := listenControl(path)
	if err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	defer release()
	s := &controlServer{controls: c, log: log, calls: context.WithoutCancel(ctx), open: map[net.Conn]bool{}}
	defer s.stop()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()
	slots := make(chan struct{}, maxControlConnections)
	pause := backoff.Policy{}
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case err != nil: // out of descriptors, say; that passes
			<-slots
			log.Warn("a connection to the control socket was not taken", "error", err)
			if backoff.Sleep(ctx, pause.Next()) != nil {
				return nil
			}
			continue
		}
		pause.Reset()
		s.serving.Go(func() {
			defer func() { <-slots }()
			s.serve(conn)
		})
	}
}

// controlServer is the state behind one socket.
type controlServer struct {
	controls
	log     *slog.Logger
	calls   context.Context // of what is asked; each call has a limit of its own
	serving sync.WaitGroup

	mu      sync.Mutex // guards the fields below
	open    map[net.Conn]bool
	stopped bool
}

// stop ends the connections that wait for a question, and gives those in flight
// a moment for their answer.
func (s *controlServer) stop() {
	s.mu.Lock()
	s.stopped = true
	for conn := range s.open {
		_ = conn.SetReadDeadline(time.Now())
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	timeout := time.NewTimer(controlGrace)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
	}
}

// await sets how long the next line may take. It is false when the service
// stops.
func (s *controlServer) await(conn net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open[conn] = true
	return !s.stopped && conn.SetDeadline(time.Now().Add(controlPatience)) == nil
}

// serve answers one connection, question by question.
func (s *controlServer) serve(conn *net.UnixConn) {
	defer func() {
		s.mu.Lock()
		delete(s.open, conn)
		s.mu.Unlock()
		_ = conn.Close()
	}()
	who, err := peerOf(conn)
	if err == nil && !who.mayControl() {
		err = fmt.Errorf("only root may control the door here, not user %d", who.uid)
	}
	if err != nil {
		s.log.Warn("the control socket was refused", "uid", who.uid, "pid", who.pid, "error", err)
		if s.await(conn) {
			_ = send(conn, refusal(403, err.Error()))
		}
		return
	}
	lines := bufio.NewReaderSize(conn, maxControlRequest)
	for s.await(conn) {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			_ = send(conn, refusal(413, fmt.Sprintf("a request has at most %d bytes", maxControlRequest)))
		}
		if err != nil { // with half a line too: it may have been meant to go on
			return
		}
		answer, sent := s.answer(line, who)
		if err = conn.SetWriteDeadline(time.Now().Add(controlPatience)); err == nil {
			err = send(conn, answer)
		}
		if sent != nil {
			sent(err)
		}
		if err != nil {
			return
		}
	}
}

func send(conn net.Conn, a controlAnswer) error {
	line, err := json.Marshal(a)
	if err != nil {
		return err
	}
	_, err = conn.Write(append(line, '\n'))
	return err
}

func refusal(status int, why string) controlAnswer {
	text, _ := json.Marshal(map[string]string{"Response": why}) // a string can be encoded
	return controlAnswer{Status: status, Payload: text}
}

// answer answers one question. sent, if there is one, is told what became of the
// answer.
func (s *controlServer) answer(line []byte, who peer) (_ controlAnswer, sent func(error)) {
	var req controlRequest
	d := json.NewDecoder(bytes.NewReader(line))
	// A key of a later version may be the one that bounds an unlock.
	d.DisallowUnknownFields()
	err := d.Decode(&req)
	if err == nil && d.Decode(&struct{}{}) != io.EOF {
		err = errors.New("there is more than one object in the line")
	}
	if err != nil {
		return refusal(400, "the request cannot be read: "+err.Error()), nil
	}
	switch req.Command {
	case "status":
		return s.wholeStatus(), nil
	case "check":
		return s.relay("runDiagnostics", map[string]any{"checks": req.Checks})
	case "maintenance":
		return encoded(s.maintenance()), nil
	case "door":
		return s.operate(req, who)
	}
	return refusal(404, fmt.Sprintf("unknown command %q; there are status, check, maintenance and door", clipText(req.Command))), nil
}

// clipText bounds what is repeated to whoever said it.
func clipText(text string) string {
	const longest = 64
	return text[:min(len(text), longest)]
}

// call is one method of the agent's. The agent answers each within 4 s.
func (s *controlServer) call(name string, params map[string]any) iothub.MethodResponse {
	payload, _ := json.Marshal(params) // texts and true
	answered := make(chan iothub.MethodResponse, 1)
	s.method(s.calls, iothub.MethodRequest{Name: name, Payload: payload},
		func(r iothub.MethodResponse) { answered <- r })
	return <-answered
}

// relay asks the agent and passes its answer on.
func (s *controlServer) relay(name string, params map[string]any) (_ controlAnswer, sent func(error)) {
	r := s.call(name, params)
	return controlAnswer{Status: r.Status, Payload: r.Payload}, r.Sent
}

// operate carries out a door command.
func (s *controlServer) operate(req controlRequest, who peer) (_ controlAnswer, sent func(error)) {
	params := map[string]any{}
	var method, timeKey string
	switch req.Action {
	case "status":
		return s.doorStatus(), nil
	case "lock":
		method, timeKey = "lockDoor", "lockTime"
		if req.Hold {
			return refusal(400, "hold is of unlock; a lock without a time holds by itself"), nil
		}
	case "unlock":
		method, timeKey = "unlockDoor", "unlockTime"
		if req.Hold {
			params["hold"] = true
		}
	default:
		return refusal(400, fmt.Sprintf("unknown action %q of door; there are lock, unlock and status", clipText(req.Action))), nil
	}
	if req.Time != "" {
		params[timeKey] = req.Time
	}
	answer, sent := s.relay(method, params)
	s.log.Info("a door command at the device", "action", req.Action, "time", req.Time, "hold", req.Hold,
		"uid", who.uid, "pid", who.pid, "status", answer.Status)
	return answer, sent
}

// doorStatus is the door out of the agent's status.
func (s *controlServer) doorStatus() controlAnswer {
	r := s.call("getStatus", nil)
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(r.Payload, &doc); err != nil {
		return refusal(500, "the agent's status cannot be read: "+err.Error())
	}
	if doc["door"] == nil {
		return refusal(503, "no lock is configured on this device: set [door] line in its configuration")
	}
	return encoded(map[string]any{"Response": "the door's status", "door": doc["door"]})
}

// wholeStatus is the agent's status and what the service adds to it.
func (s *controlServer) wholeStatus() controlAnswer {
	r := s.call("getStatus", nil)
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(r.Payload, &doc); err != nil {
		return refusal(500, "the agent's status cannot be read: "+err.Error())
	}
	whole := map[string]any{}
	for key, value := range doc {
		whole[key] = value
	}
	if s.status != nil {
		maps.Copy(whole, s.status())
	}
	return encoded(whole)
}

func encoded(v any) controlAnswer {
	text, err := json.Marshal(v)
	if err != nil {
		return refusal(500, "the answer cannot be encoded: "+err.Error())
	}
	return controlAnswer{Status: 200, Payload: text}
}
