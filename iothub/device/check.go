package device

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Check connects to the hub once, as [Client.Run] would, and disconnects. It
// returns when the hub has accepted the device or ctx ends. The error says what
// to look at.
//
// It subscribes to nothing and answers nothing: a command that comes in just
// then is not carried out, and its caller is told so by the hub. A client that
// is connected as the same device loses its connection to this one, and comes
// back by itself.
func Check(ctx context.Context, cfg Config) error {
	cfg.Handler = Handler{}
	c, err := New(cfg)
	if err != nil {
		return err
	}
	s := newSession(c)
	err = s.connect(ctx)
	s.close()
	if err == nil {
		return nil
	}
	hint := classify(err, c.connection.X509).hint
	if hint == "" {
		host, port := c.connection.DialAddress(mqttPort)
		hint = networkHint(err, host, port)
	}
	return fmt.Errorf("%w; %s", err, hint)
}

// networkHint is what to look at when the hub was not reached. The log of a
// running device does without: there it passes by itself.
func networkHint(err error, host, port string) string {
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "check the host name " + host + ", and the network's name server"
	case errors.As(err, &dns):
		return "check the network and its name server (/etc/resolv.conf)"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "check that the hub runs, and that it listens on port " + port
	}
	return "check the network, and that its firewall lets connections to port " + port + " of " + host + " out"
}
