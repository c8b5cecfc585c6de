package backoff

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// highest draws the end of the range, lowest its beginning.
func highest(n int64) int64 { return n - 1 }
func lowest(int64) int64    { return 0 }

func TestBoundDoublesUpToTheCap(t *testing.T) {
	tests := []struct {
		name   string
		policy Policy
		want   []time.Duration
	}{
		{
			"defaults",
			Policy{},
			[]time.Duration{
				time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 16 * time.Second,
				32 * time.Second, 64 * time.Second, 128 * time.Second, 256 * time.Second, 5 * time.Minute, 5 * time.Minute,
			},
		},
		{"own numbers", Policy{Base: 3, Cap: 10}, []time.Duration{3, 6, 10, 10}},
		{"cap below base", Policy{Base: 10, Cap: 4}, []time.Duration{4, 4}},
		{"negative means default", Policy{Base: -1, Cap: -1}, []time.Duration{time.Second, 2 * time.Second}},
		{
			"no overflow",
			Policy{Base: math.MaxInt64 / 2, Cap: math.MaxInt64},
			[]time.Duration{math.MaxInt64 / 2, math.MaxInt64 - 1, math.MaxInt64 - 1},
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.policy.Rand = highest
			for i, want := range test.want {
				if got := test.policy.Next(); got != want {
					t.Errorf("wait %d: got %v, want %v", i, got, want)
				}
			}
		})
	}
}

func TestResetStartsAgain(t *testing.T) {
	p := Policy{Rand: highest}
	for range 20 {
		p.Next()
	}
	p.Reset()
	if got := p.Next(); got != DefaultBase {
		t.Errorf("first wait after Reset: got %v, want %v", got, DefaultBase)
	}
}

// Full jitter uses the whole range: with 2,000 draws from one second each tenth
// of it is hit, and nothing lies outside.
func TestDefaultRandomFillsTheRange(t *testing.T) {
	var tenths [10]int
	for range 2000 {
		var p Policy
		d := p.Next()
		if d < 0 || d > time.Second {
			t.Fatalf("first wait %v is outside 0s..1s", d)
		}
		tenths[min(d/(100*time.Millisecond), 9)]++
	}
	for i, n := range tenths {
		if n == 0 {
			t.Errorf("no draw in tenth %d of the range", i)
		}
	}
}

func TestWaitNeverBelowFloor(t *testing.T) {
	tests := []struct {
		name  string
		rand  func(int64) int64
		floor time.Duration
		want  time.Duration
	}{
		{"shortest draw", lowest, 15 * time.Second, 15 * time.Second},
		{"jitter on top of the floor", highest, 15 * time.Second, 16 * time.Second},
		{"no floor", highest, 0, time.Second},
		{"negative floor", highest, -time.Hour, time.Second},
		{"floor above cap", lowest, time.Hour, time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := Policy{Rand: test.rand}
				start := time.Now()
				if err := p.Wait(t.Context(), test.floor); err != nil {
					t.Fatal(err)
				}
				if got := time.Since(start); got != test.want {
					t.Errorf("waited %v, want %v", got, test.want)
				}
			})
		})
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		p := Policy{Rand: highest}
		if err := p.Wait(ctx, time.Hour); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the context's error", err)
		}
		if got := time.Since(start); got != 3*time.Second {
			t.Errorf("returned after %v, want 3s", got)
		}
	})
}

func TestSleepRefusesAnEndedContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 { // a select would pick at random between two ready cases
		if err := Sleep(ctx, 0); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want context.Canceled", err)
		}
	}
}
