package service

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"latchd/iothub"
)

// UnreachableError says that the hub gave no usable answer: its name does not
// resolve, nobody listens, its certificate is not trusted, the connection
// broke, time ran out.
type UnreachableError struct {
	Host string
	// MaybeSent tells that the request may have reached the hub: it, and a
	// device, may have acted although no answer came.
	MaybeSent bool
	Err       error
}

func (e *UnreachableError) Error() string { return "hub " + e.Host + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *UnreachableError) Unwrap() error { return e.Err }

// Untrusted tells whether the connection failed because the hub's certificate
// was not accepted.
func (e *UnreachableError) Untrusted() bool {
	var (
		verification *tls.CertificateVerificationError
		authority    x509.UnknownAuthorityError
		hostname     x509.HostnameError
		invalid      x509.CertificateInvalidError
	)
	return errors.As(e.Err, &verification) || errors.As(e.Err, &authority) ||
		errors.As(e.Err, &hostname) || errors.As(e.Err, &invalid)
}

// Transient tells whether a call that failed with err may well succeed a
// little later: the network, a throttled or a troubled hub. It does not tell
// whether repeating the call is safe.
func Transient(err error) bool {
	if errors.Is(err, context.Canceled) {
		return false
	}
	if unreachable, ok := errors.AsType[*UnreachableError](err); ok {
		dns, isDNS := errors.AsType[*net.DNSError](err)
		return !unreachable.Untrusted() && !(isDNS && dns.IsNotFound)
	}
	if refused, ok := errors.AsType[*iothub.Error](err); ok {
		return throttled(refused) || refused.Status() >= http.StatusInternalServerError
	}
	return false
}

// throttled tells whether the hub turned a call away for now. Too many active
// jobs is 429 as well, but it passes with the running job, not with a wait.
func throttled(e *iothub.Error) bool {
	return e.Status() == http.StatusTooManyRequests && e.Code != iothub.ThrottlingMaxActiveJobCountExceeded
}

// unreachable wraps what net/http gave, without the URL that *url.Error
// repeats: the caller names the operation. ctx is the caller's; limit was
// ours.
func (c *Client) unreachable(ctx context.Context, err error, sent bool, limit time.Duration) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err
	}
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("no answer within %s: %w", limit, err)
	}
	return &UnreachableError{Host: c.host, MaybeSent: sent, Err: err}
}
