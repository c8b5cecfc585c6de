package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"latchd/iothub"
)

// rig is a broker that runs, and the hub behind it.
type rig struct {
	*Broker
	hub  *fakeHub
	dial func(t testing.TB) net.Conn
	stop func() // as at the end of the test; may be called before
}

// start runs a broker on a loopback port until the test ends.
func start(t testing.TB, hub *fakeHub, change ...func(*Config)) *rig {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, hub, l, func(t testing.TB) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}, change...)
}

// startPiped runs a broker without a network, for a bubble of fake time.
func startPiped(t testing.TB, hub *fakeHub, change ...func(*Config)) *rig {
	t.Helper()
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return startOn(t, hub, l, func(t testing.TB) net.Conn {
		near, far := net.Pipe()
		l.conns <- far
		return near
	}, change...)
}

func startOn(t testing.TB, hub *fakeHub, l net.Listener, dial func(testing.TB) net.Conn, change ...func(*Config)) *rig {
	t.Helper()
	c := Config{Backend: hub, TLS: &tls.Config{Certificates: []tls.Certificate{serverCertificate()}}, Log: slog.New(slog.DiscardHandler)}
	for _, f := range change {
		f(&c)
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- b.Serve(ctx, l) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if n := b.ConnectedCount(); n != 0 || len(b.devices) != 0 {
			t.Errorf("after Serve, %d devices are connected and %d remembered; want none", n, len(b.devices))
		}
	})
	t.Cleanup(stop)
	return &rig{Broker: b, hub: hub, dial: dial, stop: stop}
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// serverCertificate is made once: it is the slow part of a test.
var serverCertificate = sync.OnceValue(func() tls.Certificate { return newCertificate("localhost") })

func newCertificate(name string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		// Fake time begins in the year 2000.
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// clientTLS trusts the rig's certificate.
func clientTLS() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(serverCertificate().Leaf)
	return &tls.Config{RootCAs: pool, ServerName: "localhost"}
}

// fakeHub is a Backend in memory. The functions, where set, are asked first.
type fakeHub struct {
	authenticate func(id string, c Credentials) (time.Time, error)
	twin         func(id string) (iothub.Twin, error)
	report       func(id string, patch map[string]any, ifVersion *int64) (int64, error)
	telemetry    func(id string, m iothub.Message) error
	load         func(id string) error
	save         func(id string, filters map[string]byte) error

	mu       sync.Mutex
	changed  chan struct{} // closed at each change below
	twins    map[string]iothub.Twin
	filters  map[string]map[string]byte
	messages []iothub.Message
	states   []string // "+d1", "-d1"
	saves    int
}

var _ Backend = (*fakeHub)(nil)

func (h *fakeHub) update(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.twins == nil {
		h.twins, h.filters = map[string]iothub.Twin{}, map[string]map[string]byte{}
	}
	f()
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// await waits until the condition holds; it is looked at after each change.
func (h *fakeHub) await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for {
		h.mu.Lock()
		ok := condition()
		if h.changed == nil {
			h.changed = make(chan struct{})
		}
		changed := h.changed
		h.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			h.mu.Lock()
			defer h.mu.Unlock()
			t.Fatalf("waited in vain for %s; states %v, %d messages", what, h.states, len(h.messages))
		}
	}
}

// patience is how long a test waits for what must come: long, because it only
// counts when something is wrong.
const patience = 20 * time.Second

func (h *fakeHub) awaitStates(t testing.TB, want ...string) {
	t.Helper()
	h.await(t, "other states", func() bool { return slices.Equal(h.states, want) })
}

func (h *fakeHub) Authenticate(id string, c Credentials) (time.Time, error) {
	if h.authenticate != nil {
		return h.authenticate(id, c)
	}
	if c.Password != "secret" {
		return time.Time{}, errors.New("the password is wrong")
	}
	return time.Time{}, nil
}

func (h *fakeHub) Twin(id string) (t iothub.Twin, err error) {
	if h.twin != nil {
		return h.twin(id)
	}
	h.update(func() { t = h.twinOf(id) })
	return t, nil
}

func (h *fakeHub) twinOf(id string) iothub.Twin {
	t, ok := h.twins[id]
	if !ok {
		t = iothub.Twin{Desired: iothub.Section{Version: 1}, Reported: iothub.Section{Version: 1}}
	}
	return t
}

func (h *fakeHub) Report(id string, patch map[string]any, ifVersion *int64) (v int64, err error) {
	if h.report != nil {
		return h.report(id, patch, ifVersion)
	}
	h.update(func() {
		t := h.twinOf(id)
		if ifVersion != nil && *ifVersion != t.Reported.Version {
			err = iothub.Errorf(iothub.PreconditionFailed, "The version is %d.", t.Reported.Version)
			return
		}
		t.Reported.Properties = iothub.Merge(t.Reported.Properties, patch)
		t.Reported.Version++
		h.twins[id] = t
		v = t.Reported.Version
	})
	return v, err
}

func (h *fakeHub) Telemetry(id string, m iothub.Message) error {
	if h.telemetry != nil {
		if err := h.telemetry(id, m); err != nil {
			return err
		}
	}
	h.update(func() { h.messages = append(h.messages, m) })
	return nil
}

func (h *fakeHub) ConnectionChanged(id string, connected bool) {
	sign := "-"
	if connected {
		sign = "+"
	}
	h.update(func() { h.states = append(h.states, sign+id) })
}

func (h *fakeHub) Subscriptions(id string) (f map[string]byte, err error) {
	if h.load != nil {
		if err := h.load(id); err != nil {
			return nil, err
		}
	}
	h.update(func() { f = maps.Clone(h.filters[id]) })
	return f, nil
}

func (h *fakeHub) SaveSubscriptions(id string, filters map[string]byte) error {
	if h.save != nil {
		if err := h.save(id, filters); err != nil {
			return err
		}
	}
	h.update(func() {
		h.saves++
		if len(filters) == 0 {
			delete(h.filters, id)
		} else {
			h.filters[id] = maps.Clone(filters)
		}
	})
	return nil
}

// isClosed tells whether an error of reading means that the other side closed:
// whatever is not a time that ran out.
func isClosed(err error) bool {
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}
