package device

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/internal/clock"
	"latchd/iothub"
)

// testClock is a clock that a test sets. It runs with the time of the bubble.
type testClock struct {
	mu    sync.Mutex
	ahead time.Duration
	trust chan struct{}
}

func newTestClock(isTrusted bool) *testClock {
	c := &testClock{trust: make(chan struct{})}
	if isTrusted {
		close(c.trust)
	}
	return c
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.ahead)
}
func (c *testClock) Trust() <-chan struct{}             { return c.trust }
func (c *testClock) TLS(config *tls.Config) *tls.Config { return config }

func (c *testClock) step(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead = time.Until(to)
}

// withClock is inBubble for a device with a clock.
func withClock(t *testing.T, isTrusted bool, connection iothub.ConnectionString, test func(*testing.T, *hub, *device, *testClock)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h, c := newHub(t), newTestClock(isTrusted)
		cfg := Config{Clock: c, Connection: connection}
		if connection.X509 {
			cfg.Certificate = &tls.Certificate{}
		}
		d := newDevice(t, cfg, nil)
		d.open = h.pipe
		defer time.Sleep(2 * writeTimeout)
		defer h.close()
		defer d.halt()
		test(t, h, d, c)
	})
}

var bySAS iothub.ConnectionString // the one of newDevice

func TestFirstTokenWaitsForTheClock(t *testing.T) {
	for _, test := range []struct {
		name        string
		connection  iothub.ConnectionString
		after, want time.Duration
	}{
		{"that comes", bySAS, 3 * time.Second, 3 * time.Second},
		{"that does not come", bySAS, time.Hour, firstTokenWait},
		{"but there is none", iothub.ConnectionString{HostName: "hub.example.net", DeviceID: testDevice, X509: true}, time.Hour, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			withClock(t, false, test.connection, func(t *testing.T, h *hub, d *device, c *testClock) {
				began := time.Now()
				trusted := time.AfterFunc(test.after, func() { close(c.trust) })
				defer trusted.Stop()
				d.run()
				next(t, "connect", h.connects)
				if waited := time.Since(began); waited != test.want {
					t.Errorf("it waited for %v", waited)
				}
			})
		})
	}
}

