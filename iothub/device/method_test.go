package device

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"latchd/iothub"
)

func TestMethodIsAnsweredOnce(t *testing.T) {
	var sent chan error
	respond := func(_ context.Context, req iothub.MethodRequest) iothub.MethodResponse {
		return iothub.MethodResponse{Status: 200, Payload: []byte(`{"got":` + string(req.Payload) + `}`), Sent: func(err error) { sent <- err }}
	}
	inBubbleWith(t, func() { sent = make(chan error, 10) }, respond, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		h.call("lockDoor", "Ab3", `"{\"lockTime\":\"10m\"}"`)
		want := answer{200, "Ab3", `{"got":"{\"lockTime\":\"10m\"}"}`, 1}
		if got := next(t, "answer", h.answers); got != want {
			t.Errorf("answer %+v, want %+v", got, want)
		}
		if err := next(t, "Sent", sent); err != nil {
			t.Errorf("Sent: %v", err)
		}
		synctest.Wait()
		nothing(t, "second answer", h.answers)
		nothing(t, "second Sent", sent)
	})
}

func TestMethodIsServedBeforeTheTwinIsRead(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		h.set(func() { h.onGet = func(string) int { return 0 } })
		d.run()
		next(t, "subscription", h.subscribes)
		h.call("unlockDoor", "1", "")
		if got := next(t, "answer", h.answers); got.status != 200 {
			t.Errorf("answer %+v", got)
		}
		if req := next(t, "request", d.methods); req.Name != "unlockDoor" || len(req.Payload) != 0 {
			t.Errorf("request %+v", req)
		}
		nothing(t, "state", d.states) // the session is not up without its twin
	})
}

// request is a direct method as a packet, for what no broker would send.
func request(packetID uint16, rid string, qos byte, dup bool) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Dup: dup},
		PacketID:    packetID,
		TopicName:   iothub.Topic{Kind: iothub.TopicMethodRequest, Method: "unlockDoor", RequestID: rid}.String(),
	}
}

func TestOldMethodIsDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)

		h.writeRaw(request(7, "1", 1, true)) // sent before
		synctest.Wait()
		nothing(t, "method", d.methods)

		h.call("unlockDoor", "2", "")
		next(t, "method", d.methods)
		h.call("unlockDoor", "2", "") // the same request id
		synctest.Wait()
		nothing(t, "method", d.methods)

		h.writeRaw(request(8, "3", 1, false)) // QoS 1 on a live subscription is unusual, but new
		next(t, "method", d.methods)

		// A new session counts request ids anew.
		h.dropAll()
		next(t, "state", d.states)
		next(t, "state", d.states)
		h.call("unlockDoor", "2", "")
		next(t, "method", d.methods)
		if n := d.log.count("a direct method was dropped"); n != 2 {
			t.Errorf("%d lines about dropped methods, want 2", n)
		}
	})
}

// Request ids are remembered, so they cannot be of any length.
func TestMethodWithALongRequestIDIsDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		h.writeRaw(request(0, strings.Repeat("x", maxRequestID+1), 0, false))
		synctest.Wait()
		nothing(t, "method", d.methods)
		h.writeRaw(request(0, strings.Repeat("x", maxRequestID), 0, false))
		next(t, "method", d.methods)
	})
}

// A broker that keeps requests for a device that is away, under a subscription
// that somebody else made at QoS 1, delivers them right after CONNACK.
func TestMethodThatWaitedInTheSessionIsDropped(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		h.set(func() {
			h.onSession = func(cl *mochi.Client) {
				for _, qos := range []byte{1, 0} {
					if err := cl.WritePacket(request(9, fmt.Sprint("r", qos), qos, false)); err != nil {
						t.Error(err)
					}
				}
			}
		})
		d.run()
		next(t, "state", d.states)
		// A request at QoS 0 was not kept by anybody: it is served.
		if got := next(t, "answer", h.answers); got.rid != "r0" {
			t.Errorf("answer %+v", got)
		}
		synctest.Wait()
		next(t, "method", d.methods)
		nothing(t, "method", d.methods)
		if d.log.count("a direct method was dropped", "waited in the session") != 1 {
			t.Errorf("the log:\n%s", d.log)
		}
	})
}

