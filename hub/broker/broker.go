package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"latchd/internal/backoff"
	"latchd/iothub"
)

// Backend is what the broker asks of the hub. It is called from the goroutines
// of the connections, several at once; one session calls it for one thing at a
// time. Its methods may call those of the Broker that never block, no others.
type Backend interface {
	// Authenticate checks one CONNECT; expiry is when the credential ends
	// (zero: never). A refusal is an error, answered with CONNACK 5; its text
	// is for the hub's log only. An *iothub.Error with a 5xx status means that
	// the hub itself is at fault, and is answered with CONNACK 3.
	Authenticate(deviceID string, c Credentials) (expiry time.Time, err error)
	// Twin reads both sections of the device's twin.
	Twin(deviceID string) (iothub.Twin, error)
	// Report applies a merge patch to the reported section durably and returns
	// the version it has then. The patch is a JSON object and otherwise
	// unchecked; it may be empty. ifVersion is the version that the device
	// expects the section to have, nil if it named none. A refusal is an
	// *iothub.Error; any other error reaches the device as 500 without its text.
	Report(deviceID string, patch map[string]any, ifVersion *int64) (version int64, err error)
	// Telemetry stores a message durably: the device gets its PUBACK after nil.
	// After an error it is disconnected and will try again.
	Telemetry(deviceID string, m iothub.Message) error
	// ConnectionChanged tells of up and down, in order per device. A device
	// that takes over its own older connection goes down and up.
	ConnectionChanged(deviceID string, connected bool)
	// Subscriptions and SaveSubscriptions keep the filters (each with its
	// granted QoS) of a client with CleanSession=0, also across restarts of
	// the hub: Python's SDK never subscribes again. Saving none drops them.
	Subscriptions(deviceID string) (map[string]byte, error)
	SaveSubscriptions(deviceID string, filters map[string]byte) error
}

// Credentials are what a CONNECT says about who is there.
type Credentials struct {
	Host         string // first part of the user name, may carry a port
	Password     string // a SAS token, or ""
	HasPassword  bool
	Certificates []*x509.Certificate // the client's TLS chain, leaf first; it has the leaf's key, nothing else is verified
	ModelID      string              // the DTDL model it announces, or ""
	APIVersion   string              // or ""
	ClientType   string              // free text about its SDK, or ""
}

const (
	// DefaultConnectTimeout is what a client has from the first TCP packet to
	// a whole CONNECT. A Raspberry Pi Zero takes two seconds for a TLS
	// handshake; five times that leaves room for a slow network.
	DefaultConnectTimeout = 10 * time.Second
	// DefaultWriteTimeout is how long one packet may take to go out. The
	// largest, a method of 128 KB, then needs no more than 5 KB/s.
	DefaultWriteTimeout = 30 * time.Second
	// DefaultMaxQueued bounds the bytes waiting for one device: eight of the
	// largest methods. A device that lets more pile up is disconnected.
	DefaultMaxQueued = 1 << 20
	// DefaultMaxMethods bounds the methods one device owes an answer to. IoT
	// Hub has such a limit (403800) but does not publish the number.
	DefaultMaxMethods = 32
)

// Config says how to run. Backend and TLS are required.
type Config struct {
	Backend Backend
	TLS     *tls.Config      // with the server's certificate; what it says about client certificates is not used
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // the wall clock, by which credentials end; nil: time.Now

	ConnectTimeout time.Duration // 0: DefaultConnectTimeout
	WriteTimeout   time.Duration // 0: DefaultWriteTimeout
	MaxQueued      int           // bytes; 0: DefaultMaxQueued
	MaxMethods     int           // 0: DefaultMaxMethods
}

// Broker serves devices. Make one with New; all its methods may be called at
// any time and from anywhere.
type Broker struct {
	cfg  Config
	mqtt *mqtt.Server

	mu        sync.Mutex         // guards the fields below and those of every device
	devices   map[string]*device // those with a session, a CONNECT in progress, or somebody waiting for one
	connected int

	refused refusals
	pulse   pulse
}

// New makes a Broker. It starts nothing; Serve does.
func New(c Config) (*Broker, error) {
	if c.Backend == nil || c.TLS == nil {
		return nil, errors.New("making a broker: it needs a backend and a TLS configuration")
	}
	if len(c.TLS.Certificates) == 0 && c.TLS.GetCertificate == nil && c.TLS.GetConfigForClient == nil {
		return nil, errors.New("making a broker: the TLS configuration has no server certificate")
	}
	c.TLS = deviceTLS(c.TLS)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.ConnectTimeout <= 0 {
		c.ConnectTimeout = DefaultConnectTimeout
	}
	if c.WriteTimeout <= 0 {
		c.WriteTimeout = DefaultWriteTimeout
	}
	if c.MaxQueued <= 0 {
		c.MaxQueued = DefaultMaxQueued
	}
	if c.MaxMethods <= 0 {
		c.MaxMethods = DefaultMaxMethods
	}
	b := &Broker{cfg: c, devices: map[string]*device{}, refused: refusals{log: c.Log}}
	var err error
	if b.mqtt, err = newMochi(b); err != nil {
		return nil, fmt.Errorf("making a broker: %w", err)
	}
	return b, nil
}

// deviceTLS adds what devices need: TLS 1.2, because Python's SDK speaks
// nothing newer, and a question for a certificate that need not be answered,
// because devices with keys have none. Whose certificate it is, the Backend
// decides by thumbprint; hence no list of authorities.
func deviceTLS(c *tls.Config) *tls.Config {
	c = c.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	c.ClientAuth = tls.RequestClientCert
	c.ClientCAs = nil
	return c
}

// Serve accepts plain TCP connections from l and speaks TLS and MQTT on them
// until ctx ends. Then it closes l and all its connections, waits for their
// last words to the Backend, and returns nil. A listener that fails for good
// is an error.
func (b *Broker) Serve(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var open links
	var running sync.WaitGroup
	stop := context.AfterFunc(ctx, func() {
		_ = l.Close()
		open.closeAll()
	})
	defer func() {
		cancel()
		stop()
		_ = l.Close()
		open.closeAll()
		running.Wait()
		b.refused.summarize()
	}()
	running.Go(func() { b.pulse.run(ctx) })
	retry := backoff.Policy{Base: 5 * time.Millisecond, Cap: time.Second}
	for {
		conn, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accepting devices: %w", err)
		case err != nil:
			// Out of file descriptors, most likely: the devices that are here
			// must not suffer for it, and it passes.
			b.cfg.Log.Warn("a device could not be accepted", "err", err)
			_ = retry.Wait(ctx, time.Millisecond)
			continue
		}
		retry.Reset()
		k := newLink(b, conn)
		if !open.add(k) {
			k.abort()
			continue
		}
		running.Go(func() {
			defer open.remove(k)
			b.serve(k)
		})
	}
}

// links are the open connections of one listener.
type links struct {
	mu     sync.Mutex
	all    map[*link]struct{}
	closed bool
}

func (s *links) add(k *link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.all == nil {
		s.all = map[*link]struct{}{}
	}
	s.all[k] = struct{}{}
	return true
}

func (s *links) remove(k *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, k)
}

func (s *links) closeAll() {
	s.mu.Lock()
	s.closed = true
	all := make([]*link, 0, len(s.all))
	for k := range s.all {
		all = append(all, k)
	}
	s.mu.Unlock()
	for _, k := range all {
		k.hangUp("the hub stops")
	}
}
