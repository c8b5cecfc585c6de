package health

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"time"
)

const (
	noHub = "no hub is configured"
	// day is what certificates count in.
	day = 24 * time.Hour
	// ownEnds and hubEnds are how long before its end a certificate is a warning.
	// The device's own takes a person to renew, the hub's usually renews itself in
	// the last 30 days.
	ownEnds = 30 * day
	hubEnds = 14 * day
)

func formatTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func checkCredentials(_ context.Context, f *Facts) finding {
	if f.Credentials == nil {
		return notHere(noHub)
	}
	c, err := f.Credentials()
	if err != nil {
		return faultCredentials.with(err)
	}
	return fine("%s", c.Text)
}

func checkCredentialsEnd(_ context.Context, f *Facts) finding {
	if f.Credentials == nil {
		return notHere(noHub)
	}
	c, err := f.Credentials()
	switch {
	case err != nil:
		return notHere("there are no credentials that can be used")
	case !c.X509 || c.End.IsZero():
		return fine("a key has no end")
	}
	left := c.End.Sub(f.now())
	switch {
	case left <= 0:
		return faultCertificateOver.with(formatTime(c.End))
	case left < ownEnds:
		return faultCertificateEnds.with(formatTime(c.End), int(left/day))
	}
	return fine("the certificate ends at %s, in %d days", formatTime(c.End), int(left/day))
}

func checkDNS(ctx context.Context, f *Facts) finding {
	h := f.hub()
	host := h.Host
	switch {
	case host == "":
		return notHere(noHub)
	case net.ParseIP(host) != nil:
		return fine("%s is an address, which needs no name server", host)
	}
	lookup := h.lookup
	if lookup == nil {
		lookup = net.DefaultResolver.LookupHost
	}
	addresses, err := lookup(ctx, host)
	if err != nil {
		if answer, ok := errors.AsType[*net.DNSError](err); ok && answer.IsNotFound {
			return faultName.with(host, answer.Err)
		}
		return faultNameServer.with(host, err)
	}
	return fine("%s is %s", host, addresses[0])
}

// connect opens a TCP connection to the hub.
func (h Hub) connect(ctx context.Context) (net.Conn, error) {
	dial := h.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	return dial(ctx, "tcp", h.address())
}

func (h Hub) address() string { return net.JoinHostPort(h.Host, h.Port) }

func checkPort(ctx context.Context, f *Facts) finding {
	h := f.hub()
	if h.Host == "" {
		return notHere(noHub)
	}
	conn, err := h.connect(ctx)
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return notHere(h.Host + " has no address, which is what the check dns is about")
	}
	if err != nil {
		return faultPort.with(h.address(), err, h.Port)
	}
	_ = conn.Close()
	return fine("%s takes connections", h.address())
}

func checkTLS(ctx context.Context, f *Facts) finding {
	h := f.hub()
	switch {
	case h.Host == "":
		return notHere(noHub)
	case h.TLS == nil:
		return notHere("there are no credentials that can be used")
	}
	raw, err := h.connect(ctx)
	if err != nil {
		return notHere(h.address() + " cannot be connected to")
	}
	defer raw.Close()
	config := h.TLS.Clone()
	config.Time, config.InsecureSkipVerify = f.now, false
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		return h.tlsFault(err, f.now())
	}
	// The chain is as good as the first of its certificates to end.
	var end time.Time
	for _, chain := range conn.ConnectionState().VerifiedChains[:1] {
		for _, c := range chain {
			if end.IsZero() || c.NotAfter.Before(end) {
				end = c.NotAfter
			}
		}
	}
	left := end.Sub(f.now())
	if left < hubEnds {
		return faultChainEnds.with(h.Host, formatTime(end), int(left/day))
	}
	return fine("the certificate of %s is trusted, and its chain ends at %s, in %d days", h.Host, formatTime(end), int(left/day))
}

// tlsFault says what the error of a handshake means.
func (h Hub) tlsFault(err error, now time.Time) finding {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return faultChainUnknown.with(h.Host, unknown)
	}
	if name, ok := errors.AsType[x509.HostnameError](err); ok {
		return faultChainName.with(h.Host, name)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return faultChainTime.with(h.Host, formatTime(now), invalid)
	}
	return faultChainTLS.with(h.address(), err)
}

func checkHub(_ context.Context, f *Facts) finding {
	h := f.hub()
	switch {
	case h.Host == "":
		return notHere(noHub)
	case h.Connection == nil:
		return notHere("only the service knows, and it does not run")
	}
	up, why := h.Connection()
	switch {
	case up:
		return fine("the device is connected to %s", h.Host)
	case why == nil:
		return faultHub.with(h.Host, "there was no answer yet")
	}
	return faultHub.with(h.Host, why)
}
