package device

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

// step is one call of the report machine and what it must say then.
type step struct {
	want     map[string]any // the user's wish, if any
	fetched  map[string]any // the twin came
	status   int            // the hub's answer to the patch before
	lost     bool           // no answer came
	down     bool           // the session ended
	elapsed  time.Duration
	patch    map[string]any
	unknown  bool
	isPaused bool
}

func TestReports(t *testing.T) {
	type m = map[string]any
	long := strings.Repeat("x", 4000)
	big := m{"1": long, "2": long, "3": long, "4": long, "5": long}
	for name, steps := range map[string][]step{
		"nothing to report": {
			{unknown: true},
			{fetched: m{"a": number("1")}},
		},
		"only the difference, other keys are left alone": {
			{fetched: m{"a": number("1"), "gone": true, "foreign": "x", "o": m{"p": "1", "q": "2"}}},
			{want: m{"a": 1, "b": 2, "gone": nil, "never": nil, "o": m{"p": "1", "r": "3"}}, patch: m{"b": number("2"), "gone": nil, "o": m{"q": nil, "r": "3"}}},
			{status: 204},
		},
		"coalesced while a patch is on its way": {
			{fetched: m{}},
			{want: m{"a": 1}, patch: m{"a": number("1")}},
			{want: m{"a": 2}},
			{want: m{"a": 3, "b": 1}},
			{status: 200, patch: m{"a": number("3"), "b": number("1")}},
			{status: 204},
		},
		"a wish from before the connection": {
			{want: m{"a": 1}, unknown: true},
			{fetched: m{"a": number("1.0")}},
		},
		"lost answer: what the hub holds is read first": {
			{fetched: m{"a": number("1")}},
			{want: m{"a": 2}, patch: m{"a": number("2")}},
			{lost: true, isPaused: true},
			{want: m{"a": 1}, isPaused: true}, // not "nothing to do": the hub may hold 2
			{elapsed: time.Minute, unknown: true},
			{fetched: m{"a": number("2")}, patch: m{"a": number("1")}},
			{status: 204},
		},
		"lost session": {
			{fetched: m{}},
			{want: m{"a": 2}, patch: m{"a": number("2")}},
			{down: true, unknown: true},
			{fetched: m{"a": number("2")}},
		},
		"throttled: the same again, later": {
			{fetched: m{}},
			{want: m{"a": 1}, patch: m{"a": number("1")}},
			{status: 429, isPaused: true},
			{elapsed: throttledFloor - 1, isPaused: true},
			{elapsed: time.Minute, patch: m{"a": number("1")}},
			{status: 204},
		},
		"quota": {
			{fetched: m{}},
			{want: m{"a": 1}, patch: m{"a": number("1")}},
			{status: 403, isPaused: true},
			{elapsed: quotaFloor - 1, isPaused: true},
			{elapsed: time.Minute, patch: m{"a": number("1")}},
		},
		"server error: it may have been applied": {
			{fetched: m{}},
			{want: m{"a": 1}, patch: m{"a": number("1")}},
			{status: 503, isPaused: true},
			{elapsed: time.Minute, unknown: true},
			{fetched: m{"a": number("1")}},
		},
		"precondition": {
			{fetched: m{}},
			{want: m{"a": 1}, patch: m{"a": number("1")}},
			{status: 412, isPaused: true},
			{elapsed: time.Minute, unknown: true},
		},
		"one bad key costs only itself": {
			{fetched: m{"old": true}},
			{want: m{"a": 1, "bad": 1, "c": 1, "old": nil}, patch: m{"a": number("1"), "bad": number("1"), "c": number("1"), "old": nil}},
			{status: 400, patch: m{"old": nil}},
			{status: 204, patch: m{"a": number("1")}},
			{status: 204, patch: m{"bad": number("1")}},
			{status: 400, patch: m{"c": number("1")}},
			{status: 204},
			{want: m{"a": 2, "bad": 1}, patch: m{"a": number("2")}}, // bad stays out
			{status: 204},
			{down: true, unknown: true},
			{fetched: m{"a": number("2")}}, // after a reconnect too
			{want: m{"a": 2, "bad": 2}, patch: m{"bad": number("2")}},
			{status: 204},
		},
		"a newer value of a refused key has its own chance": {
			{fetched: m{}},
			{want: m{"bad": 1}, patch: m{"bad": number("1")}},
			{want: m{"bad": 2}},
			{status: 400, patch: m{"bad": number("2")}},
			{status: 204},
		},
		"what the hub is known to refuse is not sent": {
			{fetched: m{}},
			{want: m{"a.b": 1, "$c": 1, "d": []any{nil}, "e": strings.Repeat("x", iothub.MaxTwinString+1), "ok": 1}, patch: m{"ok": number("1")}},
			{status: 204},
		},
		"too large together: as many as fit": {
			{fetched: m{"old": long}},
			{want: m{"a": big, "b": big, "old": nil}, patch: m{"old": nil}},
			{status: 204, patch: m{"a": big}},
			{status: 204},
		},
		"what cannot be written as JSON is left out": {
			{fetched: m{}},
			{want: m{"a": math.NaN(), "b": 1}, patch: m{"b": number("1")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReports(slog.New(slog.DiscardHandler))
			now := time.Unix(1e9, 0)
			for i, s := range steps {
				now = now.Add(s.elapsed)
				s.act(r, now)
				got := r.next(now)
				if !iothub.Equal(got.patch, s.patch) && len(got.patch)+len(s.patch) > 0 {
					t.Fatalf("step %d: patch %.200v, want %.200v", i, got.patch, s.patch)
				}
				if got.unknown != s.unknown || got.pause > 0 != s.isPaused {
					t.Fatalf("step %d: %+v, want unknown %v, paused %v", i, got, s.unknown, s.isPaused)
				}
			}
		})
	}
}

func (s step) act(r *reports, now time.Time) {
	if s.want != nil {
		r.want(s.want)
	}
	if s.fetched != nil {
		r.fetched(s.fetched)
	}
	switch {
	case s.status/100 == 2:
		r.accepted()
	case s.status != 0:
		r.rejected(now, &iothub.Error{HTTPStatus: s.status})
	}
	if s.lost {
		r.unanswered(now)
	}
	if s.down {
		r.disconnected()
	}
}

func TestReportAndFlush(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		ctx := t.Context()
		if err := d.Flush(ctx); err != nil {
			t.Errorf("Flush without a report: %v", err)
		}
		d.Report(map[string]any{"a": 1})
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		if err := d.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Flush without a connection: %v", err)
		}
		d.run()
		if err := d.Flush(ctx); err != nil {
			t.Errorf("Flush: %v", err)
		}
		if got := h.reportedNow(); !iothub.Equal(got, map[string]any{"a": number("1")}) {
			t.Errorf("the hub holds %v", got)
		}
		next(t, "reported", d.reported)
		if held := next(t, "reported", d.reported); !iothub.Equal(held, h.reportedNow()) {
			t.Errorf("the handler was told %v", held)
		}

		h.set(func() {
			h.onPatch = func(p patch) int {
				if _, ok := p.body["bad"]; ok {
					return 400
				}
				return 204
			}
		})
		d.Report(map[string]any{"a": 2, "bad": true})
		var refused *RefusedError
		if err := d.Flush(ctx); !errors.As(err, &refused) || !slices.Equal(slices.Sorted(maps.Keys(refused.Reasons)), []string{"bad"}) {
			t.Errorf("Flush: %v", err)
		}
		if !iothub.Equal(h.reportedNow()["a"], number("2")) {
			t.Errorf("the hub holds %v", h.reportedNow())
		}
		d.Report(map[string]any{"a": 2})
		if err := d.Flush(ctx); err != nil {
			t.Errorf("Flush: %v", err)
		}
		d.halt()
		d.Report(map[string]any{"a": 3})
		if err := d.Flush(ctx); !errors.Is(err, ErrStopped) {
			t.Errorf("Flush after the end: %v", err)
		}
	})
}

