package device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// These tests prove the policy of retries from outside: by the times at which
// attempts are made.

// Each pause has its floor and its jitter, whatever the attempts fail of.
func TestPausesOfEachTrouble(t *testing.T) {
	dial := func(err error) func(*hub, *device, *[]time.Time) {
		return func(_ *hub, d *device, times *[]time.Time) { d.open = failingDials(times, err) }
	}
	refuse := func(code byte) func(*hub, *device, *[]time.Time) {
		return func(h *hub, _ *device, times *[]time.Time) {
			h.onConnect = func(string, string) byte {
				*times = append(*times, time.Now())
				return code
			}
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(*hub, *device, *[]time.Time)
		floor time.Duration
	}{
		{"connection refused", dial(&net.OpError{Op: "dial", Err: errors.New("connection refused")}), 0},
		{"name look-up", dial(&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "hub.example.net", IsNotFound: true}}), 0},
		{"TLS broke off", dial(io.EOF), 0},
		{"certificate", dial(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), 15 * time.Second},
		{"alert", dial(&net.OpError{Op: "remote error", Err: errors.New("tls: bad certificate")}), 15 * time.Second},
		{"protocol", refuse(1), time.Minute},
		{"unavailable", refuse(3), 5 * time.Second},
		{"bad password", refuse(4), 15 * time.Second},
		{"not authorized", refuse(5), 15 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				var times []time.Time
				test.spoil(h, d, &times)
				d.run()
				time.Sleep(24 * time.Hour)
				synctest.Wait()
				bound := time.Second
				shortest := time.Hour
				for i := 1; i < len(times); i++ {
					pause := times[i].Sub(times[i-1]) - test.floor
					if pause < 0 || pause > bound {
						t.Fatalf("pause %d was %v beyond its floor; it may be from 0 to %v", i, pause, bound)
					}
					shortest = min(shortest, pause)
					bound = min(2*bound, 5*time.Minute)
				}
				// On average a pause is 150 s longer than its floor; and jitter
				// comes on top of a floor, it does not begin behind it.
				want := int(24 * time.Hour / (test.floor + 150*time.Second))
				if n := len(times); n < want*8/10 || n > want*12/10+10 || shortest > 5*time.Second {
					t.Errorf("%d attempts in a day, want about %d; the shortest pause was %v beyond its floor", n, want, shortest)
				}
			})
		})
	}
}

// A hub that comes up and falls over again and again is not asked more often
// than one that is down.
func TestHubThatKeepsRestarting(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		end := time.Now().Add(24 * time.Hour)
		n := 0
		for ; time.Now().Before(end); n++ {
			for !next(t, "state", d.states).up {
			}
			time.Sleep(59 * time.Second) // stable is a minute
			h.dropAll()
		}
		if want := int(24 * time.Hour / (time.Minute + 150*time.Second)); n > want*13/10 {
			t.Errorf("%d sessions in a day, want about %d", n, want)
		}
	})
}

// When the hub goes away from all its devices at once, they do not come
// back at once: neither while it is away nor when it returns.
func TestStorm(t *testing.T) {
	const devices = 300
	synctest.Test(t, func(t *testing.T) {
		var (
			mu       sync.Mutex
			attempts []time.Duration // since the hub went away
			back     []time.Duration // since it returned
		)
		const away = 20 * time.Minute
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var all sync.WaitGroup
		for range devices {
			d := newDevice(t, Config{}, nil)
			d.open = func(ctx context.Context) (net.Conn, error) {
				mu.Lock()
				now := time.Since(began)
				if now < away {
					attempts = append(attempts, now)
				} else {
					back = append(back, now-away)
				}
				mu.Unlock()
				if now < away {
					return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
				}
				<-ctx.Done() // it is enough to have come
				return nil, ctx.Err()
			}
			d.log = nil
			all.Go(func() { _ = d.Run(ctx) })
		}
		time.Sleep(away + 5*time.Minute)
		synctest.Wait()
		mu.Lock()
		returned, tried := slices.Clone(back), slices.Clone(attempts)
		mu.Unlock()
		if len(returned) < devices {
			t.Errorf("%d of %d devices came back within five minutes", len(returned), devices)
		}
		// At 150 s each on average, 300 devices make two attempts a second.
		if most := busiestSecond(tried, 10*time.Minute); most > 15 {
			t.Errorf("%d attempts in one second of the outage", most)
		}
		if most := busiestSecond(returned, 0); most > 15 {
			t.Errorf("%d devices came back in one second", most)
		}
		cancel()
		all.Wait()
	})
}

