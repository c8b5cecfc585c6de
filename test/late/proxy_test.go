package late

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"latchd/test/site"
)

// proxy stands between one device and the hub.
type proxy struct {
	testing.TB
	hub      string // where the hub listens
	listener net.Listener
	server   *tls.Config // towards the device, with the hub's own certificate
	client   *tls.Config // towards the hub

	mu    sync.Mutex // guards the fields below
	links []*link
	stops []*stop
	seen  []*packet // that were handed on whole, in order
}

// newProxy starts a proxy to the hub of a site.
func newProxy(s *site.Site) *proxy {
	s.Helper()
	cert, err := tls.LoadX509KeyPair(s.Path("hub/server.pem"), s.Path("hub/server-key.pem"))
	if err != nil {
		s.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.Read("hub/ca.pem")))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.Fatal(err)
	}
	p := &proxy{
		TB: s.TB, hub: hubAddress(s), listener: l,
		server: &tls.Config{Certificates: []tls.Certificate{cert}},
		client: &tls.Config{RootCAs: roots, ServerName: "localhost"},
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { p.serve(c.(*net.TCPConn)) })
		}
	})
	s.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		links := slices.Clone(p.links)
		p.mu.Unlock()
		for _, k := range links {
			k.reset()
		}
		serving.Wait()
	})
	return p
}

// hubAddress is where the hub listens to devices.
func hubAddress(s *site.Site) string {
	s.Helper()
	var at struct{ MQTT string }
	if err := json.Unmarshal([]byte(s.Read("hub/endpoints.json")), &at); err != nil {
		s.Fatal(err)
	}
	return at.MQTT
}

// address is where the device finds the proxy.
func (p *proxy) address() string {
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	return "localhost:" + port
}

// stop is a place where the proxy stops, once.
type stop struct {
	at      func(*packet) bool
	reached chan *held
}

// stopAt has the proxy stop before the next packet of a kind.
func (p *proxy) stopAt(at func(*packet) bool) *stop {
	s := &stop{at, make(chan *held, 1)}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stops = append(p.stops, s)
	return s
}

// wait waits until the proxy stands there.
func (s *stop) wait(t testing.TB) *held {
	t.Helper()
	patience := time.NewTimer(30 * time.Second)
	defer patience.Stop()
	select {
	case h := <-s.reached:
		return h
	case <-patience.C:
		t.Fatal("the conversation did not come to the point where it is to fail")
		return nil
	}
}

// held is a packet before which the proxy stands. The rest of its direction
// waits behind it.
type held struct {
	*packet
	link    *link
	to      *end
	rest    []byte // of the packet
	release chan struct{}
	passed  chan struct{} // closed when it was handed on, or never will be
	once    sync.Once
}

// handOn hands on what is left of the packet, and all that comes after it.
func (h *held) handOn() { h.once.Do(func() { close(h.release) }) }

// handOnHalf hands on the first half.
func (h *held) handOnHalf() {
	n := len(h.rest) / 2
	if _, err := h.to.tls.Write(h.rest[:n]); err != nil {
		h.link.proxy.Error(err)
	}
	h.rest = h.rest[n:]
}

// count tells how many packets of a kind were handed on.
func (p *proxy) count(is func(*packet) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pk := range p.seen {
		if is(pk) {
			n++
		}
	}
	return n
}

// twice gives the request ids that occur more than once among the packets of a
// kind.
func (p *proxy) twice(is func(*packet) bool) (ids []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	times := map[string]int{}
	for _, pk := range p.seen {
		if is(pk) {
			if times[pk.topic.RequestID]++; times[pk.topic.RequestID] == 2 {
				ids = append(ids, pk.topic.RequestID)
			}
		}
	}
	return ids
}

