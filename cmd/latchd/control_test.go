package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"latchd/iothub"
)

// controlRig is a control socket with an agent behind it that writes down what it
// is asked.
type controlRig struct {
	*testing.T
	path string
	stop func() error

	mu    sync.Mutex // guards the fields below
	calls []string
	reply func(iothub.MethodRequest) iothub.MethodResponse
}

func newControlRig(t *testing.T) *controlRig {
	t.Helper()
	r := &controlRig{T: t, path: filepath.Join(t.TempDir(), "run", controlName)}
	r.serve()
	return r
}

func (r *controlRig) serve() {
	r.Helper()
	ctx, cancel := context.WithCancel(r.Context())
	ended := make(chan error, 1)
	c := controls{
		method: func(_ context.Context, req iothub.MethodRequest, respond func(iothub.MethodResponse)) {
			r.mu.Lock()
			r.calls = append(r.calls, req.Name+" "+string(req.Payload))
			reply := r.reply
			r.mu.Unlock()
			answer := iothub.MethodResponse{Status: 200, Payload: []byte(`{"Response":"done","door":{"state":"locked","mode":"resting"}}`)}
			if reply != nil {
				answer = reply(req)
			}
			respond(answer)
		},
		status: func() map[string]any { return map[string]any{"hub": map[string]any{"connected": true}} },
		maintenance: func() map[string]any {
			return map[string]any{"status": map[string]any{"open": true, "why": "no policy"}, "pending": map[string]any{}}
		},
	}
	go func() { ended <- serveControl(ctx, r.path, c, slog.New(slog.DiscardHandler)) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	r.Cleanup(func() { _ = r.stop() })
	awaitFile(r.T, r.path)
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("unix", r.path) // the name is there a moment before anybody listens
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			r.Fatal(err)
		}
	}
}

// awaitFile waits until a file is there.
func awaitFile(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Lstat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", path)
		}
	}
}

func (r *controlRig) await(cond func() bool) {
	r.Helper()
	for end := time.Now().Add(10 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.Fatal("waited in vain")
		}
	}
}

func (r *controlRig) dial() net.Conn {
	r.Helper()
	conn, err := net.Dial("unix", r.path)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = conn.Close() })
	return conn
}

// asked is what the agent was asked.
func (r *controlRig) asked() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