func TestTooManyMethods(t *testing.T) {
	var release chan struct{}
	respond := func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
		<-release
		return iothub.MethodResponse{Status: 200}
	}
	inBubbleWith(t, func() { release = make(chan struct{}) }, respond, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		for i := range maxMethods {
			h.call("slow", fmt.Sprint("r", i), "")
		}
		synctest.Wait()
		h.call("slow", "one-more", "")
		want := answer{429, "one-more", `{"Response":"Too many methods at once"}`, 0}
		if got := next(t, "answer", h.answers); got != want {
			t.Errorf("answer %+v, want %+v", got, want)
		}
		close(release)
		for range maxMethods {
			if got := next(t, "answer", h.answers); got.status != 200 {
				t.Errorf("answer %+v", got)
			}
		}
		synctest.Wait()
		h.call("quick", "after", "")
		if got := next(t, "answer", h.answers); got.status != 200 || got.rid != "after" {
			t.Errorf("answer %+v", got)
		}
	})
}

func TestMethodThatFails(t *testing.T) {
	for _, test := range []struct {
		name    string
		respond func(context.Context, iothub.MethodRequest) iothub.MethodResponse
		status  int
	}{
		{"panic", nil, 500},
		{"no JSON", func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
			return iothub.MethodResponse{Status: 200, Payload: []byte("done"), Sent: func(error) {}}
		}, 500},
		{"too large", func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
			return iothub.MethodResponse{Status: 200, Payload: []byte(`"` + strings.Repeat("x", iothub.MaxMethodPayload) + `"`)}
		}, 500},
		{"panic in Sent", func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
			return iothub.MethodResponse{Status: 201, Sent: func(error) { panic("out of order") }}
		}, 201},
	} {
		t.Run(test.name, func(t *testing.T) {
			inBubble(t, test.respond, func(t *testing.T, h *hub, d *device) {
				d.run()
				next(t, "state", d.states)
				for _, rid := range []string{"1", "2"} { // the second proves that nothing is left behind
					h.call(strings.ReplaceAll(test.name, " ", "-"), rid, "")
					got := next(t, "answer", h.answers)
					if got.status != test.status || got.rid != rid {
						t.Errorf("answer %+v, want status %d", got, test.status)
					}
					if test.status == 500 && !strings.Contains(got.payload, `"Response"`) {
						t.Errorf("answer %s has no Response", got.payload)
					}
					if test.name == "no JSON" && got.qos != 1 {
						t.Error("the answer in its place is not acknowledged, although somebody waits for that")
					}
				}
			})
		})
	}
}

// What arrived while the process stood still may be too old: its caller may
// have given up. The session ends, and the next one begins without it. The
// command may have been on its way for a while when the process stood still.
func TestMethodAfterAStall(t *testing.T) {
	for _, test := range []struct {
		stall   time.Duration
		isFresh bool
	}{
		{stallLimit - pulseEvery, true}, // the last beat may have been as long ago
		{stallLimit + time.Millisecond, false},
		{5*time.Second - time.Millisecond, false}, // its caller gives up in this moment
		{7 * time.Second, false},
		{40 * time.Minute, false}, // in longer ones a token runs out too
	} {
		t.Run(test.stall.String(), func(t *testing.T) {
			inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
				d.run()
				next(t, "state", d.states)
				h.call("stall", "1", test.stall.String()) // the handler keeps the session's loop
				h.call("unlockDoor", "2", "")
				if got := next(t, "method", d.methods).Name; got != "stall" {
					t.Fatalf("the first method was %s", got)
				}
				if !test.isFresh {
					if down := next(t, "state", d.states); down.up || !strings.Contains(fmt.Sprint(down.why), "stood still for") {
						t.Fatalf("state %+v", down)
					}
					if up := next(t, "state", d.states); !up.up {
						t.Fatalf("state %+v", up)
					}
					h.call("unlockDoor", "3", "")
				}
				if got := next(t, "method", d.methods).Name; got != "unlockDoor" {
					t.Errorf("after the stall came %s", got)
				}
				synctest.Wait()
				nothing(t, "method", d.methods)
			})
		})
	}
}

