package device

import (
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

func number(s string) json.Number { return json.Number(s) }

func TestSubscribesThenReadsTheTwin(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		h.desireSilently(map[string]any{"building": number("43")})
		h.set(func() { h.reported = map[string]any{"floor": number("3")} })
		d.run()
		if s := next(t, "state", d.states); !s.up || s.why != nil {
			t.Errorf("state %+v", s)
		}
		if held := next(t, "reported", d.reported); !iothub.Equal(held, map[string]any{"floor": number("3")}) {
			t.Errorf("reported %v", held)
		}
		want := iothub.Section{Version: 2, Properties: map[string]any{"building": number("43")}}
		if diff := cmp.Diff(want, next(t, "desired", d.desired)); diff != "" {
			t.Error(diff)
		}
		sub := next(t, "subscription", h.subscribes)
		got := map[string]byte{}
		for _, f := range sub.Filters {
			got[f.Filter] = f.Qos
		}
		if diff := cmp.Diff(filters, got); diff != "" {
			t.Error(diff)
		}
		nothing(t, "second subscription", h.subscribes)
	})
}

func TestDesiredVersions(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		desired := func(want map[string]any) {
			t.Helper()
			if s := next(t, "desired", d.desired); !iothub.Equal(s.Properties, want) || s.Version != h.desired.Version {
				t.Errorf("desired %+v, want version %d of %v", s, h.desired.Version, want)
			}
		}
		d.run()
		desired(map[string]any{})
		next(t, "GET", h.gets)

		h.desire(map[string]any{"a": number("1"), "b": map[string]any{"c": "x", "d": "y"}})
		desired(map[string]any{"a": number("1"), "b": map[string]any{"c": "x", "d": "y"}})

		h.desire(map[string]any{"a": nil, "b": map[string]any{"c": nil}})
		desired(map[string]any{"b": map[string]any{"d": "y"}})

		// A version that is known already changes nothing.
		h.notify(iothub.Section{Version: 2, Properties: map[string]any{"a": "old"}})
		synctest.Wait()
		nothing(t, "desired", d.desired)
		nothing(t, "GET", h.gets)

		// A gap: the whole twin is read.
		h.desireSilently(map[string]any{"missed": true})
		h.desire(map[string]any{"seen": true})
		next(t, "GET", h.gets)
		desired(map[string]any{"b": map[string]any{"d": "y"}, "missed": true, "seen": true})

		// One that cannot be read: the same.
		h.desireSilently(map[string]any{"more": true})
		h.reply(iothub.Topic{Kind: iothub.TopicDesired}, []byte(`{"more":`))
		next(t, "GET", h.gets)
		desired(map[string]any{"b": map[string]any{"d": "y"}, "missed": true, "seen": true, "more": true})
	})
}

func TestDesiredAcrossReconnects(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		up := func() {
			t.Helper()
			for !next(t, "state", d.states).up {
			}
			synctest.Wait()
		}
		d.run()
		up()
		next(t, "desired", d.desired)

		h.dropAll()
		up()
		nothing(t, "desired that is not new", d.desired)

		h.desireSilently(map[string]any{"a": "while away"})
		h.dropAll()
		up()
		if s := next(t, "desired", d.desired); s.Version != 2 {
			t.Errorf("desired %+v", s)
		}

		// The device was deleted and registered again: versions begin anew.
		h.set(func() { h.desired = iothub.Section{Version: 1, Properties: map[string]any{"a": "new"}} })
		h.dropAll()
		up()
		if s := next(t, "desired", d.desired); s.Version != 1 || s.Properties["a"] != "new" {
			t.Errorf("desired %+v", s)
		}
	})
}

// A notification that comes before the answer to GET, but is newer than it.
func TestTwinOvertakenByANotification(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		h.set(func() {
			h.onGet = func(rid string) int {
				h.onGet = nil
				old := h.twin()
				h.desired = iothub.Section{Version: 2, Properties: map[string]any{"a": "new"}}
				go func() {
					h.notify(iothub.Section{Version: 2, Properties: map[string]any{"a": "new"}})
					h.reply(iothub.Topic{Kind: iothub.TopicTwinResponse, Status: 200, RequestID: rid}, old)
				}()
				return 0
			}
		})
		d.run()
		next(t, "state", d.states)
		if s := next(t, "desired", d.desired); s.Version != 2 || s.Properties["a"] != "new" {
			t.Errorf("desired %+v", s)
		}
		if len(h.gets) != 2 {
			t.Errorf("%d GETs, want 2", len(h.gets))
		}
	})
}

func TestTwinThatCannotBeReadEndsTheSession(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		floor  time.Duration
		why    string
	}{
		{"no answer", 0, 0, "did not answer the request for the twin"},
		{"throttled", 429, throttledFloor, "ThrottlingException"},
		{"server error", 500, unavailableFloor, "reading the twin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				h.set(func() { h.onGet = func(string) int { return test.status } })
				d.run()
				s := next(t, "state", d.states)
				if s.up || s.why == nil || !strings.Contains(s.why.Error(), test.why) {
					t.Errorf("up %v, why %v; want %q", s.up, s.why, test.why)
				}
				down := time.Now()
				next(t, "goodbye", h.goodbyes) // even this session ends in good order
				next(t, "connect", h.connects)
				next(t, "connect", h.connects)
				if waited := time.Since(down); waited < test.floor || waited > test.floor+2*time.Second {
					t.Errorf("reconnected after %v, want at least %v and jitter", waited, test.floor)
				}
				h.set(func() { h.onGet = nil })
				if s := next(t, "state", d.states); !s.up {
					t.Errorf("state %+v", s)
				}
			})
		})
	}
}

func TestTwinAlwaysStale(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		h.notify(iothub.Section{Version: 9, Properties: map[string]any{}})
		if s := next(t, "state", d.states); s.up || !strings.Contains(s.why.Error(), "behind") {
			t.Errorf("state %+v", s)
		}
		if s := next(t, "state", d.states); !s.up {
			t.Errorf("state %+v", s)
		}
	})
}
