package hub

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// A refusal's text is for the hub's log: the device sees only that it was
// refused. It never holds a token or a key.

// authenticateToken checks a device's SAS token: signed with one of its own
// keys, or by a policy that may connect as any device. It gives the token's
// end, at which the connection ends too.
func (h *Hub) authenticateToken(d identity, host, token string) (time.Time, error) {
	s, err := iothub.ParseSAS(token)
	if err != nil {
		return time.Time{}, err
	}
	var signed bool
	if s.Policy == "" {
		if d.auth.kind != rest.AuthSAS {
			return time.Time{}, fmt.Errorf("it sent a token, but authenticates by %s", d.auth.kind)
		}
		signed = s.SignedBy(storedKey(d.auth.primaryKey), storedKey(d.auth.secondaryKey))
	} else {
		p := h.policies[s.Policy]
		signed = p.rights&deviceConnect != 0 && s.SignedBy(p.primary, p.secondary)
	}
	switch {
	case !signed:
		return time.Time{}, errors.New("its token is not signed with its keys, nor by a policy that may connect as a device")
	case s.ExpiredAt(h.now()):
		return time.Time{}, fmt.Errorf("its token expired at %s", s.Expiry.Format(time.RFC3339))
	case !h.isHost(s.Host()):
		return time.Time{}, fmt.Errorf("its token is for the hub %q, which is none of this hub's names", s.Host())
	case host != "" && !h.isHost(host):
		return time.Time{}, fmt.Errorf("its user name is for the hub %q, which is none of this hub's names", host)
	case !s.Covers("devices/" + d.id):
		return time.Time{}, errors.New("its token is for something else than this device")
	}
	return s.Expiry, nil
}

// storedKey reads a key of the registry; one that is not there signs nothing.
func storedKey(text *string) iothub.Key {
	if text == nil {
		return iothub.Key{}
	}
	key, err := iothub.ParseKey(*text)
	if err != nil { // keys are checked before they are stored
		return iothub.Key{}
	}
	return key
}

// authenticateCertificate checks the certificates that a device presented in
// the TLS handshake, where it proved that it has the leaf's key. It gives the
// end of the certificate.
func (h *Hub) authenticateCertificate(d identity, chain []*x509.Certificate) (time.Time, error) {
	if len(chain) == 0 {
		return time.Time{}, errors.New("it sent neither a token nor a certificate")
	}
	leaf := chain[0]
	if now := h.now(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter) {
		return time.Time{}, fmt.Errorf("its certificate is valid from %s to %s", leaf.NotBefore.Format(time.RFC3339), leaf.NotAfter.Format(time.RFC3339))
	}
	switch d.auth.kind {
	case rest.AuthSelfSigned:
		if !hasThumbprint(leaf, d.auth.primaryThumbprint) && !hasThumbprint(leaf, d.auth.secondaryThumbprint) {
			return time.Time{}, errors.New("its certificate has another thumbprint than the registry")
		}
	case rest.AuthCertificateAuthority:
		if err := h.verifyChain(d.id, chain); err != nil {
			return time.Time{}, err
		}
	default:
		return time.Time{}, fmt.Errorf("it sent no token, but authenticates by %s", d.auth.kind)
	}
	return leaf.NotAfter, nil
}

func hasThumbprint(leaf *x509.Certificate, registered *string) bool {
	if !given(registered) {
		return false
	}
	want, err := parseThumbprint(*registered)
	if err != nil { // thumbprints are checked before they are stored
		return false
	}
	if len(want) == sha1.Size {
		got := sha1.Sum(leaf.Raw)
		return subtle.ConstantTimeCompare(got[:], want) == 1
	}
	got := sha256.Sum256(leaf.Raw)
	return subtle.ConstantTimeCompare(got[:], want) == 1
}

func (h *Hub) verifyChain(deviceID string, chain []*x509.Certificate) error {
	if h.deviceCAs == nil {
		return errors.New("this hub knows no certificate authority for devices (latchhub serve --device-ca)")
	}
	if cn := chain[0].Subject.CommonName; cn != deviceID {
		return fmt.Errorf("its certificate is for %q", cn)
	}
	intermediates := x509.NewCertPool()
	for _, c := range chain[1:] {
		intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{
		Roots: h.deviceCAs, Intermediates: intermediates, CurrentTime: h.now(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return fmt.Errorf("its certificate does not lead to a known authority: %w", err)
	}
	return nil
}
