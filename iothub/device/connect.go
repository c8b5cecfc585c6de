package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchd/iothub"
)

const (
	mqttPort = "8883"

	// connectTimeout covers name look-up, TCP, TLS and CONNACK; the C SDK
	// waits as long for CONNACK alone.
	connectTimeout = 30 * time.Second

	// keepAlive is how long a silent connection goes without a ping. Many
	// NATs forget one after four minutes; a minute (as in the Python SDK)
	// also means that a dead link is noticed, and the door reachable again,
	// in under a minute and a half, for some 10 MB of traffic a month.
	keepAlive   = time.Minute
	pingTimeout = 20 * time.Second

	// tokenLife is the life of a SAS token, as in all official SDKs.
	tokenLife = time.Hour
	// renewAfter leaves twelve minutes for a hub that is hard to reach.
	renewAfter = tokenLife * 8 / 10

	// disconnectTimeout is for the DISCONNECT packet to get out.
	disconnectTimeout = 500 * time.Millisecond
)

// mqttVersion311 is paho's number for MQTT 3.1.1. Left open, paho would try
// MQTT 3.1 after each refusal.
const mqttVersion311 = 4

// dialTLS makes the function that connects to the hub, or to the gateway in
// front of it. The certificate must be good for the name that is dialled.
func dialTLS(cs iothub.ConnectionString, roots *x509.CertPool, own *tls.Certificate, clock Clock) func(context.Context) (net.Conn, error) {
	host, port := cs.DialAddress(mqttPort)
	config := &tls.Config{
		MinVersion: tls.VersionTLS12,
		ServerName: host,
		RootCAs:    roots,
	}
	if own != nil {
		// Not Certificates: from those, crypto/tls sends one only if its
		// issuer is among the names that the server hints at, and a
		// self-signed one never is.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
	}
	config = clock.TLS(config)
	dialer := &tls.Dialer{
		// MQTT pings watch the connection; TCP's own probes, every 15 s by
		// default in Go, would only cost traffic.
		NetDialer: &net.Dialer{KeepAlive: -1},
		Config:    config,
	}
	return func(ctx context.Context) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	}
}

// username is the MQTT user name: who connects to which hub, and in which
// dialect. The host stays as the connection string has it, port included, as
// the SDKs do; a gateway is not named.
func username(cs iothub.ConnectionString, product, modelID string) string {
	name := cs.HostName + "/" + cs.DeviceID + "/?api-version=" + iothub.APIVersion
	if product != "" {
		name += "&DeviceClientType=" + escape(product)
	}
	if modelID != "" {
		name += "&model-id=" + escape(modelID)
	}
	return name
}

// escape percent-encodes with %20 for a space: a "+" would stay a plus.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// password gives a fresh token and when it ends; "" where a certificate
// speaks for the device.
func (c *Client) password() (token string, expires time.Time) {
	if c.connection.X509 {
		return "", time.Time{}
	}
	expires = c.clock.Now().Add(tokenLife)
	resource := iothub.DeviceResource(c.connection.HostName, c.connection.DeviceID)
	return iothub.NewSAS(c.connection.SharedAccessKey, resource, expires, c.connection.SharedAccessKeyName), expires
}

// connect makes the connection and waits for CONNACK.
func (s *session) connect(ctx context.Context) error {
	if trust := s.client.clock.Trust(); !isClosed(trust) {
		s.untrusted = trust
	}
	err := s.establish(ctx)
	if err == nil {
		s.untrusted = nil // what comes now has other reasons
	}
	if s.untrusted != nil && dependsOnTime(err, s.client.connection.X509) {
		return &clockError{err}
	}
	return err
}

func (s *session) establish(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, errConnectTimeout)
	defer cancel()
	conn, err := s.client.open(ctx)
	if err != nil {
		return fmt.Errorf("connecting: %w", timeoutCause(ctx, err))
	}
	s.link = newLink(conn)
	// paho's Connect knows no context: closing the connection ends it.
	defer context.AfterFunc(ctx, func() { _ = s.link.Close() })()
	token, expires := s.client.password()
	s.expires = expires
	s.mqtt = mqtt.NewClient(s.options(token))
	connecting := s.mqtt.Connect()
	<-connecting.Done() // within connectTimeout, because the link closes then
	err = connecting.Error()
	switch code := returnCode(connecting); {
	case err == nil && s.link.isClosed():
		// paho takes a CONNACK with a code above 5 for a success, though it
		// has closed the connection.
		return errors.New("connecting: the hub refused with a code that MQTT does not know")
	case err == nil:
		s.connectedAt = time.Now()
		return nil
	case 1 <= code && code <= 5:
		return &connackError{code: code, tokenExpires: s.expires}
	}
	return fmt.Errorf("connecting: waiting for CONNACK: %w", timeoutCause(ctx, networkError(err)))
}

// networkError takes paho's own "network Error" off the front of the reason.
func networkError(err error) error {
	var both interface{ Unwrap() []error }
	if errors.As(err, &both) {
		if all := both.Unwrap(); len(all) > 0 {
			return all[len(all)-1]
		}
	}
	return err
}

// timeoutCause says why a step of connecting failed: the context if that
// ended it, and not the broken pipe that came of it.
func timeoutCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func returnCode(t mqtt.Token) byte {
	if ct, ok := t.(*mqtt.ConnectToken); ok {
		return ct.ReturnCode()
	}
	return 0
}

// options sets paho up for one session on the session's link. Everything that
// lets a paho client live longer than its connection is off: it loses
// messages silently then, and its pauses know neither jitter nor context.
func (s *session) options(token string) *mqtt.ClientOptions {
	o := mqtt.NewClientOptions()
	o.AddBroker("tls://" + net.JoinHostPort(s.client.connection.DialAddress(mqttPort)))
	o.SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return s.link, nil })
	o.SetProtocolVersion(mqttVersion311)
	o.SetClientID(s.client.connection.DeviceID)
	o.SetUsername(s.client.username)
	o.SetPassword(token)
	o.SetCleanSession(false) // a clean session would purge the hub's queue of messages for the device
	o.SetAutoReconnect(false)
	o.SetConnectRetry(false)
	o.SetStore(noStore{})
	o.SetConnectTimeout(connectTimeout)
	o.SetKeepAlive(keepAlive)
	o.SetPingTimeout(pingTimeout)
	o.SetWriteTimeout(writeTimeout)
	// In order, or two patches of the twin could overtake one another. The
	// handler passes messages on and never waits for longer than the session.
	o.SetOrderMatters(true)
	var count int64
	o.SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) {
		count++
		select {
		case s.inbox <- message{m, count <= s.link.early.Load()}:
		case <-s.done:
		}
	})
	o.SetConnectionLostHandler(func(_ mqtt.Client, err error) { s.fail(&lostError{err}) })
	return o
}
