package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"latchd/internal/backoff"
	"latchd/iothub"
)

// maxMethods is how many direct methods may be in flight: running, or with an
// answer that waits for its acknowledgement. A door has use for two or three;
// sixteen leaves room for a job and a diagnosis and still bounds memory.
const maxMethods = 16

// stopGrace is how long methods in flight and messages on their way may take
// after [Client.Run] is told to stop. The service manager kills later.
const stopGrace = 2 * time.Second

// Config says who the device is and who serves it.
type Config struct {
	Connection  iothub.ConnectionString
	Certificate *tls.Certificate // the device's own, needed if and only if Connection says x509=true
	RootCAs     *x509.CertPool   // whom to trust; nil: whom the system trusts
	ModelID     string           // the plug-and-play model, "dtmi:…"; "" announces none
	Product     string           // "latchd/1.2.0": tells the hub's log who called; may be ""
	Clock       Clock            // nil: the system's, which is believed
	Log         *slog.Logger     // nil: no log
	Handler     Handler
}

// Handler is what the client calls. Its functions are called from the
// client's own goroutines, never from an MQTT callback; nil ones are skipped.
// Desired, Reported and Connection are called one at a time. What they are
// given must not be written to.
type Handler struct {
	// Method takes one direct method. The calls come one at a time, in the
	// order in which the requests arrived, so that two commands for one door
	// keep their order; Method returns without waiting for the outcome. It
	// calls respond exactly once, then or later, from any goroutine; the
	// client sends that answer and, if it has a Sent, tells that whether the
	// hub acknowledged it. The context ends two seconds after the client was
	// told to stop. It does not end with the session: a command that has begun
	// is finished, whether or not somebody still hears the answer. Nil answers
	// each method with 404.
	Method func(ctx context.Context, req iothub.MethodRequest, respond func(iothub.MethodResponse))

	// Desired gets the complete desired section whenever it changed, and once
	// after the first connect of the process. Intermediate versions may be
	// skipped. A twin that was created anew begins again at version 1.
	Desired func(iothub.Section)

	// Reported gets what the hub holds in the reported section: after the
	// twin is read on each connect, and after each accepted patch.
	Reported func(held map[string]any)

	// Connection tells of a change: up, or down with why. A first attempt
	// that fails is "down" too, and so is another reason for being down. The
	// renewal of a token is no change.
	Connection func(up bool, why error)
}

// Client is a device's end of the wire. All methods may be called from any
// goroutine, before, during and after Run.
type Client struct {
	connection iothub.ConnectionString
	username   string
	clock      Clock
	log        *slog.Logger
	handler    Handler

	// open makes a connection to the hub whose certificate is verified.
	// Tests replace it.
	open func(context.Context) (net.Conn, error)

	running  atomic.Bool
	requests atomic.Uint64 // the last $rid: unique in the process, so that no answer of an earlier session fits
	inFlight chan struct{} // holds one element per method in flight, of whatever session
	refusals chan struct{} // holds one element per method being refused
	warnings warnings      // about methods
	reports  *reports
	news     *news
	stopped  chan struct{}   // closed when Run is over
	grace    context.Context // of Run: ends stopGrace after its context

	mu      sync.Mutex    // guards the fields below
	session *session      // the one that takes messages; nil: none does
	changed chan struct{} // closed and replaced when session changes
}

// New checks the configuration. It does not connect.
func New(cfg Config) (*Client, error) {
	cs := cfg.Connection
	switch {
	case cs.HostName == "":
		return nil, errors.New("device client: the connection has no HostName")
	case cs.X509 && cfg.Certificate == nil:
		return nil, errors.New("device client: the connection says x509=true, but there is no certificate")
	case !cs.X509 && cfg.Certificate != nil:
		return nil, errors.New("device client: there is a certificate, but the connection does not say x509=true")
	case !cs.X509 && cs.SharedAccessKey.IsZero():
		return nil, errors.New("device client: the connection has neither SharedAccessKey nor x509=true")
	}
	if err := iothub.CheckDeviceID(cs.DeviceID); err != nil {
		return nil, fmt.Errorf("device client: %w", err)
	}
	log := cfg.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	clock := cfg.Clock
	if clock == nil {
		clock = SystemClock{}
	}
	return &Client{
		connection: cs,
		username:   username(cs, cfg.Product, cfg.ModelID),
		clock:      clock,
		log:        log,
		handler:    cfg.Handler,
		open:       dialTLS(cs, cfg.RootCAs, cfg.Certificate, clock),
		inFlight:   make(chan struct{}, maxMethods),
		refusals:   make(chan struct{}, maxRefusals),
		reports:    newReports(log),
		news:       newNews(cfg.Handler, log),
		stopped:    make(chan struct{}),
		changed:    make(chan struct{}),
	}, nil
}

// Run connects, serves and reconnects until ctx ends. Then it lets methods in
// flight finish (for two seconds at most), sends DISCONNECT and returns nil.
// It may be called once; a second call returns an error.
func (c *Client) Run(ctx context.Context) error {
	if !c.running.CompareAndSwap(false, true) {
		return errors.New("device client: Run was called before")
	}
	defer close(c.stopped)
	grace, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stopAfter := context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })
	defer stopAfter()
	c.grace = grace

	told := make(chan struct{})
	go func() {
		defer close(told)
		c.news.tell(ctx)
	}()
	c.keepConnected(ctx)
	c.awaitMethods()
	select { // so that no call of the handler begins after Run has returned
	case <-told:
	case <-grace.Done():
	}
	return nil
}

// keepConnected runs one session after another until ctx ends.
func (c *Client) keepConnected(ctx context.Context) {
	r := retries{log: c.log, connection: c.connection, clockPolicy: backoff.Policy{Cap: clockCap}}
	c.awaitClock(ctx)
	for {
		s := newSession(c)
		err := s.run(ctx)
		if ctx.Err() != nil {
			c.log.Info("the hub client has stopped")
			return
		}
		if errors.Is(err, errRenew) {
			r.noteSuccess()
			continue
		}
		r.noteFailure(s, err, c.news.connection(false, err))
		if r.pause(ctx, err, s.untrusted) != nil {
			return
		}
	}
}

// awaitMethods waits, within the grace, for methods whose session is gone.
func (c *Client) awaitMethods() {
	for range maxMethods {
		select {
		case c.inFlight <- struct{}{}:
		case <-c.grace.Done():
			return
		}
	}
}

// setSession says which session takes messages.
func (c *Client) setSession(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.session = s
	close(c.changed)
	c.changed = make(chan struct{})
}

// currentSession gives the session that takes messages, or nil, and a channel
// that closes when that changes.
func (c *Client) currentSession() (*session, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session, c.changed
}

func (c *Client) nextRequestID() string { return strconv.FormatUint(c.requests.Add(1), 10) }

// Report says what the reported section shall hold for the top-level keys
// named in want (nil: the key shall be absent); other keys of the section are
// left alone. It returns at once; the last call wins. The client sends the
// difference to what the hub holds, one patch at a time, and the rest when
// that is answered.
//
// Values are anything that encoding/json can write; one that it cannot is
// logged and left out. A key that the hub refuses for good is logged and left
// out until its wanted value changes; the other keys are not held up.
func (c *Client) Report(want map[string]any) { c.reports.want(want) }
