package hub

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"latchd/internal/atomicfile"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour // a Pi at the far end of the building is not visited to renew its trust
	serverLife    = 365 * 24 * time.Hour      // what clients at large accept (some refuse more than 398 days)
	renewBefore   = 30 * 24 * time.Hour       // long enough to span a hub's longest holiday
	// A device without a battery-backed clock may be some hours behind when it
	// first connects.
	backdated = 24 * time.Hour
)

// pair is a certificate with its key.
type pair struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(now time.Time) (pair, error) {
	return issue(&x509.Certificate{
		Subject:   pkix.Name{CommonName: "latchhub " + now.UTC().Format("2006-01-02")},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}, nil)
}

// issueServer makes the server's certificate for the names and writes it.
func issueServer(dir string, ca pair, names []string, now time.Time) error {
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: names[0]},
		NotBefore: now.Add(-backdated), NotAfter: now.Add(serverLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	p, err := issue(template, &ca)
	if err != nil {
		return err
	}
	return p.write(dir, serverFile, serverKeyFile)
}

// issue makes a key and a certificate for it, signed by the authority or by
// itself.
func issue(template *x509.Certificate, by *pair) (pair, error) {
	fail := func(err error) (pair, error) { return pair{}, fmt.Errorf("make a certificate: %w", err) }
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127)); err != nil {
		return fail(err)
	}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fail(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return fail(err)
	}
	return pair{cert, key}, nil
}

func (p pair) write(dir, certName, keyName string) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return fmt.Errorf("write %s: %w", keyName, err)
	}
	keyText := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	if err := atomicfile.WriteFile(filepath.Join(dir, keyName), keyText, privateFile); err != nil {
		return err
	}
	certText := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})
	return atomicfile.WriteFile(filepath.Join(dir, certName), certText, privateFile)
}

func readPair(dir, certName, keyName string) (pair, error) {
	certPath := filepath.Join(dir, certName)
	both, err := tls.LoadX509KeyPair(certPath, filepath.Join(dir, keyName))
	if err != nil {
		return pair{}, fmt.Errorf("read certificate %s and its key: %w", certPath, err)
	}
	key, ok := both.PrivateKey.(*ecdsa.PrivateKey)
	if !ok {
		return pair{}, fmt.Errorf("read certificate %s: its key is a %T, not ECDSA", certPath, both.PrivateKey)
	}
	return pair{both.Leaf, key}, nil
}

// serverCertificate gives the hub's certificate, and makes a new one first
// where the old one ends soon, lacks a name or cannot be read (a crash between
// the writes of a key and its certificate leaves such a pair).
func serverCertificate(dir string, names []string, now time.Time) (tls.Certificate, error) {
	server, err := readPair(dir, serverFile, serverKeyFile)
	if err != nil || !isFor(server.cert, names) || !isTimely(server.cert, now) {
		ca, caErr := readPair(dir, caFile, caKeyFile)
		if caErr != nil {
			return tls.Certificate{}, caErr
		}
		// A clock behind the authority's beginning is not set yet (a machine
		// without a battery starts in 1970), and says nothing about the old
		// certificate. A new one would have ended when the clock is set.
		if err == nil && isFor(server.cert, names) && now.Before(ca.cert.NotBefore) {
			return server.tls(), nil
		}
		if err := issueServer(dir, ca, names, now); err != nil {
			return tls.Certificate{}, err
		}
		if server, err = readPair(dir, serverFile, serverKeyFile); err != nil {
			return tls.Certificate{}, err
		}
	}
	return server.tls(), nil
}

func (p pair) tls() tls.Certificate {
	return tls.Certificate{Certificate: [][]byte{p.cert.Raw}, PrivateKey: p.key, Leaf: p.cert}
}

// isTimely tells whether a certificate is valid and will be for a while.
func isTimely(cert *x509.Certificate, now time.Time) bool {
	return !now.Add(renewBefore).After(cert.NotAfter) && !now.Before(cert.NotBefore)
}

func isFor(cert *x509.Certificate, names []string) bool {
	for _, name := range names {
		if cert.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// readCertificates reads the certificates in a PEM file.
func readCertificates(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the certificate authority of the devices: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("read the certificate authority of the devices: " + path + " holds no certificate in PEM form")
	}
	return pool, nil
}
