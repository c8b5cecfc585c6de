package device

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

// authority is a CA for one test.
type authority struct {
	t    *testing.T
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	a.key, a.cert = a.sign(template, template, nil)
	return a
}

// sign makes a certificate; a nil key: self-signed.
func (a *authority) sign(template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if parentKey == nil {
		parentKey = key
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return key, cert
}

// issue makes a certificate of the authority for a name.
func (a *authority) issue(name string, notAfter time.Time) tls.Certificate {
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: notAfter.Add(-2 * time.Hour), NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	key, cert := a.sign(template, a.cert, a.key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

// selfSigned makes a certificate as a device has it that was registered by
// its thumbprint.
func (a *authority) selfSigned(name string) tls.Certificate {
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	key, cert := a.sign(template, template, nil)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// tlsHub is a hub behind a real TLS listener.
type tlsHub struct {
	*hub
	port  string
	peers chan *x509.Certificate // of each handshake; nil: none was shown

	mu  sync.Mutex // guards the field below
	raw []*net.TCPConn
}

func newTLSHub(t *testing.T, config *tls.Config) *tlsHub {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &tlsHub{hub: newHub(t), port: strconv.Itoa(l.Addr().(*net.TCPAddr).Port), peers: make(chan *x509.Certificate, 100)}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { h.handshake(conn.(*net.TCPConn), config) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		h.close()
		serving.Wait()
	})
	return h
}

func (h *tlsHub) handshake(raw *net.TCPConn, config *tls.Config) {
	defer raw.Close()
	conn := tls.Server(raw, config)
	if err := conn.HandshakeContext(h.t.Context()); err != nil {
		return
	}
	var peer *x509.Certificate
	if shown := conn.ConnectionState().PeerCertificates; len(shown) > 0 {
		peer = shown[0]
	}
	h.peers <- peer
	h.mu.Lock()
	h.raw = append(h.raw, raw)
	h.mu.Unlock()
	h.serve(conn)
}

// reset ends all connections with a TCP RST.
func (h *tlsHub) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.raw {
		_ = c.SetLinger(0)
		_ = c.Close()
	}
	h.raw = nil
}

// start makes and runs a device that is stopped with the test.
func start(t *testing.T, cfg Config) *device {
	t.Helper()
	d := newDevice(t, cfg, nil)
	d.run()
	t.Cleanup(d.halt)
	return d
}

func TestConnectOverTLS(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			ca := newAuthority(t)
			h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))}, MinVersion: version, MaxVersion: version})
			host := "localhost:" + h.port
			d := start(t, Config{
				Connection: iothub.ConnectionString{HostName: host, DeviceID: testDevice, SharedAccessKey: deviceKey},
				RootCAs:    ca.pool(), ModelID: "dtmi:latchd:Device;1", Product: "latchd/1.2.0 (test)",
			})
			if s := next(t, "state", d.states); !s.up {
				t.Fatal(s.why)
			}
			got := next(t, "connect", h.connects)
			token, err := iothub.ParseSAS(string(got.Password))
			if err != nil || !token.SignedBy(deviceKey) || token.Resource != host+"/devices/door-1" {
				t.Errorf("token for %q: %v", token.Resource, err)
			}
			if want := host + "/door-1/?api-version=2021-04-12&DeviceClientType=latchd%2F1.2.0%20%28test%29&model-id=dtmi%3Alatchd%3ADevice%3B1"; string(got.Username) != want {
				t.Errorf("user name %q, want %q", got.Username, want)
			}
			if got.ClientIdentifier != testDevice || got.Clean || got.Keepalive == 0 || got.Keepalive > 240 || got.WillFlag || string(got.ProtocolName) != "MQTT" {
				t.Errorf("CONNECT %+v", got)
			}
			d.Report(map[string]any{"a": 1})
			if err := d.Flush(t.Context()); err != nil {
				t.Error(err)
			}
			h.call("lockDoor", "1", "{}")
			if got := next(t, "answer", h.answers); got.status != 200 {
				t.Errorf("answer %+v", got)
			}
			d.halt()
			next(t, "goodbye", h.goodbyes)
		})
	}
}

