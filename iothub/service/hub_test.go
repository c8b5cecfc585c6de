package service_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"latchd/iothub"
	"latchd/iothub/service"
)

const policyKey = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="

// A hub that answers from a script, over real TLS, and keeps what it got.
type scriptedHub struct {
	server *httptest.Server

	mu      sync.Mutex // guards what follows
	replies []reply
	got     []request
}

type reply struct {
	status int
	header map[string]string
	body   string
	hangUp bool // close the connection instead of answering
}

type request struct {
	line   string // verb and target
	header http.Header
	body   string
}

// anybody is what a hub has to say at least of a device, its twin, or a job.
const anybody = `{"deviceId":"d1","jobId":"j"}`

// newHub starts a hub that gives the replies one after the other, the last
// one for ever.
func newHub(t *testing.T, replies ...reply) *scriptedHub {
	t.Helper()
	h := &scriptedHub{replies: replies}
	h.server = httptest.NewUnstartedServer(h)
	h.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	h.server.StartTLS()
	t.Cleanup(h.server.Close)
	return h
}

func (h *scriptedHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	h.mu.Lock()
	h.got = append(h.got, request{r.Method + " " + r.RequestURI, r.Header.Clone(), string(body)})
	next := h.replies[0]
	if len(h.replies) > 1 {
		h.replies = h.replies[1:]
	}
	h.mu.Unlock()
	if next.hangUp {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	for name, value := range next.header {
		w.Header().Set(name, value)
	}
	if next.status == 0 {
		next.status = http.StatusOK
	}
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
}

func (h *scriptedHub) requests() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]request{}, h.got...)
}

func (h *scriptedHub) host() string { return strings.TrimPrefix(h.server.URL, "https://") }

// client makes a client that trusts the hub.
func (h *scriptedHub) client(t *testing.T) *service.Client {
	t.Helper()
	return newClient(t, h.host(), service.Options{RootCAs: h.server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
}

func newClient(t *testing.T, host string, o service.Options) *service.Client {
	t.Helper()
	cs, err := iothub.ParseServiceConnectionString(
		"HostName=" + host + ";SharedAccessKeyName=iothubowner;SharedAccessKey=" + policyKey)
	if err != nil {
		t.Fatal(err)
	}
	c := service.New(cs, o)
	t.Cleanup(c.Close)
	return c
}

// handlerTransport serves requests in memory, for tests in a bubble of fake
// time, where the network would not be idle.
type handlerTransport func(*http.Request) reply

func (f handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	next := f(r)
	if next.hangUp {
		return nil, io.ErrUnexpectedEOF
	}
	w := httptest.NewRecorder()
	for name, value := range next.header {
		w.Header().Set(name, value)
	}
	if next.status == 0 {
		next.status = http.StatusOK
	}
	w.WriteHeader(next.status)
	_, _ = io.WriteString(w, next.body)
	return w.Result(), nil
}

// hubError is the body that the registry, twins, queries and jobs refuse with.
func hubError(code iothub.Code, text string) reply {
	return reply{
		status: code.HTTPStatus(),
		header: map[string]string{iothub.ErrorHeader: code.String()},
		body:   fmt.Sprintf(`{"Message":"ErrorCode:%s;%s","ExceptionMessage":"Tracking ID:1"}`, code, text),
	}
}

// methodError is the body that direct methods refuse with: JSON in a string.
func methodError(code iothub.Code, text string) reply {
	inner, _ := json.Marshal(map[string]any{"errorCode": int(code), "trackingId": "1", "message": text, "info": map[string]any{"timeout": "00:00:10"}})
	outer, _ := json.Marshal(map[string]any{"Message": string(inner), "ExceptionMessage": ""})
	return reply{status: code.HTTPStatus(), body: string(outer)}
}
