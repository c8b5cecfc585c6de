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
// Writing only queues. Mochi writes under a lock, and to a client that does not
// read it would hold that lock as long as TCP is patient; everybody else who
// wants to tell the client something would hang with it. Here the queue is
// bounded, and who overfills it is disconnected.
//
// A packet on its way can be taken back, see recall.
//
// It times the client itself: mochi computes 1.5 × keep-alive in 16 bits, where
// 44000 s become 464 s.
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

// frame is one packet on its way out. The link's mu guards state and end.
type frame struct {
	bytes []byte
	state frameState
	end   int64 // once written: the bytes that TCP had been given then
}

type frameState int

const (
	frameQueued frameState = iota
	frameWriting
	frameWritten
	frameRecalled
)

func newLink(b *Broker, conn net.Conn) *link {
	tcp := &countedConn{Conn: conn}
	k := &link{broker: b, tcp: tcp, tls: tls.Server(tcp, b.cfg.TLS), done: make(chan struct{})}
	k.in = bufio.NewReaderSize(k.tls, 16)
	k.room = sync.NewCond(&k.mu)
	return k
}

// offer queues a packet for a client that may not be reading. False means that
// it was not queued: the connection is closing, or is closed now because too
// much has piled up.
func (k *link) offer(f *frame) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return false
	}
	if k.queued > 0 && k.queued+len(f.bytes) > k.broker.cfg.MaxQueued {
		k.abortLocked()
		return false
	}
	k.pushLocked(f)
	return true
}

// push queues a packet that answers the client's own, after waitRoom.
func (k *link) push(f *frame) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return false
	}
	k.pushLocked(f)
	return true
}

func (k *link) pushLocked(f *frame) {
	k.queue = append(k.queue, f)
	k.queued += len(f.bytes)
	k.startLocked()
}

func (k *link) startLocked() {
	if !k.draining {
		k.draining = true
		go k.drain()
	}
}

// waitRoom waits until less than the bound is queued. It is for the goroutine
// that reads: a client that asks faster than it listens is not read from.
func (k *link) waitRoom() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.closing && k.queued >= k.broker.cfg.MaxQueued {
		k.room.Wait()
	}
	if k.closing {
		return net.ErrClosed
	}
	return nil
}

// drain writes the queue out and ends when it is empty, so that an idle
// connection costs no goroutine for writing.
func (k *link) drain() {
	for {
		f := k.next()
		if f == nil {
			return
		}
		_ = k.tcp.SetWriteDeadline(time.Now().Add(k.broker.cfg.WriteTimeout))
		_, err := k.tls.Write(f.bytes)
		k.wrote(f, err)
	}
}

// next takes a frame from the queue. With none left it ends draining, and the
// connection if that is closing.
func (k *link) next() *frame {
	k.mu.Lock()
	if !k.dead && len(k.queue) > 0 {
		defer k.mu.Unlock()
		f := k.queue[0]
		k.queue[0], k.queue = nil, k.queue[1:]
		k.queued -= len(f.bytes)
		k.room.Broadcast()
		f.state = frameWriting
		return f
	}
	k.queue = nil
	k.draining = false
	closing, dead := k.closing, k.dead
	k.mu.Unlock()
	if closing && !dead {
		_ = k.tls.Close() // says so to the client first; bounded by lingerTimeout
	}
	if closing {
		k.finish()
	}
	return nil
}

func (k *link) wrote(f *frame, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil { // TLS cannot go on after half a record
		k.abortLocked()
		return
	}
	f.state, f.end = frameWritten, k.tcp.written.Load()
}

// recall makes sure that a frame does not arrive from now on. If it is still
// queued it is taken out; if it is on its way, and the client's system has not
// acknowledged all of it, the connection is reset, which drops what is unsent
// and ends retransmission. What has been acknowledged has arrived, though the
// client may not have read it yet; that is for the client to notice.
func (k *link) recall(f *frame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch f.state {
	case frameQueued:
		for i, q := range k.queue {
			if q == f {
				k.queue = append(k.queue[:i:i], k.queue[i+1:]...)
				k.queued -= len(f.bytes)
				k.room.Broadcast()
				break
			}
		}
	case frameWriting:
		k.abortLocked()
	case frameWritten:
		// Read in this order, bytes that are written meanwhile can only make
		// it look less acknowledged than it is.
		written := k.tcp.written.Load()
		if pending, known := unacknowledged(k.tcp.Conn); known && written-pending < f.end {
			k.abortLocked()
		}
	}
	f.state = frameRecalled
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