func TestStopWhileWaitingForTheClock(t *testing.T) {
	withClock(t, false, bySAS, func(t *testing.T, _ *hub, d *device, _ *testClock) {
		d.run()
		synctest.Wait()
		began := time.Now()
		d.halt()
		if took := time.Since(began); took > 0 {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRefusalWithAClockThatIsNotTrusted(t *testing.T) {
	for _, test := range []struct {
		code  byte
		clock bool          // may it be the clock's fault
		floor time.Duration // that the hub wants even when the clock is trusted
	}{
		{3, false, unavailableFloor},
		{4, true, 0},
		{5, true, 0},
	} {
		withClock(t, false, bySAS, func(t *testing.T, h *hub, d *device, c *testClock) {
			h.set(func() { h.onConnect = func(string, string) byte { return test.code } })
			d.run()
			for range 20 {
				next(t, "connect", h.connects)
			}
			if test.clock {
				began := time.Now()
				for range 20 {
					next(t, "connect", h.connects)
				}
				if took := time.Since(began); took < 20*clockFloor || took > 20*(clockFloor+clockCap) {
					t.Errorf("CONNACK %d: 20 attempts took %v", test.code, took)
				}
			}
			s := next(t, "state", d.states)
			if strings.Contains(s.why.Error(), "the clock is not trusted") != test.clock {
				t.Errorf("CONNACK %d: %v", test.code, s.why)
			}
			if want := map[bool]int{true: 1}[test.clock]; d.log.count("level=WARN", "the clock is not trusted", "NTP") != want {
				t.Errorf("CONNACK %d: the log says\n%s", test.code, d.log)
			}
			synctest.Wait()
			h.set(func() { h.onConnect = nil })
			began := time.Now()
			close(c.trust)
			if s := next(t, "state", d.states); !s.up {
				t.Errorf("CONNACK %d: %v %v", test.code, s.up, s.why)
			}
			if took := time.Since(began); took > test.floor+time.Second {
				t.Errorf("CONNACK %d: it took %v from when the clock was trusted", test.code, took)
			}
		})
	}
}

// What the hub asks for, it gets, trust or not.
func TestTrustDoesNotShortenTheFloor(t *testing.T) {
	withClock(t, false, bySAS, func(t *testing.T, h *hub, d *device, c *testClock) {
		h.set(func() { h.onConnect = func(string, string) byte { return 3 } })
		d.run()
		next(t, "connect", h.connects)
		began := time.Now()
		synctest.Wait()
		close(c.trust)
		next(t, "connect", h.connects)
		if took := time.Since(began); took < unavailableFloor || took > unavailableFloor+time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

// Trust that came during the attempt, which had begun too early.
func TestTrustDuringAnAttempt(t *testing.T) {
	withClock(t, false, bySAS, func(t *testing.T, h *hub, d *device, c *testClock) {
		attempts := 0
		h.set(func() {
			h.onConnect = func(string, string) byte {
				if attempts++; attempts > 1 {
					return 0
				}
				close(c.trust)
				return 5
			}
		})
		d.run()
		next(t, "connect", h.connects)
		began := time.Now()
		next(t, "connect", h.connects)
		if took := time.Since(began); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestRefusalWithATrustedClockIsNotItsFault(t *testing.T) {
	withClock(t, true, bySAS, func(t *testing.T, h *hub, d *device, _ *testClock) {
		h.set(func() { h.onConnect = func(string, string) byte { return 5 } })
		d.run()
		if s := next(t, "state", d.states); strings.Contains(s.why.Error(), "trusted") {
			t.Errorf("%v", s.why)
		}
	})
}

func TestTokenIsRenewedAfterAStep(t *testing.T) {
	for _, test := range []struct {
		step   time.Duration
		renews bool
	}{
		{30 * time.Minute, false},
		{50 * time.Minute, true},
		{10 * 365 * 24 * time.Hour, true},
		{-5 * time.Minute, false},
		{-30 * time.Minute, true},
		{-10 * 365 * 24 * time.Hour, true},
	} {
		t.Run(test.step.String(), func(t *testing.T) {
			withClock(t, true, bySAS, func(t *testing.T, h *hub, d *device, c *testClock) {
				d.run()
				next(t, "state", d.states)
				next(t, "connect", h.connects)
				c.step(c.Now().Add(test.step))
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if !test.renews {
					nothing(t, "renewal", h.connects)
					return
				}
				token, err := iothub.ParseSAS(string(next(t, "connect", h.connects).Password))
				if err != nil {
					t.Fatal(err)
				}
				if left := token.Expiry.Sub(c.Now()); left < tokenLife-6*time.Second || left > tokenLife {
					t.Errorf("the token has %v left", left)
				}
				time.Sleep(time.Minute)
				nothing(t, "second renewal", h.connects)
				nothing(t, "change of the connection", d.states)
			})
		})
	}
}

// The device is at its floor, years before the hub's certificate was issued.
func TestCertificateFromTheFuture(t *testing.T) {
	ca := newAuthority(t)
	h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))}})
	floor := clock.New(clock.Config{Wall: func() time.Time { return time.Unix(0, 0) }})
	connection := iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, SharedAccessKey: deviceKey}
	if !floor.Now().Before(time.Now().Add(-time.Hour)) {
		t.Skip("this machine's clock is before the floor")
	}
	if err := Check(t.Context(), Config{Connection: connection, RootCAs: ca.pool(), Clock: floor}); err != nil {
		t.Error(err)
	}
	if err := Check(t.Context(), Config{Connection: connection, RootCAs: newAuthority(t).pool(), Clock: floor}); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("another authority: %v", err)
	}
}

// The floor is after the certificate's end: it has ended, or the floor is wrong.
func TestCertificateThatEndedBeforeTheFloor(t *testing.T) {
	ca := newAuthority(t)
	h := newTLSHub(t, &tls.Config{Certificates: []tls.Certificate{ca.issue("localhost", time.Now().Add(time.Hour))}})
	floor := clock.New(clock.Config{Build: time.Now().Add(24 * time.Hour)})
	d := start(t, Config{
		Connection: iothub.ConnectionString{HostName: "localhost:" + h.port, DeviceID: testDevice, SharedAccessKey: deviceKey},
		RootCAs:    ca.pool(), Clock: trustSoon{floor},
	})
	s := next(t, "state", d.states)
	if s.up || !errors.As(s.why, new(*tls.CertificateVerificationError)) || !strings.Contains(s.why.Error(), "the clock is not trusted") {
		t.Errorf("%v %v", s.up, s.why)
	}
	if got := classify(s.why, false); got.floor != clockFloor || gist(s.why) != "clock: the certificate's time" {
		t.Errorf("%+v, %s", got, gist(s.why))
	}
}

// trustSoon ends the wait for the first token.
type trustSoon struct{ *clock.Clock }

func (trustSoon) Trust() <-chan struct{} {
	trust := make(chan struct{})
	time.AfterFunc(time.Millisecond, func() { close(trust) })
	return trust
}
