package health

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"sync"
	"time"
)

// testKey signs everything here; making one takes longer than a test.
var testKey = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })

// serveTLS makes the hub one with a certificate for that name that is good from a
// year ago until end, and makes the device trust it.
func (d *device) serveTLS(name string, end time.Time) {
	d.Helper()
	key, err := testKey()
	if err != nil {
		d.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: end.Add(-700 * day), NotAfter: end,
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		d.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		d.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	d.hub.TLS = &tls.Config{ServerName: d.hub.Host, RootCAs: roots, MinVersion: tls.VersionTLS12}
	served := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	d.serve(func(conn net.Conn) {
		_ = tls.Server(conn, served).Handshake() // the client tells what went wrong
	})
}

// serve makes the hub what answers on each connection. It is TCP and no pipe,
// because both ends of a handshake that fails write at the same time.
func (d *device) serve(answer func(net.Conn)) {
	d.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				answer(conn)
			}()
		}
	}()
	d.hub.dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
	}
}
