package clock

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"time"
)

// TLS gives a copy of a client's configuration that verifies the server's
// certificate, chain and name in full, at the time that is known. ServerName must
// be set.
//
// While the clock is trusted that is the time. Before, all that is known is that
// it is not earlier than the floor, and a certificate that was issued after the
// last run must not keep a device from its hub for ever. So the chain has to be
// valid at some moment from the floor on: at the floor, or at the begin of one of
// its certificates. One that ended before the floor is refused; of one that
// ended since, nobody here can know.
func (c *Clock) TLS(config *tls.Config) *tls.Config {
	config = config.Clone()
	config.Time = c.Now
	// Not without verification: with one that crypto/tls cannot do, which knows
	// one moment only.
	config.InsecureSkipVerify = true
	roots, name, then := config.RootCAs, config.ServerName, config.VerifyConnection
	config.VerifyConnection = func(state tls.ConnectionState) error {
		at, isTrusted := c.earliest()
		if err := verify(state.PeerCertificates, roots, name, at, isTrusted); err != nil {
			return &tls.CertificateVerificationError{UnverifiedCertificates: state.PeerCertificates, Err: err}
		}
		if then != nil {
			return then(state)
		}
		return nil
	}
	return config
}

// verify verifies a server's chain at a moment, or from that moment on.
func verify(chain []*x509.Certificate, roots *x509.CertPool, name string, at time.Time, exactly bool) error {
	if len(chain) == 0 {
		return errors.New("the server showed no certificate")
	}
	if name == "" {
		return errors.New("there is no name to verify the certificate for")
	}
	opts := x509.VerifyOptions{Roots: roots, DNSName: name, Intermediates: x509.NewCertPool(), CurrentTime: at}
	for _, intermediate := range chain[1:] {
		opts.Intermediates.AddCert(intermediate)
	}
	for {
		_, err := chain[0].Verify(opts)
		if err == nil || exactly {
			return err
		}
		next := nextBegin(chain, err, opts.CurrentTime)
		if next.IsZero() {
			return err
		}
		opts.CurrentTime = next
	}
}

// nextBegin is when the next certificate becomes valid, or zero: of the chain, or
// the one that the error is about, which may be a root.
func nextBegin(chain []*x509.Certificate, err error, after time.Time) time.Time {
	var next time.Time
	consider := func(c *x509.Certificate) {
		if c != nil && c.NotBefore.After(after) && (next.IsZero() || c.NotBefore.Before(next)) {
			next = c.NotBefore
		}
	}
	for _, c := range chain {
		consider(c)
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		consider(invalid.Cert)
	}
	return next
}
