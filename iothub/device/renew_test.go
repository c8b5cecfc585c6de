package device

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

func TestTokenIsRenewed(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		var last time.Time
		for i := range 10 {
			c := next(t, "connect", h.connects)
			token, err := iothub.ParseSAS(string(c.Password))
			if err != nil {
				t.Fatal(err)
			}
			if want := time.Now().Add(tokenLife); !token.Expiry.Equal(want) {
				t.Errorf("token %d expires at %v, want %v", i, token.Expiry, want)
			}
			if pause := time.Since(last); i > 0 && pause != renewAfter {
				t.Errorf("token %d was renewed after %v, want %v", i, pause, renewAfter)
			}
			last = time.Now()
		}
		synctest.Wait()
		nothing(t, "change of the connection", d.states)
		if len(h.goodbyes) != 9 {
			t.Errorf("%d DISCONNECTs, want 9", len(h.goodbyes))
		}
	})
}

func TestRenewalWaitsForMethods(t *testing.T) {
	for _, test := range []struct {
		name     string
		takes    time.Duration
		waits    time.Duration
		answered bool
	}{
		{"that end", 10 * time.Second, 10 * time.Second, true},
		{"but not for ever", time.Hour, renewGrace, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			respond := func(ctx context.Context, req iothub.MethodRequest) iothub.MethodResponse {
				if req.Name == "slow" {
					select {
					case <-time.After(test.takes):
					case <-ctx.Done():
					}
				}
				return iothub.MethodResponse{Status: 200}
			}
			inBubble(t, respond, func(t *testing.T, h *hub, d *device) {
				d.run()
				next(t, "state", d.states)
				next(t, "connect", h.connects)
				time.Sleep(renewAfter - time.Nanosecond)
				h.call("slow", "1", "")
				next(t, "method", d.methods)
				began := time.Now()
				time.Sleep(time.Second)
				d.Report(map[string]any{"a": 1}) // waits for the next session
				h.call("quick", "2", "")         // is still served
				if got := next(t, "answer", h.answers); got.rid != "2" {
					t.Errorf("answer %+v", got)
				}
				nothing(t, "patch", h.patches)
				next(t, "connect", h.connects)
				if waited := time.Since(began); waited.Round(time.Second) != test.waits {
					t.Errorf("renewed after %v, want %v", waited, test.waits)
				}
				if test.answered {
					if got := next(t, "answer", h.answers); got.rid != "1" || got.status != 200 {
						t.Errorf("answer %+v", got)
					}
				}
				next(t, "patch", h.patches)
				nothing(t, "answer", h.answers)
				nothing(t, "change of the connection", d.states)
			})
		})
	}
}

func TestRenewalHoldsMessagesBack(t *testing.T) {
	respond := func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
		time.Sleep(5 * time.Second)
		return iothub.MethodResponse{Status: 200}
	}
	inBubble(t, respond, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		time.Sleep(renewAfter - time.Second)
		h.call("slow", "1", "")
		time.Sleep(2 * time.Second) // the renewal waits for the method
		began := time.Now()
		if err := d.Send(t.Context(), iothub.Message{}); err != nil {
			t.Errorf("Send: %v", err)
		}
		if waited := time.Since(began); waited != 3*time.Second {
			t.Errorf("it was sent after %v, want 3s: on the next session", waited)
		}
	})
}

func TestGaugeThatIsShut(t *testing.T) {
	g := newGauge()
	if !g.begin() {
		t.Error("an open gauge refuses")
	}
	g.shut()
	if g.begin() {
		t.Error("a gauge that is shut lets in")
	}
	g.enter()
	g.end()
	nothing(t, "zero", g.zero)
	g.end()
	next(t, "zero", g.zero)
	if !g.isZero() {
		t.Error("it is not at zero")
	}
}

func TestRenewalThatFailsIsABreak(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		h.goDown(time.Hour) // the pauses grow
		d.run()
		for !next(t, "state", d.states).up {
		}
		h.goDown(renewAfter + 1)
		if s := next(t, "state", d.states); s.up {
			t.Errorf("state %v %v", s.up, s.why)
		}
		down := time.Now()
		if s := next(t, "state", d.states); !s.up {
			t.Errorf("state %v %v", s.up, s.why)
		}
		if took := time.Since(down); took > time.Second { // a session that was renewed was a good one
			t.Errorf("it took %v", took)
		}
	})
}

// The device's clock may be set while it waits: each attempt signs anew.
func TestTokenIsSignedWithTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		defer time.Sleep(2 * writeTimeout)
		defer h.close()
		clock := newTestClock(true)
		clock.step(time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC))
		d := newDevice(t, Config{Clock: clock}, nil)
		d.open = h.pipe
		h.set(func() {
			h.onConnect = func(_, password string) byte {
				token, err := iothub.ParseSAS(password)
				if err != nil || !token.SignedBy(deviceKey) || token.Resource != "hub.example.net/devices/door-1" {
					t.Errorf("token for %q: %v", token.Resource, err)
				}
				if token.ExpiredAt(time.Now()) {
					return 5
				}
				return 0
			}
		})
		d.run()
		defer d.halt()
		if s := next(t, "state", d.states); s.up {
			t.Error("up with an expired token")
		}
		clock.step(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if s := next(t, "state", d.states); !s.up {
			t.Errorf("state %v %v", s.up, s.why)
		}
	})
}
