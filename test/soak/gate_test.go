package soak

import (
	"io"
	"net"
	"sync"
	"testing"
)

// gate stands between a device and its hub. While it is closed, nothing that
// the device sends reaches the hub; what the hub sends still reaches the
// device. TLS goes through it untouched.
type gate struct {
	listener net.Listener
	hub      string

	mu     sync.Mutex // guards the fields below
	opened *sync.Cond
	closed bool
	held   int // bytes that wait, of all connections
}

// newGate puts a gate in front of the hub at the address.
func newGate(t testing.TB, hub string) *gate {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{listener: l, hub: hub}
	g.opened = sync.NewCond(&g.mu)
	t.Cleanup(func() {
		g.open()
		_ = l.Close()
	})
	go func() {
		for {
			device, err := l.Accept()
			if err != nil {
				return
			}
			go g.connect(device)
		}
	}()
	return g
}

func (g *gate) connect(device net.Conn) {
	defer device.Close()
	hub, err := net.Dial("tcp", g.hub)
	if err != nil {
		return
	}
	defer hub.Close()
	go func() {
		_, _ = io.Copy(device, hub)
		_ = device.Close()
	}()
	buffer := make([]byte, 64<<10)
	for {
		n, err := device.Read(buffer)
		g.wait(n)
		if _, failed := hub.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

// wait holds bytes back until the gate is open.
func (g *gate) wait(bytes int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held += bytes
	for g.closed {
		g.opened.Wait()
	}
	g.held -= bytes
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = true
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = false
	g.opened.Broadcast()
}

// holds tells whether something waits.
func (g *gate) holds() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held > 0
}
