package clock

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// span is when a certificate is valid.
type span struct{ from, to time.Time }

var (
	always = span{build.Add(-years), build.Add(10 * years)}
	now    = span{build.Add(year), build.Add(2 * year)} // issued after the build
	ended  = span{build.Add(-year), build.Add(-day)}    // before the floor
)

// pki is an authority with an intermediate.
type pki struct {
	t                  *testing.T
	rootKey, middleKey *ecdsa.PrivateKey
	root, middle       *x509.Certificate
}

func newPKI(t *testing.T, root, middle span) *pki {
	t.Helper()
	p := &pki{t: t}
	p.rootKey, p.root = p.sign("root", true, root, nil, nil)
	p.middleKey, p.middle = p.sign("intermediate", true, middle, p.root, p.rootKey)
	return p
}

func (p *pki) sign(name string, isCA bool, valid span, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (*ecdsa.PrivateKey, *x509.Certificate) {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: valid.from, NotAfter: valid.to,
		IsCA: isCA, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	if !isCA {
		template.DNSNames, template.IPAddresses = []string{name}, []net.IP{net.IPv4(127, 0, 0, 1)}
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		p.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		p.t.Fatal(err)
	}
	return key, cert
}

// leaf makes a server's certificate with its chain.
func (p *pki) leaf(valid span) tls.Certificate {
	key, cert := p.sign("hub.example.net", false, valid, p.middle, p.middleKey)
	return tls.Certificate{Certificate: [][]byte{cert.Raw, p.middle.Raw}, PrivateKey: key}
}

func (p *pki) selfSigned(valid span) tls.Certificate {
	key, cert := p.sign("hub.example.net", false, valid, nil, nil)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key}
}

func (p *pki) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(p.root)
	return pool
}

func TestVerify(t *testing.T) {
	later := span{build.Add(year + day), build.Add(year + 2*day)}
	for _, test := range []struct {
		name         string
		root, middle span
		leaf         span
		at           time.Time
		server       string // the name; "": the right one
		untrusted    bool   // may the time be later than at
		trusted      bool   // is it verified at the time itself
	}{
		{"all valid", always, always, always, build, "", true, true},
		{"issued after the floor", always, always, now, build, "", true, false},
		{"the intermediate too", always, later, now, build, "", true, false},
		{"and the root", later, now, now, build, "", true, false},
		{"never valid at once", always, span{build.Add(3 * year), build.Add(4 * year)}, now, build, "", false, false},
		{"ended before the floor", always, always, ended, build, "", false, false},
		{"the intermediate ended before the floor", always, ended, now, build, "", false, false},
		{"the root ended before the floor", ended, always, now, build, "", false, false},
		{"ended since", always, always, now, build.Add(3 * year), "", false, false},
		{"another name", always, always, always, build, "other.example.net", false, false},
		{"an address", always, always, always, build, "127.0.0.1", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newPKI(t, test.root, test.middle)
			name := "hub.example.net"
			if test.server != "" {
				name = test.server
			}
			var chain []*x509.Certificate
			for _, der := range p.leaf(test.leaf).Certificate {
				cert, err := x509.ParseCertificate(der)
				if err != nil {
					t.Fatal(err)
				}
				chain = append(chain, cert)
			}
			if err := verify(chain, p.pool(), name, test.at, false); (err == nil) != test.untrusted {
				t.Errorf("from the time on: %v", err)
			}
			if err := verify(chain, p.pool(), name, test.at, true); (err == nil) != test.trusted {
				t.Errorf("at the time: %v", err)
			}
			if err := verify(chain, newPKI(t, always, always).pool(), name, test.at, false); err == nil {
				t.Error("another authority is believed")
			}
			if err := verify(chain, p.pool(), "", test.at, false); err == nil {
				t.Error("without a name it is believed")
			}
		})
	}
	if verify(nil, nil, "hub.example.net", build, false) == nil {
		t.Error("no certificate is believed")
	}
}

// serve runs an HTTPS server, and gives a clock that asks it.
func serve(t *testing.T, p *pki, cert tls.Certificate, handler http.HandlerFunc) (*Clock, server) {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	c := New(Config{Build: build, DateURL: s.URL, RootCAs: p.pool(), Wall: func() time.Time { return time.Unix(0, 0) }})
	from, err := c.server()
	if err != nil {
		t.Fatal(err)
	}
	return c, from
}

func dated(date string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Date"] = nil
		if date != "" {
			w.Header().Set("Date", date)
		}
		w.WriteHeader(http.StatusNotFound) // any answer will do
	}
}

