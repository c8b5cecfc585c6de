package hub_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"latchd/hub"
	"latchd/iothub"
)

// rig is a hub at work in this process: real TLS, real SQLite, real broker.
type rig struct {
	t           *testing.T
	dir         string
	mqtt, https string // addresses
	roots       *x509.CertPool
	client      *http.Client
	sessions    tls.ClientSessionCache // spares most handshakes their signatures
	stop        func()
}

// newRig makes a hub and serves it until the end of the test.
func newRig(t *testing.T) *rig {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	return serveRig(t, dir, hub.Options{})
}

func serveRig(t *testing.T, dir string, o hub.Options) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir}
	o.Log = slog.New(slog.NewTextHandler(testLog{t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	h, err := hub.Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	mqtt, https := listen(t), listen(t)
	r.mqtt, r.https = mqtt.Addr().String(), https.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := h.Serve(ctx, mqtt, https); err != nil {
			t.Errorf("serve: %v", err)
		}
	}()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		within(t, "the hub stops", served)
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	t.Cleanup(r.stop)
	r.trust()
	return r
}

// trust makes the client that trusts the hub's authority.
func (r *rig) trust() {
	r.t.Helper()
	ca, err := os.ReadFile(filepath.Join(r.dir, "ca.pem"))
	if err != nil {
		r.t.Fatal(err)
	}
	r.roots = x509.NewCertPool()
	r.roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots}}
	r.sessions = tls.NewLRUClientSessionCache(0)
	r.client = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	r.t.Cleanup(transport.CloseIdleConnections)
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// testLog sends the hub's log to the test's.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// policy gives the connection string of a policy.
func (r *rig) policy(name string) iothub.ConnectionString {
	r.t.Helper()
	text, err := hub.ConnectionString(r.dir, name)
	if err != nil {
		r.t.Fatal(err)
	}
	c, err := iothub.ParseServiceConnectionString(text)
	if err != nil {
		r.t.Fatal(err)
	}
	return c
}

func (r *rig) token(policyName string) string {
	r.t.Helper()
	return iothub.NewSAS(r.policy(policyName).SharedAccessKey, "localhost", time.Now().Add(time.Hour), policyName)
}

// reply is an answer of the service API.
type reply struct {
	t      *testing.T
	status int
	header http.Header
	body   []byte
}

// call makes a request as iothubowner. headers are "Name: value".
func (r *rig) call(method, path, body string, headers ...string) reply {
	r.t.Helper()
	return r.callAs(r.token("iothubowner"), method, path, body, headers...)
}

func (r *rig) callAs(token, method, path, body string, headers ...string) reply {
	r.t.Helper()
	join := "?"
	if strings.Contains(path, "?") {
		join = "&"
	}
	req, err := http.NewRequest(method, "https://"+r.https+path+join+"api-version=2021-04-12", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	return r.do(req)
}

// request makes a request as iothubowner without sending it.
func (r *rig) request(method, path string) *http.Request {
	r.t.Helper()
	req, err := http.NewRequest(method, "https://"+r.https+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", r.token("iothubowner"))
	return req
}

func (r *rig) do(req *http.Request) reply {
	r.t.Helper()
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if id := resp.Header.Get("x-ms-request-id"); len(id) != 36 {
		r.t.Errorf("%s %s: x-ms-request-id is %q", req.Method, req.URL.Path, id)
	}
	return reply{r.t, resp.StatusCode, resp.Header, body}
}

// want checks the status.
func (a reply) want(status int) reply {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return a
}

// doc reads the body as an object.
func (a reply) doc() map[string]any {
	a.t.Helper()
	d, err := iothub.DecodeObject(a.body)
	if err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return d
}

// at gives a member by its path, as JSON text; "" where it is not.
func (a reply) at(path ...string) string {
	a.t.Helper()
	var v any = a.doc()
	for _, p := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if v, ok = m[p]; !ok {
			return ""
		}
	}
	return toJSON(a.t, v)
}

// list reads the body as an array.
func (a reply) list() []map[string]any {
	a.t.Helper()
	var out []map[string]any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&out); err != nil {
		a.t.Fatalf("%v: %s", err, a.body)
	}
	return out
}

// fails checks an error: its code, its header and its body.
func (a reply) fails(code iothub.Code) *iothub.Error {
	a.t.Helper()
	a.want(code.HTTPStatus())
	if got := a.header.Get(iothub.ErrorHeader); got != code.String() {
		a.t.Errorf("%s: %q, want %q", iothub.ErrorHeader, got, code)
	}
	e := iothub.DecodeError(a.status, "", a.body)
	if e.Code != code {
		a.t.Errorf("the body says %v, want %v: %s", e.Code, code, a.body)
	}
	return e
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

// addDevice registers a device and gives its primary key.
func (r *rig) addDevice(id string) iothub.Key {
	r.t.Helper()
	var d struct {
		Authentication struct {
			SymmetricKey struct{ PrimaryKey string }
		}
	}
	a := r.call("PUT", "/devices/"+id, `{"deviceId":"`+id+`"}`).want(200)
	if err := json.Unmarshal(a.body, &d); err != nil {
		r.t.Fatal(err)
	}
	key, err := iothub.ParseKey(d.Authentication.SymmetricKey.PrimaryKey)
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

// patience is how long a test waits for what happens at once on an idle machine.
const patience = 20 * time.Second

// within waits until a channel is closed.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		var all bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&all, 1)
		t.Fatalf("it never came: %s\n%s", what, &all)
	}
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(patience)
	for !condition() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("it never came: %s", what)
		}
	}
}