// Two commands for one door must reach it in the order in which they came.
func TestMethodsKeepTheirOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		for round := range 20 {
			for i := range maxMethods / 2 {
				h.call(fmt.Sprintf("m%d", i), fmt.Sprintf("%d-%d", round, i), "")
			}
			for i := range maxMethods / 2 {
				if got := next(t, "method", d.methods).Name; got != fmt.Sprintf("m%d", i) {
					t.Fatalf("method %d of round %d was %s", i, round, got)
				}
				next(t, "answer", h.answers)
			}
		}
	})
}

// The hub has given up on a method whose connection broke; its answer would
// belong to nobody.
func TestAnswerDoesNotOutliveItsSession(t *testing.T) {
	var release chan struct{}
	var sent chan error
	respond := func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
		<-release
		return iothub.MethodResponse{Status: 200, Sent: func(err error) { sent <- err }}
	}
	setUp := func() { release, sent = make(chan struct{}), make(chan error, 10) }
	inBubbleWith(t, setUp, respond, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		h.call("slow", "1", "")
		next(t, "method", d.methods)
		h.dropAll()
		next(t, "state", d.states)
		if s := next(t, "state", d.states); !s.up {
			t.Fatalf("not up again: %v", s.why)
		}
		close(release)
		if err := next(t, "Sent", sent); !errors.Is(err, errSessionOver) {
			t.Errorf("Sent got %v", err)
		}
		synctest.Wait()
		nothing(t, "answer", h.answers)
		nothing(t, "second Sent", sent)
	})
}

// A hub that keeps the connection but acknowledges nothing: the session is
// given up, and Sent says so.
func TestAnswerWithoutPuback(t *testing.T) {
	var sent chan error
	respond := func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
		return iothub.MethodResponse{Status: 200, Sent: func(err error) { sent <- err }}
	}
	inBubbleWith(t, func() { sent = make(chan error, 10) }, respond, func(t *testing.T, h *hub, d *device) {
		h.set(func() {
			h.noPuback = func(topic string) bool { return strings.HasPrefix(topic, "$iothub/methods/res/") }
		})
		d.run()
		next(t, "state", d.states)
		h.call("m", "1", "")
		time.Sleep(answerTimeout + time.Second)
		if err := next(t, "Sent", sent); err == nil {
			t.Error("Sent got nil without a PUBACK")
		}
		if s := next(t, "state", d.states); s.up || s.why == nil {
			t.Errorf("state %+v", s)
		}
	})
}

// A flood of methods does not become a flood of lines in the log.
func TestWarningsAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		var w warnings
		for range 100_000 {
			w.warn(logger, "dropped", "method", "m")
		}
		if n := strings.Count(log.String(), "\n"); n != maxWarnings {
			t.Errorf("%d lines, want %d", n, maxWarnings)
		}
		log.Reset()
		time.Sleep(time.Minute)
		w.warn(logger, "dropped", "method", "m")
		w.warn(logger, "dropped", "method", "m")
		first, second, _ := strings.Cut(log.String(), "\n")
		if !strings.HasSuffix(first, fmt.Sprint("method=m leftOut=", 100_000-maxWarnings)) || strings.Contains(second, "leftOut") {
			t.Errorf("a minute later:\n%s", log.String())
		}
	})
}

func TestRequestIDsAreBounded(t *testing.T) {
	ids := newRequestIDs()
	for i := range 3 * maxRequestIDs {
		if !ids.add(fmt.Sprint(i)) {
			t.Fatalf("%d is not new", i)
		}
	}
	last := fmt.Sprint(3*maxRequestIDs - 1)
	if ids.add(last) || len(ids.known) != maxRequestIDs || len(ids.ring) != maxRequestIDs {
		t.Errorf("%d ids are known, %d in the ring", len(ids.known), len(ids.ring))
	}
}
