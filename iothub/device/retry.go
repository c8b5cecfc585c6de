package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"latchd/internal/backoff"
	"latchd/iothub"
)

const (
	// stableAfter is how long a session must have been up before the pauses
	// start from the beginning again.
	stableAfter = time.Minute

	// Least pauses, for what does not pass by itself within a second. The
	// jitter comes on top.
	refusedFloor     = 15 * time.Second // a key, a clock or a certificate has to be put right; Device Update waits as long
	unavailableFloor = 5 * time.Second  // the hub itself asked to be left alone
	protocolFloor    = time.Minute      // the other end is no IoT Hub

	// A session that the hub drops within dropSoon of its begin, hintAfter
	// times in a row, is a sign of a second client with the same device id:
	// the hub lets only the newer connection live.
	dropSoon  = 10 * time.Second
	hintAfter = 3
)

var errConnectTimeout = fmt.Errorf("the hub could not be reached within %v", connectTimeout)

// connackError is the hub's refusal of a connection.
type connackError struct {
	code         byte // 1 to 5 (MQTT 3.1.1, 3.2.2.3)
	tokenExpires time.Time
}

func (e *connackError) Error() string {
	return fmt.Sprintf("the hub refused the connection: %s (CONNACK %d)", [...]string{
		1: "it does not speak MQTT 3.1.1",
		2: "it does not accept the client id",
		3: "it is not available",
		4: "bad user name or password",
		5: "not authorized",
	}[e.code], e.code)
}

// lostError says that the other end, or the network, ended the connection.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "the connection was lost: " + e.cause.Error() }
func (e *lostError) Unwrap() error { return e.cause }

// trouble is what a class of errors has in common.
type trouble struct {
	floor time.Duration // the least pause before the next attempt
	hint  string        // what to look at; "" for what everybody knows about networks
}

// classify gives the trouble behind an error.
func classify(err error, x509Device bool) trouble {
	var refused *connackError
	var hub *iothub.Error
	var op *net.OpError
	switch {
	case errors.As(err, new(*clockError)):
		return trouble{clockFloor, "this passes once the time is known: let NTP through, or HTTPS to the hub; timedatectl shows what the system knows"}
	case errors.As(err, &refused):
		return refused.trouble(x509Device)
	case errors.As(err, new(*tls.CertificateVerificationError)):
		return trouble{refusedFloor, certificateHint(err)}
	case errors.As(err, &op) && op.Op == "remote error": // how crypto/tls marks an alert from the peer
		return trouble{refusedFloor, "the hub ended the TLS handshake: check the device's certificate and its key"}
	case errors.As(err, &hub) && hub.Status() == http.StatusTooManyRequests:
		return trouble{throttledFloor, ""}
	case errors.As(err, &hub):
		return trouble{unavailableFloor, ""}
	}
	return trouble{}
}

func (e *connackError) trouble(x509Device bool) trouble {
	switch e.code {
	case 3:
		return trouble{unavailableFloor, ""}
	case 4, 5:
		if x509Device {
			return trouble{refusedFloor, "check that the device exists on this hub and is enabled, and that its certificate (thumbprint, or CA and common name) is the one registered"}
		}
		return trouble{refusedFloor, "check the device's clock, its key, its id and the host name, and that the device is not disabled"}
	}
	return trouble{protocolFloor, "check the host name: this may not be an IoT Hub"}
}

func certificateHint(err error) string {
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, new(x509.UnknownAuthorityError)):
		return "the hub's certificate is from an unknown authority: set the CA file, or check the host name"
	case errors.As(err, new(x509.HostnameError)):
		return "the hub's certificate is for another name: connect by a name that it carries"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the hub's certificate is not valid at this time: check the device's clock"
	}
	return "the hub's certificate cannot be verified"
}

// gist is what stays the same when the same trouble comes again: the error
// without addresses, ports and times.
func gist(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	var invalid x509.CertificateInvalidError
	var clock *clockError
	switch {
	case err == nil:
		return "unknown"
	case errors.As(err, &clock):
		return "clock: " + gist(clock.cause)
	case errors.As(err, &dns):
		return "name look-up: " + dns.Err
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired: // it holds the time
		return "the certificate's time"
	case errors.As(err, &op) && op.Err != nil:
		return op.Op + ": " + op.Err.Error()
	}
	return err.Error()
}

// retries spaces out the sessions and says why they fail.
type retries struct {
	log        *slog.Logger
	connection iothub.ConnectionString

	policy      backoff.Policy // the defaults: base 1 s, cap 5 min, full jitter
	clockPolicy backoff.Policy // for a clockError
	dropped     int            // sessions in a row that were lost soon after their begin
}

// noteSuccess takes note of a session that ended in good order.
func (r *retries) noteSuccess() {
	r.policy.Reset()
	r.clockPolicy.Reset()
	r.dropped = 0
}

// noteFailure takes note of a session that failed. A device may be offline
// for weeks, so only news goes to the log.
func (r *retries) noteFailure(s *session, err error, isNews bool) {
	wasUp := !s.upAt.IsZero()
	if wasUp && time.Since(s.upAt) >= stableAfter {
		r.noteSuccess()
	}
	r.watchDrops(s, err)
	if !isNews {
		r.log.Debug("still not connected to the hub", "error", err)
		return
	}
	what := "cannot connect to the hub"
	if wasUp {
		what = "disconnected from the hub"
	}
	args := []any{"error", err, "host", r.connection.HostName, "device", r.connection.DeviceID}
	if r.connection.GatewayHostName != "" {
		args = append(args, "gateway", r.connection.GatewayHostName)
	}
	if hint := classify(err, r.connection.X509).hint; hint != "" {
		args = append(args, "hint", hint)
	}
	var refused *connackError
	if errors.As(err, &refused) && !refused.tokenExpires.IsZero() {
		args = append(args, "tokenExpires", refused.tokenExpires.UTC().Format(time.RFC3339))
	}
	r.log.Warn(what, args...)
}

// watchDrops looks for a second client with this device's id.
func (r *retries) watchDrops(s *session, err error) {
	if s.connectedAt.IsZero() {
		return
	}
	if !errors.As(err, new(*lostError)) || time.Since(s.connectedAt) >= dropSoon {
		r.dropped = 0
		return
	}
	if r.dropped++; r.dropped%hintAfter == 0 {
		r.log.Error("the hub drops each session within seconds: is another program connected with the same device id?",
			"device", r.connection.DeviceID, "times", r.dropped)
	}
}

// pause waits before the next session. An attempt that was made with a clock that
// is not trusted is repeated soon after it is: trust closes then. Drawn, because
// all devices of a site get their time at once, and not before what the hub, or
// something else than the clock, needs.
func (r *retries) pause(ctx context.Context, err error, trust <-chan struct{}) error {
	floor, policy := classify(err, r.connection.X509).floor, &r.policy
	isClock := errors.As(err, new(*clockError))
	if isClock {
		policy = &r.clockPolicy
	}
	began, wait := time.Now(), floor+policy.Next()
	r.log.Debug("waiting before the next attempt", "wait", wait)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	case <-trust:
	}
	r.policy.Reset()
	if isClock {
		floor = 0
	}
	return r.policy.Wait(ctx, floor-time.Since(began))
}
