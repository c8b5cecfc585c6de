package hub

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"time"

	"latchd/iothub"
)

// What a client may take its time for. A method call and a reader of the feed
// take longer; their handlers ask for it (request.patience).
const (
	headerTimeout  = 10 * time.Second
	requestTimeout = 30 * time.Second // also to read the largest body over a slow line
	idleTimeout    = 2 * time.Minute  // Node keeps connections for its next call
	shutdownGrace  = 2 * time.Second  // for answers that are under way
	maxHeaderBytes = 16 << 10         // real requests have under 2 KB
)

// serveHTTPS serves the service API until ctx ends.
func (h *Hub) serveHTTPS(ctx context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           http.HandlerFunc(h.serveRequest),
		TLSConfig:         h.tlsConfig(),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Requests that wait see that the hub stops.
		BaseContext: func(net.Listener) context.Context { return ctx },
		// Failed handshakes are everyday: a scanner, a client without the CA.
		ErrorLog: slog.NewLogLogger(h.log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(stopped)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
		defer cancel()
		if server.Shutdown(grace) != nil {
			_ = server.Close()
		}
	})
	err := server.ServeTLS(l, "", "")
	if !stop() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve the service API: %w", err)
}

// request is one call of the service API.
type request struct {
	*http.Request
	w    http.ResponseWriter
	args []string // what stands for {} in the route, decoded
	body []byte
}

// patience allows the request to take d longer than most.
func (r *request) patience(d time.Duration) error {
	c := http.NewResponseController(r.w)
	until := time.Now().Add(d + requestTimeout)
	// Reading too: the server reads on to notice a client that hangs up.
	return errors.Join(c.SetReadDeadline(until), c.SetWriteDeadline(until))
}

// serveRequest answers every request, whatever happens to it.
func (h *Hub) serveRequest(w http.ResponseWriter, r *http.Request) {
	id := newRequestID()
	w.Header().Set("x-ms-request-id", id)
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			h.log.Error("a request made the hub panic", "method", r.Method, "path", r.URL.Path, "request", id, "panic", p, "stack", string(debug.Stack()))
			h.writeError(w, iothub.Errorf(iothub.ServerError, "the hub failed on this request"), id, false)
		}
	}()
	route, args, err := findRoute(r, w.Header())
	if err != nil {
		h.writeError(w, err, id, false)
		return
	}
	a, err := h.handle(w, r, route, args)
	if err == nil {
		a.write(w)
		return
	}
	if _, known := isWire(err); !known {
		if r.Context().Err() != nil { // or the client has hung up, and does not read this
			err = iothub.Errorf(iothub.ServiceUnavailable, "the hub is stopping")
		} else {
			h.log.Error("a request failed", "method", r.Method, "path", r.URL.Path, "request", id, "err", err)
		}
	}
	h.writeError(w, err, id, route.methodErrors)
}

// handle checks who asks, reads the body and calls the route's function.
func (h *Hub) handle(w http.ResponseWriter, r *http.Request, route *route, args []string) (answer, error) {
	if err := h.authorizeService(r.Header.Get("Authorization"), r.URL.Path, route.needs); err != nil {
		return answer{}, err
	}
	body, err := readBody(w, r, route.maxBody)
	if err != nil {
		return answer{}, err
	}
	return route.do(h, &request{Request: r, w: w, args: args, body: body})
}

// readBody reads a body of at most limit bytes. A larger one is refused before
// it is read where its length was announced.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	tooLarge := iothub.Errorf(iothub.MessageTooLarge, "the body of this request may have at most %d bytes", limit)
	if r.ContentLength > limit {
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var over *http.MaxBytesError
	switch {
	case errors.As(err, &over):
		return nil, tooLarge
	case err != nil:
		return nil, iothub.Errorf(iothub.ArgumentInvalid, "the body of the request did not arrive whole")
	}
	return body, nil
}

func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand aborts the program instead
	t := hex.EncodeToString(b[:])
	return t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:]
}
