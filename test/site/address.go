package site

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Address gives an address of the loopback, "127.0.0.1:PORT", whose port is
// the test's until its end: a server of the test may leave it and come back,
// and no other test takes it meanwhile.
//
// The port is below those that the kernel gives out by itself (32768 and more,
// ip_local_port_range), and a listener on its neighbour, 127.0.0.2:PORT, tells
// the other tests, of this process and of others, that it is taken.
func Address(t testing.TB) string {
	t.Helper()
	for range 100 {
		port := strconv.Itoa(16384 + rand.IntN(16384))
		claim, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err != nil {
			continue
		}
		probe, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil { // a program of somebody else's
			_ = claim.Close()
			continue
		}
		_ = probe.Close()
		t.Cleanup(func() { _ = claim.Close() })
		return "127.0.0.1:" + port
	}
	t.Fatal("no free port on the loopback")
	return ""
}
