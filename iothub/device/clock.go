package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

const (
	// firstTokenWait is how long the first token waits for a clock that is
	// trusted. After a boot NTP takes a few seconds from when the network is up,
	// and the hub's own word some five; a door should not be out of reach for
	// longer, because the clock may be right all the same.
	firstTokenWait = 10 * time.Second

	// A refusal that the clock may be the reason of is tried again after clockFloor
	// and up to clockCap more: the clock may be put right at any moment, and
	// nobody has to come for it.
	clockFloor = 5 * time.Second
	clockCap   = 30 * time.Second
)

// Clock is the time, and how far to believe it.
type Clock interface {
	// Now is the time that tokens are signed with.
	Now() time.Time
	// Trust gives a channel that closes once Now is to be believed; at once if
	// it is.
	Trust() <-chan struct{}
	// TLS gives a copy of a configuration that verifies the hub's certificate in
	// full, at the time as far as it is known.
	TLS(config *tls.Config) *tls.Config
}

// SystemClock is the system's clock, believed as it stands: that of a machine which
// has no reason to doubt it.
type SystemClock struct{}

// Now implements [Clock].
func (SystemClock) Now() time.Time { return time.Now() }

// Trust implements [Clock]: it is trusted at once.
func (SystemClock) Trust() <-chan struct{} { return always }

// TLS implements [Clock]: certificates are verified at the system's time.
func (SystemClock) TLS(config *tls.Config) *tls.Config { return config }

var always = func() <-chan struct{} {
	closed := make(chan struct{})
	close(closed)
	return closed
}()

func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// clockError is a refusal that the clock may be the reason of.
type clockError struct{ cause error }

func (e *clockError) Error() string { return "the clock is not trusted: " + e.cause.Error() }
func (e *clockError) Unwrap() error { return e.cause }

// dependsOnTime tells whether another time could have led to another outcome.
func dependsOnTime(err error, x509Device bool) bool {
	var refused *connackError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &refused):
		return !x509Device && (refused.code == 4 || refused.code == 5)
	case errors.As(err, &invalid):
		return invalid.Reason == x509.Expired
	}
	return false
}

// awaitClock waits a while for a clock that tokens can be signed with. A device
// with a certificate signs none.
func (c *Client) awaitClock(ctx context.Context) {
	trust := c.clock.Trust()
	if c.connection.X509 || isClosed(trust) {
		return
	}
	c.log.Info("waiting for a clock that is trusted, to sign a token", "atMost", firstTokenWait)
	timer := time.NewTimer(firstTokenWait)
	defer timer.Stop()
	select {
	case <-trust:
	case <-timer.C:
	case <-ctx.Done():
	}
}

// isTokenOff tells whether the session's token, by the time as it is known now,
// ends too soon or unduly late: the clock was stepped since, or the machine slept.
func (s *session) isTokenOff() bool {
	const spare = tokenLife - renewAfter
	left := s.expires.Sub(s.client.clock.Now())
	return !s.expires.IsZero() && (left < spare || left > tokenLife+spare)
}
