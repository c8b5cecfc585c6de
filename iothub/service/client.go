package service

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
	"time"

	"latchd/iothub"
)

const (
	standardPort = "443"

	// dialTimeout bounds connecting and, apart from that, the TLS handshake.
	// A hub that is there answers within a second from anywhere on earth; a
	// wrong name or a closed firewall should not hold an operator for long.
	dialTimeout = 10 * time.Second

	// httpMargin is how much longer than the hub may take for a call the
	// client waits, so that the hub's own verdict is what the caller sees. A
	// client that gives up first hides it (azure-iot-sdk-java#1791).
	httpMargin = 15 * time.Second

	// callTimeout bounds one attempt at anything but a direct method. It is a
	// method's default, so that all calls feel alike.
	callTimeout = (DefaultConnectTimeout+DefaultResponseTimeout)*time.Second + httpMargin
)

// Client talks to one hub as one policy. It is safe for concurrent use.
type Client struct {
	base  string // https://host[:port]
	host  string // for messages
	token token
	http  *http.Client
	agent string
}

// Options changes how a client connects. The zero value is what operators
// want.
type Options struct {
	RootCAs   *x509.CertPool    // who may vouch for the hub; nil: the system's roots
	UserAgent string            // "" sends "latchd"
	Transport http.RoundTripper // for tests; nil: HTTPS, verified against RootCAs
}

// New makes a client from a connection string of the service side
// ([iothub.ParseServiceConnectionString]). It does not connect.
func New(cs iothub.ConnectionString, o Options) *Client {
	host, port := cs.DialAddress(standardPort)
	authority := host
	if strings.Contains(host, ":") {
		authority = "[" + host + "]"
	}
	if port != standardPort {
		authority = net.JoinHostPort(host, port)
	}
	c := &Client{
		base:  "https://" + authority,
		host:  authority,
		token: token{key: cs.SharedAccessKey, resource: cs.HostName, policy: cs.SharedAccessKeyName},
		agent: o.UserAgent,
	}
	if c.agent == "" {
		c.agent = "latchd"
	}
	transport := o.Transport
	if transport == nil {
		transport = newTransport(o.RootCAs)
	}
	c.http = &http.Client{
		Transport: transport,
		// A redirect would carry the command, and the token, to someone else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c
}

func newTransport(roots *x509.CertPool) *http.Transport {
	// HTTP/2 clients repeat a request on some stream errors without telling;
	// over HTTP/1.1 Go repeats a POST only if not a byte of it was written.
	http1 := new(http.Protocols)
	http1.SetHTTP1(true)
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTimeout}).DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   dialTimeout,
		IdleConnTimeout:       90 * time.Second, // as net/http's own default transport
		ExpectContinueTimeout: time.Second,
		Protocols:             http1,
	}
}

// Close drops idle connections. The client can still be used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// String names the hub. A client that is printed must not show its token.
func (c *Client) String() string { return "client of hub " + c.host }

// GoString is String.
func (c *Client) GoString() string { return c.String() }