func TestAskDate(t *testing.T) {
	date := now.from.Add(day)
	header := date.Format(http.TimeFormat)
	p := newPKI(t, always, always)
	for _, test := range []struct {
		name    string
		cert    tls.Certificate
		handler http.HandlerFunc
		want    string // the error; "": none
	}{
		{"good", p.leaf(always), dated(header), ""},
		{"issued after the floor", p.leaf(now), dated(header), ""},
		{"ended", p.leaf(ended), dated(header), "expired"},
		{"not yet valid by its own word", p.leaf(span{date.Add(day), date.Add(year)}), dated(header), "its own certificate is not valid"},
		{"ended by its own word", p.leaf(span{build.Add(-year), date.Add(-day)}), dated(header), "its own certificate is not valid"},
		{"self-signed", p.selfSigned(always), dated(header), "unknown authority"},
		{"of another authority", newPKI(t, always, always).leaf(always), dated(header), "unknown authority"},
		{"no date", p.leaf(always), dated(""), "Date"},
		{"not a date", p.leaf(always), dated("yesterday"), "Date"},
		{"a very long answer", p.leaf(always), func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("A", strings.Repeat("a", 20<<10))
			w.WriteHeader(200)
		}, "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, from := serve(t, p, test.cert, test.handler)
			r, err := askDate(t.Context(), from)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, %v; want %s", r, err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if boot := c.Boottime(); !r.wall.Equal(date.Add(time.Second/2)) || r.boot > boot || r.boot < boot-time.Minute {
				t.Errorf("%v at %v, now %v", r.wall, r.boot, boot)
			}
		})
	}
}

func TestAskDateEnds(t *testing.T) {
	hangs := make(chan struct{})
	p := newPKI(t, always, always)
	_, from := serve(t, p, p.leaf(always), func(http.ResponseWriter, *http.Request) { <-hangs })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := askDate(ctx, from); err == nil {
		t.Error("an answer came")
	}
	close(hangs)
	cancel()
	if _, err := askDate(ctx, from); !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestAnswerThatTakesLong(t *testing.T) {
	device, hub := net.Pipe()
	defer device.Close()
	var boot time.Duration
	go func() {
		defer hub.Close()
		_, _ = hub.Read(make([]byte, 1000))
		_, _ = io.WriteString(hub, "HTTP/1.1 200 OK\r\nDate: "+build.Format(http.TimeFormat)+"\r\n\r\n")
	}()
	c := New(Config{Boottime: func() time.Duration { boot += tripWithin + 1; return boot }})
	if _, err := (server{clock: c}).exchange(device); err == nil || !strings.Contains(err.Error(), "to answer") {
		t.Errorf("%v", err)
	}
}

func TestDateURL(t *testing.T) {
	for url, want := range map[string]server{
		"https://hub.example.net":             {address: "hub.example.net:443", name: "hub.example.net", host: "hub.example.net", path: "/"},
		"https://hub.example.net:8443/time?x": {address: "hub.example.net:8443", name: "hub.example.net", host: "hub.example.net:8443", path: "/time?x"},
		"https://[::1]:8443":                  {address: "[::1]:8443", name: "::1", host: "[::1]:8443", path: "/"},
		"http://hub.example.net":              {},
		"hub.example.net":                     {},
		"https://":                            {},
		"https://hub\r\n":                     {},
	} {
		c := New(Config{DateURL: url})
		got, err := c.server()
		if (err == nil) != (want.name != "") {
			t.Errorf("%q: %v", url, err)
		}
		got.clock = nil
		if got != want {
			t.Errorf("%q: %+v", url, got)
		}
	}
}

// The whole way, over real TLS, from 1970 to the hub's time.
func TestCorroborate(t *testing.T) {
	p := newPKI(t, always, always)
	began := time.Now()
	date := now.from.Add(day)
	c, from := serve(t, p, p.leaf(now), func(w http.ResponseWriter, r *http.Request) {
		dated(date.Add(time.Since(began)).Format(http.TimeFormat))(w, r)
	})
	if state, _ := c.State(); state != Unset {
		t.Errorf("the clock is %s", state)
	}
	if err := c.corroborate(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	if state, _ := c.State(); state != Corroborated {
		t.Errorf("the clock is %s", state)
	}
	if off := c.Now().Sub(date.Add(time.Since(began))); abs(off) > tripWithin {
		t.Errorf("the time is off by %v", off)
	}
}
