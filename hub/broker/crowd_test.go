package broker

import (
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync"
	"testing"

	"latchd/iothub"
)

// A thousand connections that say nothing, and five hundred idle devices.
func TestCrowd(t *testing.T) {
	r := start(t, &fakeHub{})
	const silent, idle = 1000, 500
	for range silent {
		c := r.dial(t)
		t.Cleanup(func() { _ = c.Close() })
	}
	clients := make([]*rawClient, idle)
	cache := tls.NewLRUClientSessionCache(1) // spares most of the cost of a handshake
	var running sync.WaitGroup
	for worker := range 8 {
		running.Go(func() {
			for i := worker; i < idle; i += 8 {
				c := r.tls(t, func(config *tls.Config) { config.ClientSessionCache = cache })
				c.connect(connectPacket{id: fmt.Sprintf("d%d", i), clean: true})
				c.subscribe(0, iothub.FilterMethods, iothub.FilterDesired)
				clients[i] = c
			}
		})
	}
	running.Wait()
	if n := r.ConnectedCount(); n != idle {
		t.Fatalf("%d connected; want %d", n, idle)
	}
	for i, c := range clients {
		done := r.invoke(t.Context(), c.id, "m", "", 0, patience)
		c.answer(c.expectMethod("m", ""), i, "")
		if got := <-done; got.err != nil || got.status != i {
			t.Fatalf("%s: Invoke gave %+v", c.id, got)
		}
	}
	before := runtime.NumGoroutine()
	r.stop()
	if after := runtime.NumGoroutine(); after > before-idle {
		t.Errorf("%d goroutines before the end, %d after", before, after)
	}
}

// With nothing arriving, the memory of a device that comes and goes is freed.
func TestNothingRemainsOfAbsentDevices(t *testing.T) {
	r := start(t, &fakeHub{})
	for i := range 50 {
		c := r.rawWith(t, connectPacket{id: fmt.Sprintf("d%d", i)})
		c.subscribe(1, iothub.FilterMethods)
		_ = c.tcp.Close()
	}
	r.hub.await(t, "all to be gone", func() bool { return len(r.hub.states) == 100 })
	r.stop() // checks that no device is remembered
	if n := r.mqtt.Clients.Len(); n != 0 {
		t.Errorf("mochi remembers %d clients", n)
	}
	for _, filter := range []string{"$iothub/methods/POST/m", "$iothub/methods/POST/"} {
		if n := len(r.mqtt.Topics.Subscribers(filter).Subscriptions); n != 0 {
			t.Errorf("mochi remembers %d subscriptions", n)
		}
	}
}

// A listener that fails for a moment is asked again.
type flaky struct {
	net.Listener
	mu    sync.Mutex
	fails int
}

func (f *flaky) Accept() (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return nil, fmt.Errorf("accept: too many open files")
	}
	return f.Listener.Accept()
}

func TestServeOutlivesFailingAccepts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := startOn(t, &fakeHub{}, &flaky{Listener: l, fails: 3}, func(t testing.TB) net.Conn {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return c
	})
	r.raw(t, "d1").ping()
}

func TestServeEndsWhenItsListenerDoes(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := start(t, &fakeHub{})
	_ = l.Close()
	if err := r.Serve(t.Context(), l); err == nil {
		t.Error("Serve on a closed listener gives no error")
	}
}

// BenchmarkInvoke measures a method there and back over TLS on loopback.
func BenchmarkInvoke(b *testing.B) {
	r := start(b, &fakeHub{})
	c := r.raw(b, "d1")
	c.subscribe(0, iothub.FilterMethods)
	go func() {
		const prefix = len("$iothub/methods/POST/m/?$rid=")
		for {
			p, err := c.read()
			if err != nil {
				return
			}
			topic, body, _ := p.publish()
			_, _ = c.conn.Write(publishPacket("$iothub/methods/res/200/?$rid="+topic[prefix:], body, 0, 0, 0))
		}
	}()
	payload := []byte(`{"lockTime":"10m"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Invoke(b.Context(), "d1", "m", payload, 0, patience); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkConnectedDevice shows the memory of a device that is connected,
// subscribed and idle; both ends of the connection are counted.
func BenchmarkConnectedDevice(b *testing.B) {
	r := start(b, &fakeHub{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	n := 0
	for b.Loop() {
		c := r.raw(b, fmt.Sprintf("d%d", n))
		c.subscribe(0, iothub.FilterMethods, iothub.FilterDesired)
		n++
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.HeapInuse+after.StackInuse-before.HeapInuse-before.StackInuse)/float64(n), "bytes/device")
}