func TestReportSurvives(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int  // of the first patch; the rest is accepted
		lost   bool // the first patch is not applied
		within time.Duration
	}{
		{"a lost answer", 0, false, answerTimeout + patchBase},
		{"a lost patch", -1, true, answerTimeout + patchBase},
		{"throttling", 429, true, throttledFloor + patchBase},
		{"a server error", 503, true, patchBase},
		{"a failed precondition", 412, true, patchBase},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				d.run()
				next(t, "state", d.states)
				n := 0
				h.set(func() {
					h.onPatch = func(patch) int {
						if n++; n == 1 {
							return test.status
						}
						return 204
					}
				})
				began := time.Now()
				d.Report(map[string]any{"a": 1})
				if err := d.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took > test.within {
					t.Errorf("it took %v, want at most %v", took, test.within)
				}
				want := 2
				if !test.lost {
					want = 1 // the twin showed that the first one was applied
				}
				if len(h.patches) != want {
					t.Errorf("%d patches, want %d", len(h.patches), want)
				}
				nothing(t, "state", d.states) // the session went on
			})
		})
	}
}

// After each reconnect the difference is taken from what the hub then holds.
func TestReportIsRepairedAfterAReconnect(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		d.Report(map[string]any{"a": 1, "b": 2})
		if err := d.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		h.set(func() { h.reported = map[string]any{"a": number("1"), "b": number("7")} })
		h.dropAll()
		synctest.Wait()
		next(t, "patch", h.patches)
		if p := next(t, "patch", h.patches); !iothub.Equal(p.body, map[string]any{"b": number("2")}) {
			t.Errorf("patch %v", p.body)
		}
	})
}
