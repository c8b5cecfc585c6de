package pi

import (
	"encoding/binary"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// timeServer answers SNTP (RFC 4330) on the host's loopback. Its time is the
// host's and an offset of the test's choice.
type timeServer struct {
	conn   net.PacketConn
	offset atomic.Int64 // nanoseconds
	silent atomic.Bool  // as in a network that blocks it
	asked  atomic.Int64
}

func newTimeServer(t *testing.T) *timeServer {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &timeServer{conn: conn}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return s
}

func (s *timeServer) port() int { return s.conn.LocalAddr().(*net.UDPAddr).Port }

// now is the time that the server tells.
func (s *timeServer) now() time.Time { return time.Now().Add(time.Duration(s.offset.Load())) }

func (s *timeServer) serve() {
	request := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(request)
		if err != nil {
			return // closed
		}
		s.asked.Add(1)
		if n < 48 || s.silent.Load() {
			continue
		}
		_, _ = s.conn.WriteTo(s.answer(request[:n]), from) // as UDP goes: lost is lost
	}
}

func (s *timeServer) answer(request []byte) []byte {
	a := make([]byte, 48)
	a[0] = request[0]&0x38 | 4 // no leap second, the asker's version, server
	a[1] = 1                   // stratum: a reference clock
	a[2] = request[2]          // the asker's poll interval
	a[3] = 0xec                // precision: 2^-20 s
	copy(a[12:], "TEST")
	now := ntpTime(s.now())
	binary.BigEndian.PutUint64(a[16:], now) // last set
	copy(a[24:32], request[40:48])          // what the asker calls its time of asking
	binary.BigEndian.PutUint64(a[32:], now) // received
	binary.BigEndian.PutUint64(a[40:], now) // sent
	return a
}

// ntpTime is 32 bits of seconds since 1900, modulo their era, and 32 bits of
// their fraction.
func ntpTime(t time.Time) uint64 {
	const from1900 = 2208988800
	return uint64(t.Unix()+from1900)<<32 | uint64(t.Nanosecond())<<32/1e9
}
