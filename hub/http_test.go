package hub_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/hub"
	"latchd/iothub"
)

func TestPathsAndVerbs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, row := range []struct {
		method, path string
		code         iothub.Code
	}{
		{"GET", "/", iothub.ResourceNotFound},
		{"GET", "/nothing", iothub.ResourceNotFound},
		{"GET", "/devices/a/b", iothub.ResourceNotFound},
		{"GET", "/devices//", iothub.ResourceNotFound},
		{"GET", "/twins", iothub.ResourceNotFound},
		{"GET", "//devices", iothub.ResourceNotFound},
		{"GET", "/devices/../jobs", iothub.ResourceNotFound},
		{"PUT", "/devices/d/modules/m", iothub.ResourceNotFound},
		{"GET", "/twins/d/modules/m", iothub.ResourceNotFound},
		{"GET", "/devices/%2F", iothub.ArgumentInvalid},
		{"POST", "/twins/a%2Fmethods", iothub.ArgumentInvalid},
		{"DELETE", "/devices", iothub.MethodNotAllowed},
		{"PATCH", "/devices/d", iothub.MethodNotAllowed},
		{"GET", "/twins/d/methods", iothub.MethodNotAllowed},
		{"DELETE", "/jobs/v2/j", iothub.MethodNotAllowed},
		{"OPTIONS", "/devices", iothub.MethodNotAllowed},
		{"BREW", "/devices", iothub.MethodNotAllowed},
	} {
		t.Run(row.method+" "+row.path, func(t *testing.T) {
			a := r.call(row.method, row.path, "")
			a.t = t
			a.fails(row.code)
		})
	}
	if allow := r.call("DELETE", "/devices", "").header.Get("Allow"); allow != "GET, POST" {
		t.Errorf("Allow: %s", allow)
	}
	head := r.call("HEAD", "/devices", "")
	if head.status != 405 || len(head.body) > 0 {
		t.Errorf("HEAD: %d %q", head.status, head.body)
	}
	r.call("GET", "/devices/query", "").fails(iothub.DeviceNotFound) // a device may be called that
}

// Bodies are refused by their announced length, before they are sent, and by
// their real length where none was announced.
func TestLargeBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	ten := strings.Repeat(" ", 10<<20)
	for _, row := range []struct{ method, path string }{
		{"PUT", "/devices/d"},
		{"POST", "/devices"},
		{"PATCH", "/twins/d"},
		{"PUT", "/twins/d"},
		{"POST", "/twins/d/methods"},
		{"POST", "/devices/query"},
		{"PUT", "/jobs/v2/j"},
		{"GET", "/devices/d"},
		{"POST", "/jobs/v2/j/cancel"},
	} {
		req, err := http.NewRequest(row.method, "https://"+r.https+row.path, io.MultiReader(strings.NewReader(ten))) // chunked
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", r.token("iothubowner"))
		r.do(req).fails(iothub.MessageTooLarge)

		conn, err := tls.Dial("tcp", r.https, &tls.Config{RootCAs: r.roots})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: localhost\r\nAuthorization: %s\r\nContent-Length: %d\r\n\r\n", row.method, row.path, r.token("iothubowner"), len(ten))
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s %s: %v", row.method, row.path, err)
		}
		if answer.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("%s %s: %d before the body", row.method, row.path, answer.StatusCode)
		}
		conn.Close()
	}
}

func TestMalformedBodies(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	deep := strings.Repeat(`{"a":`, 300) + "1" + strings.Repeat("}", 300)
	for _, row := range []struct{ path, body, says string }{
		{"/devices/d", ``, "the body is empty"},
		{"/devices/d", "{\"statusReason\":\"\xff\"}", "the body is not valid UTF-8"},
		{"/devices/d", `{} x`, "the body is not valid JSON"},
		{"/devices/d", `{}}`, "the body is not valid JSON"},
		{"/devices/d", `{}{}`, "the body is not valid JSON"},
		{"/devices/d", `[]`, "the body is not valid here: it cannot be of type array"},
		{"/devices/d", `{"authentication":{"symmetricKey":{"primaryKey":4}}}`, "the body is not valid here: primaryKey cannot be of type number"},
		// One such job would keep some clients from reading the list of all.
		{"/jobs/v2/j", `{"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"m","payload":` + deep + `}}`, "the body is nested deeper than 100 levels"},
		{"/jobs/v2/j", `{"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"tags":{},"ignored":` + deep + `}}`, "the body is nested deeper than 100 levels"},
	} {
		a := r.call("PUT", row.path, row.body)
		a.fails(iothub.ArgumentInvalid)
		if got := a.at("Message"); got != `"ErrorCode:ArgumentInvalid;`+row.says+`"` {
			t.Errorf("%.60q: %s; want %s", row.body, got, row.says)
		}
	}
}

// Content types are not asked about: az sends one even with GET, others none.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i, h := range []string{"Content-Type: application/json", "Content-Type: text/plain", "Content-Type: ", "Accept: text/html"} {
		r.call("PUT", fmt.Sprintf("/devices/d%d", i), `{}`, h).want(200)
	}
	r.call("GET", "/devices/d0", "", "Content-Type: application/json; charset=utf-8").want(200)
}

func TestWaitingRequestsEndWithTheHub(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	type result struct {
		status int
		err    error
	}
	results := make(chan result, 2)
	ask := func(method, path, body string) {
		req, _ := http.NewRequest(method, "https://"+r.https+path, strings.NewReader(body))
		req.Header.Set("Authorization", r.token("iothubowner"))
		resp, err := r.client.Do(req)
		if err != nil {
			results <- result{err: err}
			return
		}
		resp.Body.Close()
		results <- result{status: resp.StatusCode}
	}
	last := r.call("GET", "/__events?after=-1", "").at("last")
	go ask("POST", "/twins/d/methods", `{"methodName":"m","connectTimeoutInSeconds":300}`)
	go ask("GET", "/__events?after="+last+"&wait=300", "")
	time.Sleep(100 * time.Millisecond) // both are waiting; if not, the test is merely weaker
	began := time.Now()
	r.stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("stopping took %s", took)
	}
	<-results
	<-results
}

// A listener that fails ends the hub with its error, not in silence.
func TestServeEndsWithItsListeners(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	for _, broken := range []string{"mqtt", "https"} {
		h, err := hub.Open(dir, hub.Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		mqtt, https := listen(t), listen(t)
		if broken == "mqtt" {
			mqtt.Close()
		} else {
			https.Close()
		}
		if err := h.Serve(context.Background(), mqtt, https); err == nil {
			t.Errorf("%s is broken, and the hub ended without an error", broken)
		}
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}