func TestServerIsVerified(t *testing.T) {
	ca := newAuthority(t)
	later := time.Now().Add(time.Hour)
	for _, test := range []struct {
		name  string
		cert  tls.Certificate
		roots *x509.CertPool
		max   uint16
		want  string
	}{
		{"unknown authority", ca.issue("localhost", later), newAuthority(t).pool(), 0, "CA file"},
		{"not the system's", ca.issue("localhost", later), nil, 0, "CA file"},
		{"other name", ca.issue("hub.example.net", later), ca.pool(), 0, "another name"},
		{"expired", ca.issue("localhost", time.Now().Add(-time.Minute)), ca.pool(), 0, "clock"},
		{"old TLS", ca.issue("localhost", later), ca.pool(), tls.VersionTLS11, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{test.cert}, MinVersion: tls.VersionTLS10, MaxVersion: test.max})
			d := start(t, Config{
				Connection: iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, SharedAccessKey: deviceKey},
				RootCAs:    test.roots,
			})
			s := next(t, "state", d.states)
			if s.up || classify(s.why, false).floor < refusedFloor || !strings.Contains(classify(s.why, false).hint, test.want) {
				t.Errorf("state %v %v", s.up, s.why)
			}
			nothing(t, "CONNECT", h.connects) // no token for a stranger
		})
	}
}

func TestGateway(t *testing.T) {
	ca := newAuthority(t)
	h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))}})
	d := start(t, Config{
		Connection: iothub.ConnectionString{
			HostName: "hub.example.net", GatewayHostName: "localhost:" + h.port,
			DeviceID: testDevice, SharedAccessKey: deviceKey,
		},
		RootCAs: ca.pool(),
	})
	if s := next(t, "state", d.states); !s.up {
		t.Fatal(s.why)
	}
	got := next(t, "connect", h.connects)
	token, err := iothub.ParseSAS(string(got.Password))
	if err != nil || token.Resource != "hub.example.net/devices/door-1" || string(got.Username) != "hub.example.net/door-1/?api-version=2021-04-12" {
		t.Errorf("user name %q, token for %q: %v", got.Username, token.Resource, err)
	}
}

func TestX509(t *testing.T) {
	ca := newAuthority(t)
	own := ca.selfSigned(testDevice)
	// A server that hints at the names of its own CAs must get a self-signed
	// certificate all the same.
	h := newTLSHub(t, &tls.Config{
		Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))},
		ClientAuth:   tls.RequestClientCert, ClientCAs: ca.pool(),
	})
	d := start(t, Config{
		Connection:  iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, X509: true},
		Certificate: &own, RootCAs: ca.pool(),
	})
	if s := next(t, "state", d.states); !s.up {
		t.Fatal(s.why)
	}
	if peer := next(t, "handshake", h.peers); peer == nil || peer.Subject.CommonName != testDevice {
		t.Errorf("the device showed %v", peer)
	}
	if got := next(t, "connect", h.connects); got.PasswordFlag || len(got.Password) > 0 || !got.UsernameFlag {
		t.Errorf("CONNECT %+v", got)
	}
}

// With TLS 1.3 the client learns only after its handshake that the server does
// not want its certificate.
func TestX509Refused(t *testing.T) {
	ca := newAuthority(t)
	own := ca.selfSigned(testDevice)
	h := newTLSHub(t, &tls.Config{
		Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.pool(),
	})
	d := start(t, Config{
		Connection:  iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, X509: true},
		Certificate: &own, RootCAs: ca.pool(),
	})
	s := next(t, "state", d.states)
	if s.up || s.why == nil {
		t.Fatalf("state %v %v", s.up, s.why)
	}
	if got := classify(s.why, true); got.floor != refusedFloor || !strings.Contains(got.hint, "certificate") {
		t.Errorf("%v is classified as %+v", s.why, got)
	}
}