// serve runs one connection of the device.
func (p *proxy) serve(conn *net.TCPConn) {
	up, err := net.Dial("tcp", p.hub)
	if err != nil { // the hub is away: so is the proxy
		_ = conn.SetLinger(0)
		_ = conn.Close()
		return
	}
	k := &link{
		proxy: p, over: make(chan struct{}),
		device: &end{conn, tls.Server(conn, p.server)},
		hub:    &end{up.(*net.TCPConn), tls.Client(up, p.client)},
	}
	p.mu.Lock()
	p.links = append(p.links, k)
	p.mu.Unlock()
	if err := errors.Join(k.hub.tls.Handshake(), k.device.tls.Handshake()); err != nil {
		k.reset()
		return
	}
	var both sync.WaitGroup
	both.Go(func() { k.pump(k.device, k.hub, false) })
	both.Go(func() { k.pump(k.hub, k.device, true) })
	both.Wait()
}

// link is one connection of the device through the proxy.
type link struct {
	proxy       *proxy
	device, hub *end
	over        chan struct{} // closed when it is of no use any more
	overOnce    sync.Once

	mu     sync.Mutex
	isDeaf bool // the end of one side is not told to the other
}

// end is the proxy's connection with one of the two.
type end struct {
	tcp *net.TCPConn
	tls *tls.Conn
}

// pump hands on one direction.
func (k *link) pump(from, to *end, fromHub bool) {
	r := bufio.NewReader(from.tls)
	for {
		p, err := readPacket(r, fromHub)
		if err == nil {
			err = k.pass(p, to)
		}
		if err != nil {
			k.ended(err)
			return
		}
	}
}

// pass hands on one packet, and stops before it if a test wants so.
func (k *link) pass(p *packet, to *end) error {
	rest := p.raw
	if s := k.proxy.takeStop(p); s != nil {
		h := &held{packet: p, link: k, to: to, rest: rest, release: make(chan struct{}), passed: make(chan struct{})}
		defer close(h.passed)
		s.reached <- h
		select {
		case <-h.release:
			rest = h.rest
		case <-k.over:
			return net.ErrClosed
		}
	}
	if _, err := to.tls.Write(rest); err != nil {
		return err
	}
	k.proxy.mu.Lock()
	k.proxy.seen = append(k.proxy.seen, p)
	k.proxy.mu.Unlock()
	return nil
}

func (p *proxy) takeStop(pk *packet) *stop {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.stops, func(s *stop) bool { return s.at(pk) })
	if i < 0 {
		return nil
	}
	s := p.stops[i]
	p.stops = slices.Delete(p.stops, i, i+1)
	return s
}

// ended passes the end of one side on to the other, as it came.
func (k *link) ended(err error) {
	k.mu.Lock()
	deaf := k.isDeaf
	k.mu.Unlock()
	switch {
	case deaf:
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		k.close()
	default:
		k.reset()
	}
}

// close ends both sides in order.
func (k *link) close() {
	k.overOnce.Do(func() { close(k.over) })
	_ = k.device.tcp.Close()
	_ = k.hub.tcp.Close()
}

// reset ends both sides by a reset.
func (k *link) reset() {
	k.overOnce.Do(func() { close(k.over) })
	k.device.reset()
	k.hub.reset()
}

func (e *end) reset() {
	_ = e.tcp.SetLinger(0)
	_ = e.tcp.Close()
}

// finish sends the end of TCP to both sides and takes no notice of what they
// still say.
func (k *link) finish() {
	k.deafen()
	for _, e := range []*end{k.device, k.hub} {
		if err := e.tcp.CloseWrite(); err != nil && !strings.Contains(err.Error(), "not connected") {
			k.proxy.Error(err)
		}
	}
	k.overOnce.Do(func() { close(k.over) })
}

// deafen has the end of one side not told to the other.
func (k *link) deafen() {
	k.mu.Lock()
	k.isDeaf = true
	k.mu.Unlock()
}

// nudge sends the hub a ping, as the device does each minute: so a connection
// that the hub has given up meanwhile is found to be dead.
func (k *link) nudge() { _, _ = k.hub.tls.Write([]byte{0xc0, 0}) }

// latest is the link that the device uses now.
func (p *proxy) latest() *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.links) == 0 {
		return nil
	}
	return p.links[len(p.links)-1]
}
