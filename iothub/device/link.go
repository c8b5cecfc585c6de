package device

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/eclipse/paho.mqtt.golang/packets"
)

const (
	// writeTimeout bounds one write. Without it a peer that stopped reading
	// blocks even the ping that should find that out.
	writeTimeout = 20 * time.Second

	// maxPacket is the largest packet taken from the hub. The largest that
	// IoT Hub sends is a method of 128 KB; paho would allocate up to 256 MB on
	// the word of a length field.
	maxPacket = 1 << 20
)

// link is the connection beneath paho. It adds what paho does not do: a limit
// on the time of every write and on the size of what is read, and word of its
// end that does not depend on paho's own.
type link struct {
	net.Conn
	closed    chan struct{} // closed when the connection is, by whomever
	closeOnce sync.Once
	frames    frames       // for Read alone
	early     atomic.Int64 // messages that came before the subscription was acknowledged

	writing sync.Mutex // held during a write, so that each has a deadline of its own
}

func newLink(conn net.Conn) *link { return &link{Conn: conn, closed: make(chan struct{})} }

func (l *link) Read(p []byte) (int, error) {
	n, err := l.Conn.Read(p)
	bad := l.frames.check(p[:n])
	l.early.Store(l.frames.early)
	if bad != nil {
		return 0, bad
	}
	return n, err
}

func (l *link) Write(p []byte) (int, error) {
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.Conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := l.Conn.Write(p)
	if err == nil { // TLS writes by itself too, when the peer wants new keys
		err = l.Conn.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// SetWriteDeadline does nothing: Write sees to it. paho's would end another
// goroutine's.
func (l *link) SetWriteDeadline(time.Time) error { return nil }

func (l *link) Close() error {
	l.closeOnce.Do(func() { close(l.closed) })
	return l.Conn.Close()
}

func (l *link) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// frames follows a stream of MQTT packets by their headers. It refuses what
// paho cannot take, and counts the messages before SUBACK: paho reports both
// through different goroutines, so that their order is lost above it.
type frames struct {
	kind   byte // of the packet whose length is being read; 0: the next byte is a header
	length int
	shift  int
	body   int // bytes of the packet that are still to come

	isSubscribed bool  // SUBACK was seen
	early        int64 // PUBLISH packets before it
}

func (f *frames) check(b []byte) error {
	for len(b) > 0 {
		if f.body > 0 {
			n := min(f.body, len(b))
			f.body -= n
			b = b[n:]
			continue
		}
		c := b[0]
		b = b[1:]
		if f.kind == 0 {
			f.kind, f.length, f.shift = c>>4, 0, 0
			if f.kind == 0 {
				return errors.New("the hub sent a packet of type 0")
			}
			continue
		}
		f.length |= int(c&0x7f) << f.shift
		f.shift += 7
		if c&0x80 != 0 {
			if f.shift > 21 { // four bytes at most (MQTT 3.1.1, 2.2.3)
				return errors.New("the hub sent a malformed packet length")
			}
			continue
		}
		if err := f.packet(); err != nil {
			return err
		}
		f.kind, f.body = 0, f.length
	}
	return nil
}

// packet takes the header of a packet.
func (f *frames) packet() error {
	if f.length > maxPacket {
		return fmt.Errorf("the hub sent a packet of %d bytes; at most %d are taken", f.length, maxPacket)
	}
	switch f.kind {
	case packets.Publish:
		if !f.isSubscribed {
			f.early++
		}
	case packets.Suback:
		f.isSubscribed = true
		// Two bytes of packet id, then a code for each filter. paho indexes
		// its filters by these codes unchecked.
		if f.length > 2+len(filters) {
			return errors.New("the hub acknowledged more subscriptions than were asked for")
		}
	}
	return nil
}

// noStore is a paho store that keeps nothing: there is no later session of
// the same client to resume.
type noStore struct{}

func (noStore) Open()                             {}
func (noStore) Put(string, packets.ControlPacket) {}
func (noStore) Get(string) packets.ControlPacket  { return nil }
func (noStore) All() []string                     { return nil }
func (noStore) Del(string)                        {}
func (noStore) Close()                            {}
func (noStore) Reset()                            {}

var _ mqtt.Store = noStore{}