func TestConnectionBreaks(t *testing.T) {
	ca := newAuthority(t)
	h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))}})
	d := start(t, Config{
		Connection: iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, SharedAccessKey: deviceKey},
		RootCAs:    ca.pool(),
	})
	next(t, "state", d.states)
	for _, test := range []struct {
		name string
		cut  func()
	}{
		{"FIN", h.dropAll},
		{"RST", h.reset},
	} {
		t.Run(test.name, func(t *testing.T) {
			sending := make(chan error, 1)
			h.set(func() {
				h.noPuback = func(topic string) bool {
					isEvent := strings.HasPrefix(topic, "devices/")
					if isEvent {
						test.cut()
					}
					return isEvent
				}
			})
			go func() { sending <- d.Send(t.Context(), iothub.Message{}) }()
			if s := next(t, "state", d.states); s.up || !errors.As(s.why, new(*lostError)) {
				t.Errorf("state %v %v", s.up, s.why)
			}
			if err := next(t, "result of Send", sending); !errors.Is(err, ErrUnknownDelivery) {
				t.Errorf("Send: %v", err)
			}
			h.set(func() { h.noPuback = nil })
			for !next(t, "state", d.states).up {
			}
		})
	}
}

func TestLoadCertificate(t *testing.T) {
	ca := newAuthority(t)
	dir := t.TempDir()
	write := func(name string, blocks ...*pem.Block) string {
		var text []byte
		for _, b := range blocks {
			text = append(text, pem.EncodeToMemory(b)...)
		}
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	pair, other := ca.selfSigned(testDevice), ca.selfSigned("other")
	keyBlock := func(c tls.Certificate) *pem.Block {
		der, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		return &pem.Block{Type: "PRIVATE KEY", Bytes: der}
	}
	cert := write("cert.pem", &pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	key := write("key.pem", keyBlock(pair))
	for _, test := range []struct{ name, cert, key, want string }{
		{"good", cert, key, ""},
		{"no certificate", filepath.Join(dir, "missing"), key, "no such file"},
		{"no key", cert, filepath.Join(dir, "missing"), "no such file"},
		{"key for certificate", key, key, `a PEM block "PRIVATE KEY"`},
		{"certificate for key", cert, cert, "key"},
		{"not PEM", write("empty.pem"), key, "no certificate in it"},
		{"key is not PEM", cert, write("empty.pem"), "no PEM block"},
		{"other key", cert, write("other.pem", keyBlock(other)), "does not match"},
		{"encrypted", cert, write("encrypted.pem", &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte{1}}), "encrypted"},
		{"broken", write("broken.pem", &pem.Block{Type: "CERTIFICATE", Bytes: []byte{1, 2}}), key, "certificate 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := LoadCertificate(test.cert, test.key)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(pair.Certificate, got.Certificate); diff != "" {
					t.Error(diff)
				}
			} else if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
	t.Run("CA file", func(t *testing.T) {
		good := &pem.Block{Type: "CERTIFICATE", Bytes: ca.cert.Raw}
		pool, err := LoadRootCAs(write("ca.pem", good))
		if err != nil || !pool.Equal(ca.pool()) {
			t.Errorf("LoadRootCAs: %v", err)
		}
		if _, err := LoadRootCAs(write("half.pem", good, &pem.Block{Type: "CERTIFICATE", Bytes: []byte{1}})); err == nil || !strings.Contains(err.Error(), "certificate 2") {
			t.Errorf("half a file: %v", err)
		}
		if _, err := LoadRootCAs(key); err == nil {
			t.Error("a key is no CA file")
		}
		if _, err := LoadRootCAs(filepath.Join(dir, "missing")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a missing file: %v", err)
		}
	})
}
