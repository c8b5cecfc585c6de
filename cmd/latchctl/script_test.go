package main

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"latchd/iothub"
)

// envProgram makes this test binary be latchctl, for the script that runs it as
// a process of its own.
const envProgram = "LATCHCTL_TEST_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(envProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// Each file in testdata is a behaviour of latchctl, named after it, against a
// fake hub. Standard input is what stands in $INPUT.
//
//	hub reply VERB PATH STATUS FILE [HEADER=VALUE]...
//	    answers the next such request, and all later ones until the next reply
//	    is used; requests without a reply are refused as DeviceNotFound
//	hub sent FILE
//	    writes the requests that came since the last time, to compare them
//	hub stop
//	    is a hub that went away
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                "testdata",
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			hub := startFakeHub()
			env.Defer(hub.server.Close)
			env.Values["hub"] = hub
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hub.server.Certificate().Raw})
			env.Setenv("HOST", hub.host())
			env.Setenv("KEY", fakeKey)
			env.Setenv("XDG_CONFIG_HOME", filepath.Join(env.WorkDir, "config"))
			env.Setenv(envCA, filepath.Join(env.WorkDir, "ca.pem"))
			env.Setenv(envConnection, "HostName="+hub.host()+";SharedAccessKeyName=service;SharedAccessKey="+fakeKey)
			binary, err := os.Executable()
			if err != nil {
				return err
			}
			env.Setenv("BINARY", binary)
			env.Setenv(envProgram, "1")
			return os.WriteFile(filepath.Join(env.WorkDir, "ca.pem"), ca, 0o644)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"hub":      hubCommand,
			"latchctl": latchctlCommand,
			"exit":     exitCommand,
			"write":    writeCommand,
		},
	})
}

// writeCommand makes a file with permissions: write FILE MODE TEXT
func writeCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: write FILE MODE TEXT")
	}
	mode, err := strconv.ParseUint(args[1], 8, 32)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(args[2]+"\n"), 0o600))
	ts.Check(os.Chmod(ts.MkAbs(args[0]), os.FileMode(mode)))
}

// latchctlCommand runs latchctl in this process, a hundred times faster than
// in its own: latchctl ARGS... Names of files in ARGS begin with $WORK.
func latchctlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if code := runInProcess(ts, args); neg || code != exitOK {
		ts.Fatalf("exit code %d", code)
	}
}

// exitCommand does the same and checks the exit code: exit CODE latchctl ARGS...
func exitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || args[1] != "latchctl" {
		ts.Fatalf("usage: exit CODE latchctl ARGS...")
	}
	if code := runInProcess(ts, args[2:]); strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func runInProcess(ts *testscript.TestScript, args []string) int {
	stdin := strings.NewReader(ts.Getenv("INPUT"))
	return Run(context.Background(), args, stdin, ts.Stdout(), ts.Stderr(), ts.Getenv)
}

const fakeKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

type fakeHub struct {
	server *httptest.Server

	mu      sync.Mutex // guards what follows
	replies map[string][]fakeReply
	sent    strings.Builder
}

type fakeReply struct {
	status int
	body   string
	header http.Header
}

func startFakeHub() *fakeHub {
	h := &fakeHub{replies: map[string][]fakeReply{}}
	h.server = httptest.NewUnstartedServer(h)
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains of clients that do not trust it
	h.server.StartTLS()
	return h
}

func (h *fakeHub) host() string { return strings.TrimPrefix(h.server.URL, "https://") }

func (h *fakeHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	next := h.take(r, string(body))
	for name, values := range next.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

// take notes the request and gives its reply.
func (h *fakeHub) take(r *http.Request, body string) fakeReply {
	h.mu.Lock()
	defer h.mu.Unlock()
	fmt.Fprintf(&h.sent, "%s %s\n", r.Method, strings.Replace(r.RequestURI, "api-version="+iothub.APIVersion, "v", 1))
	for _, name := range []string{"If-Match", "X-Ms-Continuation"} {
		if value := r.Header.Get(name); value != "" {
			fmt.Fprintf(&h.sent, "%s: %s\n", name, value)
		}
	}
	if body != "" {
		fmt.Fprintln(&h.sent, body)
	}
	key, _ := iothub.ParseKey(fakeKey)
	if sas, err := iothub.ParseSAS(r.Header.Get("Authorization")); err != nil || !sas.SignedBy(key) || sas.Host() != h.host() {
		return refuse(iothub.IotHubUnauthorizedAccess, "Unauthorized")
	}
	at := r.Method + " " + r.URL.Path
	replies := h.replies[at]
	if len(replies) == 0 {
		return refuse(iothub.DeviceNotFound, r.URL.Path)
	}
	if len(replies) > 1 {
		h.replies[at] = replies[1:]
	}
	return replies[0]
}

func refuse(code iothub.Code, text string) fakeReply {
	return fakeReply{
		status: code.HTTPStatus(),
		body:   fmt.Sprintf(`{"Message":"ErrorCode:%s;%s","ExceptionMessage":"Tracking ID:1"}`, code, text),
		header: http.Header{},
	}
}

func hubCommand(ts *testscript.TestScript, neg bool, args []string) {
	hub := ts.Value("hub").(*fakeHub)
	hub.mu.Lock()
	defer hub.mu.Unlock()
	switch {
	case neg:
	case len(args) >= 5 && args[0] == "reply":
		status, err := strconv.Atoi(args[3])
		ts.Check(err)
		next := fakeReply{status: status, header: http.Header{}}
		if args[4] != "-" {
			next.body = ts.ReadFile(args[4])
		}
		for _, field := range args[5:] {
			name, value, _ := strings.Cut(field, "=")
			next.header.Set(name, value)
		}
		at := args[1] + " " + args[2]
		hub.replies[at] = append(hub.replies[at], next)
		return
	case len(args) == 2 && args[0] == "sent":
		ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(hub.sent.String()), 0o644))
		hub.sent.Reset()
		return
	case len(args) == 1 && args[0] == "stop":
		_ = hub.server.Listener.Close()
		hub.server.CloseClientConnections()
		return
	}
	ts.Fatalf("usage: hub reply VERB PATH STATUS FILE [HEADER=VALUE]... | hub sent FILE | hub stop")
}
