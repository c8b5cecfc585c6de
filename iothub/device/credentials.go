package device

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// LoadCertificate reads the device's own certificate (with its chain, if it
// has one) and its private key from PEM files. The key must not be encrypted.
func LoadCertificate(certFile, keyFile string) (*tls.Certificate, error) {
	certPEM, err := os.ReadFile(certFile)
	if err != nil {
		return nil, fmt.Errorf("device certificate: %w", err)
	}
	keyPEM, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("key of the device certificate: %w", err)
	}
	pair, err := ParseCertificate(certPEM, keyPEM)
	if err != nil {
		return nil, fmt.Errorf("device certificate %s with key %s: %w", certFile, keyFile, err)
	}
	return pair, nil
}

// ParseCertificate is [LoadCertificate] for texts that are read already.
func ParseCertificate(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	if _, err := ParseCertificates(certPEM); err != nil {
		return nil, fmt.Errorf("the certificate: %w", err)
	}
	if block, _ := pem.Decode(keyPEM); block == nil {
		return nil, errors.New("the key: there is no PEM block in it")
	} else if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return nil, errors.New("the key: it is encrypted with a password, which is not supported")
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, err
	}
	return &pair, nil
}

// LoadRootCAs reads the certificates of a PEM file as the only ones to trust.
func LoadRootCAs(file string) (*x509.CertPool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("CA file: %w", err)
	}
	certificates, err := ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("CA file %s: %w", file, err)
	}
	pool := x509.NewCertPool()
	for _, c := range certificates {
		pool.AddCert(c)
	}
	return pool, nil
}

// ParseCertificates reads all certificates of a PEM text. Unlike the standard
// library it does not pass over a broken one: half a CA file is an operator's
// mistake, and found best while he looks.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	var other string
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			other = block.Type
			continue
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d in it: %w", len(all)+1, err)
		}
		all = append(all, c)
	}
	switch {
	case len(all) > 0:
		return all, nil
	case other != "":
		return nil, fmt.Errorf("there is no certificate in it, but a PEM block %q", other)
	}
	return nil, errors.New("there is no certificate in it (a PEM file with BEGIN CERTIFICATE is needed)")
}