// busiestSecond gives the most events that fall in one second, from a time on.
func busiestSecond(events []time.Duration, from time.Duration) (most int) {
	in := map[time.Duration]int{}
	for _, at := range events {
		if at >= from {
			in[at/time.Second]++
			most = max(most, in[at/time.Second])
		}
	}
	return most
}

// However long the network was away, and in whatever manner, it is used soon
// after it is there again.
func TestNetworkThatComesBack(t *testing.T) {
	for _, test := range []struct {
		name  string
		hangs bool
		limit time.Duration
	}{
		{"was refused", false, 5 * time.Minute},
		{"was silent", true, 5*time.Minute + connectTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, away := range []time.Duration{time.Second, time.Minute, time.Hour, 24 * time.Hour} {
				t.Run(away.String(), func(t *testing.T) {
					inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
						var isAway bool
						var mu sync.Mutex
						set := func(v bool) { mu.Lock(); isAway = v; mu.Unlock() }
						d.open = func(ctx context.Context) (net.Conn, error) {
							mu.Lock()
							gone := isAway
							mu.Unlock()
							switch {
							case gone && test.hangs:
								<-ctx.Done()
								return nil, ctx.Err()
							case gone:
								return nil, &net.OpError{Op: "dial", Err: errors.New("network is unreachable")}
							}
							return h.pipe(ctx)
						}
						d.run()
						next(t, "state", d.states)
						set(true)
						h.dropAll()
						time.Sleep(away)
						set(false)
						since := time.Now()
						for !next(t, "state", d.states).up {
						}
						if took := time.Since(since); took > test.limit {
							t.Errorf("it took %v", took)
						}
					})
				})
			}
		})
	}
}

// What the agent reports meanwhile, and sessions that come and go, do not make
// a hub that asked to be left alone be asked more often.
func TestPatchesKeepThePolicy(t *testing.T) {
	for _, test := range []struct {
		name     string
		status   int
		floor    time.Duration
		perHour  int // at most
		atLeast  int
		sessions bool // the session ends every two minutes
	}{
		{"throttled", 429, 10 * time.Second, 90, 30, false},
		{"throttled, and sessions come and go", 429, 10 * time.Second, 90, 15, true},
		{"out of quota", 403, time.Minute, 45, 15, false},
		{"failing", 500, 0, 120, 30, false},
		{"silent", 0, answerTimeout, 90, 20, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				var times []time.Time
				h.set(func() {
					h.onPatch = func(patch) int {
						times = append(times, time.Now())
						if test.status == 0 {
							return -1 // lost
						}
						return test.status
					}
				})
				d.run()
				next(t, "state", d.states)
				for second := range 3600 {
					d.Report(map[string]any{"n": second})
					if test.sessions && second%120 == 119 {
						h.dropAll()
					}
					time.Sleep(time.Second)
				}
				synctest.Wait()
				for i := 1; i < len(times); i++ {
					if pause := times[i].Sub(times[i-1]); pause < test.floor || pause > test.floor+patchCap+5*time.Minute {
						t.Errorf("pause %d was %v", i, pause)
					}
				}
				if n := len(times); n > test.perHour || n < test.atLeast {
					t.Errorf("%d patches in an hour", n)
				}
				h.set(func() { h.onPatch = nil })
				time.Sleep(2*patchCap + answerTimeout + time.Minute)
				synctest.Wait()
				if got := fmt.Sprint(h.reportedNow()["n"]); got != "3599" {
					t.Errorf("afterwards the hub holds %s", got)
				}
			})
		})
	}
}