// say sends lines as they stand and gives the answers.
func (r *controlRig) say(conn net.Conn, text string, answers int) []controlAnswer {
	r.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		r.Fatal(err)
	}
	var all []controlAnswer
	lines := bufio.NewReader(conn)
	for range answers {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			r.Fatal(err)
		}
		var a controlAnswer
		if err := json.Unmarshal(line, &a); err != nil {
			r.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

func TestControlProtocol(t *testing.T) {
	for _, test := range []struct {
		line   string
		status int
		call   string // of the agent's method; "" for none
		says   string
	}{
		{`{"command":"door","action":"lock"}`, 200, `lockDoor {}`, "done"},
		{`{"command":"door","action":"lock","time":"0"}`, 200, `lockDoor {"lockTime":"0"}`, "done"},
		{`{"command":"door","action":"unlock","time":"10s"}`, 200, `unlockDoor {"unlockTime":"10s"}`, "done"},
		{`{"command":"door","action":"unlock","hold":true}`, 200, `unlockDoor {"hold":true}`, "done"},
		{`{"command":"door","action":"status"}`, 200, `getStatus null`, `"door":{"state":"locked","mode":"resting"}`},
		{`{"command":"status"}`, 200, `getStatus null`, `"hub":{"connected":true}`},
		{`{"command":"check","checks":["clock"]}`, 200, `runDiagnostics {"checks":["clock"]}`, "done"},
		{`{"command":"check"}`, 200, `runDiagnostics {"checks":null}`, "done"},
		{`{"command":"door","action":"lock","hold":true}`, 400, "", "hold is of unlock"},
		{`{"command":"door","action":"rebootDevice"}`, 400, "", "unknown action"},
		{`{"command":"door"}`, 400, "", "unknown action"},
		{`{"command":"rebootDevice"}`, 404, "", "unknown command"},
		{`{"command":"door","action":"unlock","until":"noon"}`, 400, "", "until"},
		{`{"command":"door","action":"unlock","time":10}`, 400, "", "cannot be read"},
		{`{"command":"door","action":"lock"} {"command":"status"}`, 400, "", "more than one object"},
		{`{"command":"door","action":"lock"}}`, 400, "", "more than one object"},
		{`unlock`, 400, "", "cannot be read"},
		{``, 400, "", "cannot be read"},
		{`null`, 404, "", "unknown command"},
		{`{"command":"` + strings.Repeat("x", 1000) + `"}`, 404, "", "unknown command"},
	} {
		t.Run(test.line[:min(len(test.line), 60)], func(t *testing.T) {
			r := newControlRig(t)
			got := r.say(r.dial(), test.line+"\n", 1)[0]
			if got.Status != test.status || !strings.Contains(string(got.Payload), test.says) {
				t.Errorf("answer %d %s", got.Status, got.Payload)
			}
			if strings.Join(r.asked(), "; ") != test.call {
				t.Errorf("the agent was asked %q", r.asked())
			}
		})
	}
}

func TestControlAnswersLineByLine(t *testing.T) {
	r := newControlRig(t)
	lock := `{"command":"door","action":"lock"}` + "\n"
	conn := r.dial()
	r.say(conn, lock+lock, 2)
	r.say(conn, lock, 1)
	if len(r.asked()) != 3 {
		t.Errorf("%d calls", len(r.asked()))
	}
}

// Half a line may have been meant to go on: "unlock", and then how long.
func TestHalfARequestDoesNothing(t *testing.T) {
	r := newControlRig(t)
	conn := r.dial().(*net.UnixConn)
	if _, err := io.WriteString(conn, `{"command":"door","action":"unlock"}`); err != nil {
		t.Fatal(err)
	}
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 || len(r.asked()) > 0 {
		t.Errorf("answer %q, %v, calls %q", answer, err, r.asked())
	}
}

func TestControlBounds(t *testing.T) {
	t.Run("a request", func(t *testing.T) {
		r := newControlRig(t)
		if got := r.say(r.dial(), strings.Repeat("x", maxControlRequest), 1)[0]; got.Status != 413 {
			t.Errorf("status %d", got.Status)
		}
	})
	t.Run("connections that say nothing", func(t *testing.T) {
		r := newControlRig(t)
		for range maxControlConnections - 1 {
			r.dial()
		}
		if got := r.say(r.dial(), `{"command":"status"}`+"\n", 1)[0]; got.Status != 200 {
			t.Errorf("status %d", got.Status)
		}
		if err := r.stop(); err != nil { // at once, though they are still open
			t.Error(err)
		}
	})
	t.Run("more connections than are served", func(t *testing.T) {
		r := newControlRig(t)
		var silent []net.Conn
		for range maxControlConnections {
			silent = append(silent, r.dial())
		}
		late := r.dial()
		_ = silent[0].Close()
		if got := r.say(late, `{"command":"status"}`+"\n", 1)[0]; got.Status != 200 {
			t.Errorf("status %d", got.Status)
		}
		for range maxControlConnections {
			r.dial() // full when it stops
		}
		if err := r.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestControlSocketIsPrivate(t *testing.T) {
	r := newControlRig(t)
	for name, want := range map[string]fs.FileMode{r.path: fs.ModeSocket | 0o600, filepath.Dir(r.path): fs.ModeDir | 0o700} {
		if info, err := os.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	for who, want := range map[peer]bool{{uid: 0}: true, {uid: uint32(os.Geteuid())}: true, {uid: 12345}: false} {
		if who.mayControl() != want {
			t.Errorf("user %d may: %v", who.uid, !want)
		}
	}
}

func TestControlSocketOfAKilledProcessIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), controlName)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = l.Close()
	first := &controlRig{T: t, path: path}
	first.serve()
	first.await(func() bool {
		conn, err := net.Dial("unix", path)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})

	// One that is served is not.
	err = serveControl(t.Context(), path, controls{}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "another latchd serves") {
		t.Errorf("error %v", err)
	}
	if got := first.say(first.dial(), `{"command":"status"}`+"\n", 1)[0]; got.Status != 200 {
		t.Errorf("status %d", got.Status)
	}
	if err := first.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

func TestNoControlSocket(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                           "is in the way, and is no socket",
		filepath.Join(file, "control"): "not a directory",
		filepath.Join(dir, strings.Repeat("x", 99)): "more than the 107",
	} {
		err := serveControl(t.Context(), path, controls{}, slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != "precious" {
		t.Errorf("the file was touched: %v", err)
	}
}

func TestAskingAServiceThatDoesNotAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		answer string
		want   string
	}{
		"it ends":        {"", "the service ended before it answered"},
		"it is no latch": {"220 smtp\r\n", "the service ended before it answered"},
		"half an answer": {`{"status":2`, "the service ended before it answered"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = bufio.NewReader(conn).ReadString('\n')
				_, _ = io.WriteString(conn, test.answer)
				_ = conn.Close()
			}()
			if _, err := askControl(t.Context(), path, controlRequest{Command: "status"}); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			if conn, err := l.Accept(); err == nil {
				_, _ = bufio.NewReader(conn).ReadString('\n')
				cancel()
				<-t.Context().Done()
				_ = conn.Close()
			}
		}()
		if _, err := askControl(ctx, path, controlRequest{Command: "status"}); err == nil || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("error %v", err)
		}
	})
}

// A service of an older version refuses what it does not know, and the answer is
// passed on.
func TestControlPassesTheAgentsAnswerOn(t *testing.T) {
	r := newControlRig(t)
	sent := make(chan error, 1)
	r.reply = func(iothub.MethodRequest) iothub.MethodResponse {
		return iothub.MethodResponse{
			Status: 423, Payload: []byte(`{"Response":"the door is in lockdown"}`),
			Sent: func(err error) { sent <- err },
		}
	}
	got := r.say(r.dial(), `{"command":"door","action":"unlock"}`+"\n", 1)[0]
	if got.Status != 423 || string(got.Payload) != `{"Response":"the door is in lockdown"}` {
		t.Errorf("answer %d %s", got.Status, got.Payload)
	}
	if err := <-sent; err != nil {
		t.Error(fmt.Errorf("the agent was told %w", err))
	}
}

func TestControlMaintenance(t *testing.T) {
	r := newControlRig(t)
	got := r.say(r.dial(), `{"command":"maintenance"}`+"\n", 1)[0]
	want := `{"pending":{},"status":{"open":true,"why":"no policy"}}`
	if got.Status != 200 || string(got.Payload) != want {
		t.Errorf("%d %s, want %s", got.Status, got.Payload, want)
	}
}
