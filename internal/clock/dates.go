package clock

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"net/url"
	"strings"
	"time"

	"latchd/internal/backoff"
)

const (
	// hubGrace is how long NTP, which is finer and needs no server of ours, goes
	// first.
	hubGrace = 1500 * time.Millisecond

	// datesApart is how far the two times that the hub gives may differ.
	datesApart = 5 * time.Second

	// betweenDates is the least pause between the two questions: an answer from a
	// cache on the way would be the same one.
	betweenDates = 1100 * time.Millisecond

	// dateWithin bounds one question, and tripWithin the part of it that the answer
	// is uncertain by.
	dateWithin = 20 * time.Second
	tripWithin = 5 * time.Second

	// hubCap is the longest pause between two attempts to ask the hub.
	hubCap = 10 * time.Minute

	// hubRest is the pause after which a clock that is trusted is looked at again:
	// it may want to be renewed.
	hubRest = time.Hour
)

// server is where a Date header comes from.
type server struct {
	address string // host and port
	name    string // that its certificate has to carry
	host    string // for the Host header
	path    string
	clock   *Clock
}

// keepAskingHub asks the hub for the time whenever nobody else vouches for it.
func (c *Clock) keepAskingHub(ctx context.Context) {
	if c.DateURL == "" {
		return
	}
	from, err := c.server()
	if err != nil {
		c.log.Error("the hub cannot be asked for the time", "error", err)
		return
	}
	pauses := backoff.Policy{Cap: hubCap}
	for {
		changed, wants := c.watch()
		pause := spread(hubRest)
		if wants {
			if backoff.Sleep(ctx, spread(hubGrace)) != nil {
				return
			}
			if _, wants = c.watch(); !wants {
				continue
			}
			if err := c.corroborate(ctx, from); err == nil {
				pauses.Reset()
				continue
			} else if ctx.Err() == nil {
				c.log.Debug("the hub does not vouch for the time", "error", err)
			}
			pause = pauses.Next()
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// watch tells whether the hub is to be asked, and gives a channel that closes when
// the state changes.
func (c *Clock) watch() (changed <-chan struct{}, wants bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changed, c.belief.wantsDates(c.Boottime())
}

// corroborate asks the hub twice, and takes its time if the answers agree.
func (c *Clock) corroborate(ctx context.Context, from server) error {
	first, err := c.date(ctx, from)
	if err != nil {
		return err
	}
	if err := backoff.Sleep(ctx, spread(betweenDates)); err != nil {
		return err
	}
	second, err := c.date(ctx, from)
	if err != nil {
		return err
	}
	if apart := abs(second.ahead(first)); apart > datesApart {
		return fmt.Errorf("two answers of %s disagree about the time by %s", from.host, apart.Round(time.Second))
	}
	c.look()
	return c.update(func(b *belief) error {
		if !b.wantsDates(second.boot) {
			return nil // NTP was faster
		}
		return b.dates(second)
	})
}

// server reads DateURL.
func (c *Clock) server() (server, error) {
	u, err := url.Parse(c.DateURL)
	if err != nil {
		return server{}, err
	}
	if u.Scheme != "https" || u.Hostname() == "" {
		return server{}, fmt.Errorf("%q is no https URL: only a verified certificate vouches", c.DateURL)
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return server{
		address: net.JoinHostPort(u.Hostname(), port), name: u.Hostname(),
		host: u.Host, path: u.RequestURI(), clock: c,
	}, nil
}

// askDate asks a server for the time. By hand, because net/http's client would be
// a tenth of the program.
func askDate(ctx context.Context, s server) (reading, error) {
	ctx, cancel := context.WithTimeout(ctx, dateWithin)
	defer cancel()
	dialer := tls.Dialer{Config: s.clock.TLS(&tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: s.name, RootCAs: s.clock.RootCAs,
	})}
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return reading{}, fmt.Errorf("ask %s for the time: %w", s.address, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	r, err := s.exchange(conn)
	if err != nil {
		return reading{}, fmt.Errorf("ask %s for the time: %w", s.address, err)
	}
	// A server with the key of a certificate that has ended could say anything;
	// with this it can only say what its certificate is good for.
	var chain []*x509.Certificate
	if secured, ok := conn.(*tls.Conn); ok {
		chain = secured.ConnectionState().PeerCertificates
	}
	if err := verify(chain, s.clock.RootCAs, s.name, r.wall, true); err != nil {
		return reading{}, fmt.Errorf("%s says that it is %s, at which its own certificate is not valid: %w", s.address, text(r.wall), err)
	}
	return r, nil
}

// exchange sends a HEAD request and reads the Date header.
func (s server) exchange(conn net.Conn) (reading, error) {
	sent := s.clock.Boottime()
	if _, err := io.WriteString(conn, "HEAD "+s.path+" HTTP/1.1\r\nHost: "+s.host+"\r\nUser-Agent: latchd\r\nConnection: close\r\n\r\n"); err != nil {
		return reading{}, err
	}
	const most = 16 << 10
	head := textproto.NewReader(bufio.NewReader(io.LimitReader(conn, most)))
	status, err := head.ReadLine()
	if err != nil {
		return reading{}, err
	}
	came := s.clock.Boottime()
	if !strings.HasPrefix(status, "HTTP/1.") {
		return reading{}, errors.New("it does not answer in HTTP")
	}
	header, err := head.ReadMIMEHeader()
	if err != nil {
		return reading{}, err
	}
	if came-sent > tripWithin {
		return reading{}, fmt.Errorf("it took %s to answer", (came - sent).Round(time.Second))
	}
	// The one form that a server may send (RFC 9110, 5.6.7). It is cut to a second,
	// so on average the time is half a second later.
	const form = "Mon, 02 Jan 2006 15:04:05 GMT"
	date, err := time.Parse(form, header.Get("Date"))
	if err != nil {
		return reading{}, fmt.Errorf("its Date header: %w", err)
	}
	return reading{date.Add(time.Second / 2), sent + (came-sent)/2}, nil
}
