package device

import (
	"context"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

func TestCheck(t *testing.T) {
	ca := newAuthority(t)
	h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))}})
	cfg := Config{
		Connection: iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, SharedAccessKey: deviceKey},
		RootCAs:    ca.pool(),
	}
	if err := Check(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	next(t, "connect", h.connects)
	next(t, "goodbye", h.goodbyes)
	nothing(t, "subscription", h.subscribes) // it takes no command

	h.set(func() { h.onConnect = func(string, string) byte { return 5 } })
	if err := Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "not authorized (CONNACK 5); check the device's clock, its key") {
		t.Errorf("refused: %v", err)
	}
	cfg.RootCAs = newAuthority(t).pool()
	if err := Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "; the hub's certificate is from an unknown authority") {
		t.Errorf("another authority: %v", err)
	}
}

func TestCheckOfAHubThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // its backlog takes connections, and nobody speaks
	if err != nil {
		t.Fatal(err)
	}
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	cfg := Config{Connection: iothub.ConnectionString{HostName: "localhost:" + port, DeviceID: testDevice, SharedAccessKey: deviceKey}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Check(ctx, cfg); err == nil || !strings.Contains(err.Error(), "firewall lets connections to port "+port) {
		t.Errorf("silent: %v", err)
	}
	_ = l.Close()
	cfg.Connection.HostName = "localhost:1" // tcpmux, which nobody runs
	if err := Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "listens on port 1") {
		t.Errorf("refused: %v", err)
	}
	cfg.Connection.HostName = "no-such-hub.invalid"
	if err := Check(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "name server") {
		t.Errorf("unknown name: %v", err)
	}
}
