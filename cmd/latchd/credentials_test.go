package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// selfSigned makes a certificate and its key, both in PEM.
func selfSigned(name string, from, to time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, SerialNumber: big.NewInt(from.UnixNano()),
		NotBefore: from, NotAfter: to, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return encodePEM("CERTIFICATE", der), encodePEM("PRIVATE KEY", keyDER), nil
}

// credentialFixture is a directory with credentials as systemd shows them, and
// one with files that a configuration may name.
func credentialFixture(t *testing.T) (dir string, write func(name, text string) string) {
	t.Helper()
	dir = t.TempDir()
	return dir, func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

const secretText = "c2VjcmV0c2VjcmV0c2VjcmV0"

func sasString(device string) string {
	return "HostName=hub.example.net;DeviceId=" + device + ";SharedAccessKey=" + secretText
}

func TestWhichCredentialsCount(t *testing.T) {
	cert, key, err := selfSigned("door", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	const x509String = "HostName=hub.example.net;DeviceId=certified;x509=true\n"
	for _, test := range []struct {
		name    string
		stored  map[string]string
		hub     func(write func(name, text string) string) hubConfig
		device  string
		roots   bool
		own     bool
		fails   string
		wantErr error
	}{
		{name: "none", wantErr: errNotConfigured},
		{name: "plain", stored: map[string]string{"latchd_connection-string": sasString("plain") + "\n"}, device: "plain"},
		{name: "encrypted wins as a whole", stored: map[string]string{
			"latchd_connection-string": sasString("plain"), "latchd_ca.pem": string(cert),
			"latchd-encrypted_connection-string": sasString("encrypted"),
		}, device: "encrypted"},
		{name: "encrypted for another machine", stored: map[string]string{"latchd-note_undecryptable": ""}, wantErr: errUndecryptable},
		{name: "plain ones beside those", stored: map[string]string{
			"latchd-note_undecryptable": "", "latchd_connection-string": sasString("plain"),
		}, device: "plain"},
		{name: "with a CA", stored: map[string]string{"latchd_connection-string": sasString("plain"), "latchd_ca.pem": string(cert)}, device: "plain", roots: true},
		{name: "certified", stored: map[string]string{
			"latchd_connection-string": x509String, "latchd_certificate.pem": string(cert), "latchd_key.pem": string(key),
		}, device: "certified", own: true},
		{name: "certified without its key", stored: map[string]string{
			"latchd_connection-string": x509String, "latchd_certificate.pem": string(cert),
		}, fails: "hub.key_file"},
		{name: "a broken CA is told", stored: map[string]string{
			"latchd_connection-string": sasString("plain"), "latchd_ca.pem": "nothing",
		}, fails: "latchd_ca.pem"},
		{
			name: "the configuration's own device", stored: map[string]string{"latchd_connection-string": sasString("plain"), "latchd_ca.pem": string(cert)},
			hub:    func(func(string, string) string) hubConfig { return hubConfig{ConnectionString: sasString("named")} },
			device: "named", // and not the other device's CA
		},
		{
			name: "the configuration's file", stored: map[string]string{"latchd_connection-string": sasString("plain")},
			hub: func(write func(string, string) string) hubConfig {
				return hubConfig{ConnectionStringFile: write("named", sasString("named"))}
			},
			device: "named",
		},
		{
			name: "the configuration's CA", stored: map[string]string{"latchd_connection-string": sasString("plain")},
			hub: func(write func(string, string) string) hubConfig {
				return hubConfig{CAFile: write("named.pem", string(cert))}
			},
			device: "plain", roots: true,
		},
		{
			name:  "a file that is not there",
			hub:   func(func(string, string) string) hubConfig { return hubConfig{ConnectionStringFile: "/nowhere"} },
			fails: "read the connection string",
		},
		{
			name:  "a key in place of a file",
			hub:   func(func(string, string) string) hubConfig { return hubConfig{CAFile: sasString("x")} },
			fails: "hub.ca_file holds a connection string",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir, write := credentialFixture(t)
			t.Setenv("CREDENTIALS_DIRECTORY", dir)
			for name, text := range test.stored {
				write(name, text)
			}
			var hub hubConfig
			if test.hub != nil {
				hub = test.hub(write)
			}
			got, err := findCredentials(hub)
			if test.fails != "" || test.wantErr != nil {
				if err == nil || !strings.Contains(err.Error(), test.fails) || test.wantErr != nil && !errors.Is(err, test.wantErr) {
					t.Fatalf("error %v", err)
				}
				if strings.Contains(err.Error(), secretText) {
					t.Error("the error holds the key")
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.connection.DeviceID != test.device || (got.roots != nil) != test.roots || (got.certificate != nil) != test.own {
				t.Errorf("got %s, roots %v, certificate %v", got.connection, got.roots != nil, got.certificate != nil)
			}
		})
	}
	t.Run("without systemd", func(t *testing.T) {
		t.Setenv("CREDENTIALS_DIRECTORY", "")
		if _, err := findCredentials(hubConfig{}); !errors.Is(err, errNotConfigured) {
			t.Error(err)
		}
	})
}

// deviceCertificate is a self-signed certificate, good for months, and its key.
func deviceCertificate(t *testing.T) (cert, key []byte) {
	t.Helper()
	cert, key, err := selfSigned("door-2", time.Now().Add(-time.Hour), time.Now().AddDate(1, 0, 0))
	if err != nil {
		t.Fatal(err)
	}
	return cert, key
}

// thumbprintOf is how a hub knows a self-signed certificate.
func thumbprintOf(t *testing.T, cert []byte) string {
	t.Helper()
	block, _ := pem.Decode(cert)
	if block == nil {
		t.Fatal("no certificate")
	}
	return fmt.Sprintf("%X", sha256.Sum256(block.Bytes))
}
