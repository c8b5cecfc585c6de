package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

func TestClassify(t *testing.T) {
	verification := func(err error) error {
		return fmt.Errorf("connecting: %w", &tls.CertificateVerificationError{Err: err})
	}
	for _, test := range []struct {
		name  string
		err   error
		x509  bool
		floor time.Duration
		hint  string
	}{
		{"no route", &net.OpError{Op: "dial", Err: errors.New("no route to host")}, false, 0, ""},
		{"end of stream", &lostError{io.EOF}, false, 0, ""},
		{"time-out", errConnectTimeout, false, 0, ""},
		{"protocol", &connackError{code: 1}, false, protocolFloor, "host name"},
		{"client id", &connackError{code: 2}, false, protocolFloor, "host name"},
		{"unavailable", &connackError{code: 3}, false, unavailableFloor, ""},
		{"bad password", &connackError{code: 4}, false, refusedFloor, "clock"},
		{"not authorized", &connackError{code: 5}, false, refusedFloor, "clock"},
		{"not authorized, certificate", &connackError{code: 5}, true, refusedFloor, "thumbprint"},
		{"unknown authority", verification(x509.UnknownAuthorityError{}), false, refusedFloor, "CA file"},
		{"expired", verification(x509.CertificateInvalidError{Reason: x509.Expired}), false, refusedFloor, "clock"},
		{"other name", verification(x509.HostnameError{Certificate: &x509.Certificate{}}), false, refusedFloor, "name"},
		{"alert", &net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}, true, refusedFloor, "certificate"},
		{"throttled", fmt.Errorf("reading the twin: %w", &iothub.Error{HTTPStatus: 429}), false, throttledFloor, ""},
		{"server error", &iothub.Error{HTTPStatus: 503}, false, unavailableFloor, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := classify(test.err, test.x509)
			if got.floor != test.floor || !strings.Contains(got.hint, test.hint) || (got.hint == "") != (test.hint == "") {
				t.Errorf("got %+v", got)
			}
			if strings.Contains(test.err.Error(), "%!") {
				t.Errorf("its text is %q", test.err)
			}
		})
	}
}

func TestGistLeavesOutAddresses(t *testing.T) {
	read := func(port int) error {
		return &lostError{&net.OpError{Op: "read", Net: "tcp", Source: &net.TCPAddr{Port: port}, Err: errors.New("connection reset by peer")}}
	}
	if gist(read(1)) != gist(read(2)) {
		t.Errorf("%q and %q differ", gist(read(1)), gist(read(2)))
	}
	if gist(read(1)) == gist(&lostError{io.EOF}) || gist(nil) == "" {
		t.Error("different troubles have the same gist")
	}
}

// failingDials makes each attempt fail and notes when it came.
func failingDials(times *[]time.Time, err error) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		*times = append(*times, time.Now())
		return nil, err
	}
}

func TestReconnectsForEverWithGrowingJitter(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
		var times []time.Time
		d.open = failingDials(&times, &net.OpError{Op: "dial", Err: errors.New("network is unreachable")})
		d.run()
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()
		bound := time.Second
		for i := 1; i < len(times); i++ {
			if pause := times[i].Sub(times[i-1]); pause > bound {
				t.Fatalf("pause %d was %v, more than %v", i, pause, bound)
			}
			bound = min(2*bound, 5*time.Minute)
		}
		// Evenly drawn up to five minutes: about 5760 in 10 days.
		if n := len(times); n < 5300 || n > 6300 {
			t.Errorf("%d attempts in 10 days", n)
		}
		next(t, "state", d.states)
		nothing(t, "second word of the same trouble", d.states)
		if n := d.log.count("level=WARN"); n != 1 {
			t.Errorf("%d lines above debug for one trouble", n)
		}
	})
}

func TestRefusedCredentials(t *testing.T) {
	for _, code := range []byte{4, 5} {
		t.Run(fmt.Sprint("CONNACK ", code), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				h.set(func() { h.onConnect = func(string, string) byte { return code } })
				d.run()
				began := time.Now()
				for range 6 {
					next(t, "connect", h.connects)
				}
				if took := time.Since(began); took < 5*refusedFloor {
					t.Errorf("six attempts in %v", took)
				}
				if s := next(t, "state", d.states); s.up || !strings.Contains(s.why.Error(), fmt.Sprint("CONNACK ", code)) {
					t.Errorf("state %v %v", s.up, s.why)
				}
				if d.log.count("level=WARN", "clock", "tokenExpires=2000-01-01T01:00:00Z", "host=hub.example.net", "device=door-1") != 1 {
					t.Errorf("the log does not say what to check:\n%s", d.log)
				}
				h.set(func() { h.onConnect = nil })
				if s := next(t, "state", d.states); !s.up {
					t.Errorf("state %v %v", s.up, s.why)
				}
			})
		})
	}
}

// paho takes it for a success.
func TestUnknownConnackCode(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		h.set(func() { h.onConnect = func(string, string) byte { return 77 } })
		d.run()
		if s := next(t, "state", d.states); s.up || !strings.Contains(s.why.Error(), "code that MQTT does not know") {
			t.Errorf("state %v %v", s.up, s.why)
		}
	})
}

