package device

import (
	"bytes"
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

func TestFrames(t *testing.T) {
	publish := []byte{packets.Publish << 4, 5, 0, 1, 'a', 'b', 'c'}
	suback := []byte{packets.Suback << 4, 5, 0, 1, 0, 0, 0}
	long := append([]byte{packets.Publish << 4, 0x80, 0x01}, make([]byte, 128)...)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, test := range []struct {
		name   string
		stream []byte
		isBad  bool
		early  int64
	}{
		{"packets", join(publish, []byte{packets.Pingresp << 4, 0}, long, suback, publish), false, 2},
		{"too long", []byte{packets.Publish << 4, 0xff, 0xff, 0xff, 0x7f}, true, 0},
		{"malformed length", []byte{packets.Publish << 4, 0xff, 0xff, 0xff, 0xff}, true, 0},
		{"type 0", []byte{0, 0}, true, 0},
		{"too many codes", []byte{packets.Suback << 4, 6, 0, 1, 0, 0, 0, 0}, true, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			for size := 1; size <= len(test.stream); size++ { // however it is cut
				var f frames
				var err error
				for rest := test.stream; len(rest) > 0 && err == nil; {
					n := min(size, len(rest))
					err = f.check(rest[:n])
					rest = rest[n:]
				}
				if (err != nil) != test.isBad || f.early != test.early {
					t.Fatalf("in parts of %d: error %v, %d early messages; want bad %v, %d", size, err, f.early, test.isBad, test.early)
				}
			}
		})
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte{0x20, 2, 0, 0, 0x90, 5, 0, 1, 0, 0, 0, 0x30, 3, 0, 1, 'a'}, 1)
	f.Add([]byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 2)
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		var whole, parts frames
		err := whole.check(stream)
		if cut = max(0, min(cut, len(stream))); err == nil {
			if err := errors.Join(parts.check(stream[:cut]), parts.check(stream[cut:])); err != nil || parts != whole {
				t.Errorf("cut at %d: %v, %+v; whole: %+v", cut, err, parts, whole)
			}
		}
		if whole.body > maxPacket || whole.body < 0 {
			t.Errorf("%d bytes are awaited", whole.body)
		}
	})
}

func TestWriteHasATimeLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		here, there := net.Pipe() // nobody reads there
		defer there.Close()
		l := newLink(here)
		began := time.Now()
		if _, err := l.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %v", err)
		}
		if took := time.Since(began); took != writeTimeout {
			t.Errorf("it took %v", took)
		}
		if err := l.Close(); err != nil || !l.isClosed() {
			t.Errorf("Close: %v", err)
		}
	})
}
