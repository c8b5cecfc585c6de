package hub

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"latchd/hub/broker"
	"latchd/iothub"
)

// Options say how to run a hub. The zero value is good.
type Options struct {
	DeviceCA string       // PEM file of the authorities whose certificates devices may use; "": none
	Log      *slog.Logger // nil: slog.Default()
}

// Hub is one hub at work. Make one with Open, then Serve; Close it at the end.
type Hub struct {
	log       *slog.Logger
	dir       string
	names     []string // the hub's host names; never empty
	policies  map[string]policy
	deviceCAs *x509.CertPool // nil: none
	store     *store
	broker    devices
	mqtt      *broker.Broker // the same, to serve with
	now       func() time.Time
	unlock    func() error
	cert      atomic.Pointer[tls.Certificate]
	mqttPort  atomic.Pointer[string] // "" until it serves

	desiredMu sync.Mutex // held from the write of a desired section until its notification is queued
	feed      feed
	jobs      *jobs
}

// devices is what the hub asks of the devices; the broker knows how to reach
// them. None but Invoke waits. Errors of Invoke are *iothub.Error, or that of
// its context.
type devices interface {
	Invoke(ctx context.Context, deviceID, method string, payload []byte, connect, response time.Duration) (status int, body []byte, err error)
	NotifyDesired(deviceID string, patch iothub.Section) // in the order of the versions
	Disconnect(deviceID string)
	ForgetSession(deviceID string)
	Connected(deviceID string) bool
	ConnectedCount() int
}

// Open opens the hub in dir, which Init made. No other process can open it
// until Close: ErrInUse.
func Open(dir string, o Options) (_ *Hub, err error) {
	h := &Hub{log: o.Log, dir: dir, now: time.Now}
	if h.log == nil {
		h.log = slog.Default()
	}
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	h.names = c.Names
	if h.policies, err = c.policies(); err != nil {
		return nil, err
	}
	if o.DeviceCA != "" {
		if h.deviceCAs, err = readCertificates(o.DeviceCA); err != nil {
			return nil, err
		}
	}
	if h.unlock, err = lock(dir); err != nil {
		return nil, err
	}
	if err := h.open(); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// open does the part of Open that Close undoes.
func (h *Hub) open() (err error) {
	if err := forgetEndpoints(h.dir); err != nil {
		return err
	}
	if err := h.renewCertificate(); err != nil {
		return err
	}
	if h.store, err = openStore(filepath.Join(h.dir, databaseFile)); err != nil {
		return err
	}
	err = h.store.write(context.Background(), func(tx *sql.Tx) error {
		return disconnectAll(context.Background(), tx, h.now())
	})
	if err != nil {
		return err
	}
	h.mqtt, err = broker.New(broker.Config{Backend: backend{h}, TLS: h.tlsConfig(), Log: h.log, Now: func() time.Time { return h.now() }})
	if err != nil {
		return err
	}
	h.broker = h.mqtt
	h.jobs = newJobs(h)
	return nil
}

// Close gives the directory back. Serve must have returned.
func (h *Hub) Close() error {
	var errs []error
	if h.store != nil {
		errs = append(errs, h.store.close())
	}
	return errors.Join(append(errs, h.unlock())...)
}

func (h *Hub) tlsConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12, // the Python device SDK speaks nothing newer
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return h.cert.Load(), nil },
	}
}

func (h *Hub) renewCertificate() error {
	cert, err := serverCertificate(h.dir, h.names, h.now())
	if err != nil {
		return err
	}
	h.cert.Store(&cert)
	return nil
}

// certificateCheck is how often a hub looks at its certificate. It is renewed
// weeks before its end; but where a machine without a battery learns the time
// only after the start, that may have passed already, and nobody can connect.
const certificateCheck = 10 * time.Minute

// keepCertificate renews the server's certificate in time, until ctx ends.
func (h *Hub) keepCertificate(ctx context.Context) {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := h.renewCertificate(); err != nil {
				h.log.Error("the server's certificate could not be renewed", "err", err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Serve serves devices and operators on the two listeners, which it closes,
// until ctx ends or one of them fails. It returns within seconds: requests in
// progress are cut short. What jobs had not begun goes on with the next Serve.
func (h *Hub) Serve(ctx context.Context, mqtt, https net.Listener) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer func() { err = errors.Join(err, closeAll(mqtt, https)) }()
	_, port, err := net.SplitHostPort(mqtt.Addr().String())
	if err != nil {
		return fmt.Errorf("learn where devices connect: %w", err)
	}
	h.mqttPort.Store(&port)
	if err := h.jobs.recover(ctx); err != nil {
		return err // without it a method could be sent twice
	}
	var wg sync.WaitGroup
	errs := make(chan error, 2)
	wg.Go(func() {
		defer cancel()
		errs <- h.mqtt.Serve(ctx, mqtt)
	})
	wg.Go(func() {
		defer cancel()
		errs <- h.serveHTTPS(ctx, https)
	})
	wg.Go(func() { h.jobs.run(ctx) })
	wg.Go(func() { h.keepCertificate(ctx) })
	err = writeJSON(filepath.Join(h.dir, endpointsFile), endpoints{mqtt.Addr().String(), https.Addr().String()})
	if err != nil {
		cancel()
	} else {
		h.log.Info("the hub is ready", "mqtt", mqtt.Addr().String(), "https", https.Addr().String(), "dir", h.dir)
	}
	wg.Wait()
	return errors.Join(err, <-errs, <-errs)
}

// closeAll closes what is not closed yet.
func closeAll(all ...net.Listener) error {
	var errs []error
	for _, l := range all {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// forgetEndpoints removes the note where the hub in dir listened, so that a
// script that waits for the next one does not read the last.
func forgetEndpoints(dir string) error {
	err := os.Remove(filepath.Join(dir, endpointsFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("forget where the hub listened: %w", err)
	}
	return nil
}