func TestPausesStartAnewAfterAStableMinute(t *testing.T) {
	for _, test := range []struct {
		name string
		up   time.Duration
		want time.Duration // the most that the first pause after it can be
	}{
		{"stable", stableAfter, time.Second},
		{"not stable", stableAfter - time.Second, 5 * time.Minute},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				d.run()
				longest := time.Duration(0)
				for range 20 { // pauses are drawn: only many tell
					for !next(t, "state", d.states).up {
					}
					h.goDown(time.Hour) // the pauses grow to their cap
					h.dropAll()
					for !next(t, "state", d.states).up {
					}
					time.Sleep(test.up)
					synctest.Wait()
					dropped := time.Now()
					h.dropAll()
					next(t, "state", d.states)
					if s := next(t, "state", d.states); !s.up {
						t.Fatal(s.why)
					}
					longest = max(longest, time.Since(dropped))
					h.dropAll()
				}
				if isReset := longest <= test.want; !isReset || (test.want > time.Second) != (longest > time.Second) {
					t.Errorf("the longest pause was %v, want at most %v", longest, test.want)
				}
			})
		})
	}
}

func TestTwoClientsWithOneID(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		for range hintAfter {
			for !next(t, "state", d.states).up {
			}
			time.Sleep(time.Second)
			h.dropAll()
		}
		for !next(t, "state", d.states).up {
		}
		if d.log.count("level=ERROR", "same device id") != 1 {
			t.Errorf("no hint in the log:\n%s", d.log)
		}
	})
}

// A link without a network: nothing arrives, nothing fails.
func TestSilentNetwork(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		var conn atomic.Pointer[blackHole]
		d.open = func(ctx context.Context) (net.Conn, error) {
			c, err := h.pipe(ctx)
			hole := &blackHole{Conn: c}
			conn.Store(hole)
			return hole, err
		}
		d.run()
		next(t, "state", d.states)
		sending := make(chan error, 1)
		conn.Load().dead.Store(true)
		went := time.Now()
		time.Sleep(keepAlive) // then a message is on its way when pings find out
		go func() { sending <- d.Send(t.Context(), iothub.Message{Body: []byte("{}")}) }()
		if s := next(t, "state", d.states); s.up || !strings.Contains(s.why.Error(), "pingresp") {
			t.Errorf("state %v %v", s.up, s.why)
		}
		if took := time.Since(went); took > keepAlive+pingTimeout+15*time.Second {
			t.Errorf("it took %v to notice", took)
		}
		if err := next(t, "result of Send", sending); !errors.Is(err, ErrUnknownDelivery) {
			t.Errorf("Send: %v", err)
		}
		if s := next(t, "state", d.states); !s.up {
			t.Errorf("state %v %v", s.up, s.why)
		}
	})
}

// A peer that accepts the connection and never answers CONNECT, or stops
// reading altogether.
func TestFrozenPeer(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		var frozen atomic.Bool
		frozen.Store(true)
		d.open = func(ctx context.Context) (net.Conn, error) {
			if !frozen.Load() {
				return h.pipe(ctx)
			}
			c, _ := net.Pipe()
			return c, nil
		}
		d.run()
		began := time.Now()
		if s := next(t, "state", d.states); s.up || s.why == nil {
			t.Errorf("state %v %v", s.up, s.why)
		}
		if took := time.Since(began); took > connectTimeout+time.Second {
			t.Errorf("it took %v", took)
		}
		frozen.Store(false)
		if s := next(t, "state", d.states); !s.up {
			t.Errorf("state %v %v", s.up, s.why)
		}
	})
}

func TestStop(t *testing.T) {
	t.Run("while connected", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
			d.run()
			next(t, "state", d.states)
			began := time.Now()
			d.halt()
			if took := time.Since(began); took > 0 {
				t.Errorf("it took %v", took)
			}
			synctest.Wait()
			next(t, "goodbye", h.goodbyes)
		})
	})
	t.Run("while dialling", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
			d.open = func(ctx context.Context) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			d.run()
			synctest.Wait()
			d.halt()
		})
	})
	t.Run("while waiting for CONNACK", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
			d.open = func(context.Context) (net.Conn, error) {
				c, _ := net.Pipe()
				return c, nil
			}
			d.run()
			synctest.Wait()
			began := time.Now()
			d.halt()
			if took := time.Since(began); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	})
	t.Run("while pausing", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
			d.open = failingDials(new([]time.Time), io.EOF)
			d.run()
			time.Sleep(time.Hour)
			synctest.Wait()
			began := time.Now()
			d.halt()
			if took := time.Since(began); took > 0 {
				t.Errorf("it took %v", took)
			}
		})
	})
}

func TestStopWaitsForMethods(t *testing.T) {
	for _, test := range []struct {
		name   string
		takes  time.Duration
		answer bool
		within time.Duration
	}{
		{"that end in time", time.Second, true, time.Second},
		{"but not for long", 5 * stopGrace, false, stopGrace + disconnectTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			respond := func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
				time.Sleep(test.takes)
				return iothub.MethodResponse{Status: 200}
			}
			inBubble(t, respond, func(t *testing.T, h *hub, d *device) {
				d.run()
				next(t, "state", d.states)
				h.call("slow", "1", "")
				next(t, "method", d.methods)
				d.stop()
				synctest.Wait()
				h.call("late", "2", "")
				if got := next(t, "answer", h.answers); got.status != 503 || got.rid != "2" {
					t.Errorf("answer %+v", got)
				}
				began := time.Now()
				<-d.stopped
				if took := time.Since(began); took > test.within {
					t.Errorf("it took %v", took)
				}
				synctest.Wait()
				next(t, "goodbye", h.goodbyes)
				if test.answer {
					if got := next(t, "answer", h.answers); got.status != 200 || got.rid != "1" {
						t.Errorf("answer %+v", got)
					}
				}
				nothing(t, "answer", h.answers)
			})
		})
	}
}

func TestRunTwice(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
		d.run()
		synctest.Wait()
		if err := d.Run(t.Context()); err == nil {
			t.Error("a second Run is no error")
		}
	})
}
