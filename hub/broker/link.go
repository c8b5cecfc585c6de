package broker

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// lingerTimeout is how long a connection that is being closed may take to say
// what is still to be said: acknowledgements, and the end of TLS.
const lingerTimeout = 2 * time.Second

// link is one accepted connection. To mochi it is the net.Conn it reads from
// and writes to; below is TLS over TCP. It differs from a plain connection in
// three ways.
//
// Writing only queues, and what is on its way can be taken back: outbound.go.
//
// It times the client itself: mochi computes 1.5 × keep-alive in 16 bits, where
// 44000 s become 464 s.
//
// Closing lets the client know in good order, and waits for nobody.
type link struct {
	broker  *Broker
	tcp     *countedConn
	tls     *tls.Conn
	in      *bufio.Reader           // over tls; sixteen bytes, to look at the first packet's header
	connect connect                 // what CONNECT said, until it is decided; only the reader uses it
	session atomic.Pointer[session] // nil before CONNECT is accepted

	mu       sync.Mutex // guards the fields below
	idle     time.Duration
	queue    []*frame
	queued   int        // bytes in queue
	room     *sync.Cond // signalled when queued shrinks and when closing begins
	draining bool       // a goroutine empties the queue
	closing  bool       // nothing more is accepted
	dead     bool       // closed without farewell

	done     chan struct{} // closed when the connection is
	doneOnce sync.Once
}

func newLink(b *Broker, conn net.Conn) *link {
	tcp := &countedConn{Conn: conn}
	k := &link{broker: b, tcp: tcp, tls: tls.Server(tcp, b.cfg.TLS), done: make(chan struct{})}
	k.in = bufio.NewReaderSize(k.tls, 16)
	k.room = sync.NewCond(&k.mu)
	return k
}

// hangUp closes the connection and lets its session know why.
func (k *link) hangUp(why string) {
	if s := k.session.Load(); s != nil {
		s.close(why)
		return
	}
	k.shut()
}

// shut closes the connection in good order: what is queued is still written,
// and the client sees the end of TLS and of TCP, not a reset, after which
// Node's SDK would not come back. It does not wait for that.
func (k *link) shut() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return
	}
	k.closing = true
	k.room.Broadcast()
	_ = k.tcp.SetReadDeadline(time.Unix(1, 0)) // whoever reads stops now
	time.AfterFunc(lingerTimeout, k.abort)
	k.startLocked()
}

// abort closes the connection at once; what is on its way is dropped.
func (k *link) abort() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.abortLocked()
}

func (k *link) abortLocked() {
	if k.dead {
		return
	}
	k.closing, k.dead = true, true
	k.queue, k.queued = nil, 0
	k.room.Broadcast()
	if t, ok := k.tcp.Conn.(interface{ SetLinger(int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = k.tcp.Close()
	if !k.draining {
		k.finish()
	}
}

func (k *link) finish() {
	k.doneOnce.Do(func() {
		_ = k.tcp.Close()
		close(k.done)
	})
}

// The net.Conn that mochi sees.

func (k *link) Read(p []byte) (int, error) { return k.in.Read(p) }

// Write queues a packet of mochi's: an acknowledgement. Each call is one whole
// packet.
func (k *link) Write(p []byte) (int, error) {
	if err := k.waitRoom(); err != nil {
		return 0, err
	}
	push := k.push
	if s := k.session.Load(); s != nil {
		push = s.acknowledge
	}
	if !push(&frame{bytes: bytes.Clone(p)}) {
		return 0, net.ErrClosed
	}
	return len(p), nil
}

func (k *link) Close() error {
	k.hangUp("")
	return nil
}

func (k *link) LocalAddr() net.Addr  { return k.tcp.LocalAddr() }
func (k *link) RemoteAddr() net.Addr { return k.tcp.RemoteAddr() }

// SetDeadline is what mochi calls before it waits for the next packet. From
// then on the client has its idle time to send a whole one; the deadline that
// mochi names is not used.
func (k *link) SetDeadline(time.Time) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.idle == 0 || k.closing {
		return nil
	}
	return k.tcp.SetReadDeadline(time.Now().Add(k.idle))
}

func (k *link) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (k *link) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// countedConn counts the bytes that TCP has been given.
type countedConn struct {
	net.Conn
	written atomic.Int64
}

func (c *countedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.written.Add(int64(n))
	return n, err
}
