package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// A clock that is set right, or a network that comes up, is no reason to wait
// for the end of the pause.
func TestRetryNow(t *testing.T) {
	t.Run("in a pause", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
			h.set(func() { h.onConnect = func(string, string) byte { return 5 } })
			d.run()
			time.Sleep(time.Hour) // the pauses have grown
			for range 10 {
				synctest.Wait()
				drain(h.connects)
				asked := time.Now()
				d.RetryNow()
				d.RetryNow()
				next(t, "connect", h.connects)
				if took := time.Since(asked); took > time.Second {
					t.Fatalf("the attempt came after %v", took)
				}
				at := time.Now()
				next(t, "connect", h.connects)
				if pause := time.Since(at); pause < refusedFloor || pause > refusedFloor+2*time.Second {
					t.Fatalf("the pause after it was %v", pause)
				}
				time.Sleep(time.Hour)
			}
		})
	})
	t.Run("in an attempt", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
			var times []time.Time
			d.open = func(ctx context.Context) (net.Conn, error) {
				times = append(times, time.Now())
				time.Sleep(10 * time.Second)
				return nil, &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}}
			}
			d.run()
			time.Sleep(5 * time.Second)
			d.RetryNow()
			time.Sleep(6*time.Second + time.Millisecond)
			synctest.Wait()
			if len(times) != 2 {
				t.Errorf("%d attempts: %v", len(times), times)
			}
		})
	})
	t.Run("before Run and after", func(t *testing.T) {
		inBubble(t, nil, func(t *testing.T, _ *hub, d *device) {
			d.RetryNow()
			d.run()
			next(t, "state", d.states)
			d.halt()
			d.RetryNow()
			d.RetryNow()
		})
	})
}

func drain[T any](ch <-chan T) {
	for len(ch) > 0 {
		<-ch
	}
}
