package device

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

func TestSend(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		sent := make(chan error, 1)
		m := iothub.Message{
			Body:       []byte(`{"event":"doorLocked"}`),
			Properties: iothub.Properties{"$.ct": "application/json", "event": "door locked & bolted+"},
		}
		go func() { sent <- d.Send(t.Context(), m) }()
		synctest.Wait()
		nothing(t, "result", sent) // it waits for the connection
		d.run()
		if err := next(t, "result", sent); err != nil {
			t.Errorf("Send: %v", err)
		}
		got := next(t, "event", h.events)
		const topic = "devices/door-1/messages/events/%24.ct=application%2Fjson&event=door%20locked%20%26%20bolted%2B"
		if got.TopicName != topic || string(got.Payload) != string(m.Body) || got.FixedHeader.Qos != 1 {
			t.Errorf("event %q %q at QoS %d", got.TopicName, got.Payload, got.FixedHeader.Qos)
		}
		d.halt()
		if err := d.Send(t.Context(), m); !errors.Is(err, ErrStopped) {
			t.Errorf("Send after the end: %v", err)
		}
	})
}

func TestSendFails(t *testing.T) {
	noPuback := func(h *hub) {
		h.set(func() { h.noPuback = func(topic string) bool { return strings.HasPrefix(topic, "devices/") } })
	}
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		gone, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Send(gone, iothub.Message{}); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrUnknownDelivery) {
			t.Errorf("without a connection: %v", err)
		}
		d.run()
		next(t, "state", d.states)
		noPuback(h)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := d.Send(short, iothub.Message{}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnknownDelivery) {
			t.Errorf("without PUBACK: %v", err)
		}
		nothing(t, "state", d.states)
		if err := d.Send(t.Context(), iothub.Message{}); !errors.Is(err, ErrUnknownDelivery) {
			t.Errorf("without PUBACK for long: %v", err)
		}
		if s := next(t, "state", d.states); s.up { // the session was of no use
			t.Errorf("state %v %v", s.up, s.why)
		}
		for !next(t, "state", d.states).up {
		}
		go func() {
			time.Sleep(time.Second)
			h.dropAll()
		}()
		if err := d.Send(t.Context(), iothub.Message{}); !errors.Is(err, ErrUnknownDelivery) {
			t.Errorf("connection lost: %v", err)
		}
	})
}

func TestSendRefusesWhatNoHubTakes(t *testing.T) {
	d := newDevice(t, Config{}, nil)
	for name, m := range map[string]iothub.Message{
		"body":     {Body: make([]byte, iothub.MaxMessage+1)},
		"together": {Body: make([]byte, iothub.MaxMessage-3), Properties: iothub.Properties{"ab": "cd"}},
		"topic":    {Properties: iothub.Properties{"a": strings.Repeat("/", 30000)}},
		"no name":  {Properties: iothub.Properties{"": "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := d.Send(t.Context(), m); !errors.Is(err, ErrInvalidMessage) {
				t.Errorf("Send: %v", err)
			}
		})
	}
}

func TestSendAllKeepsTheOrder(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		var messages []iothub.Message
		for i := range 16 {
			messages = append(messages, iothub.Message{Body: []byte{byte(i)}})
		}
		if n, err := d.SendAll(t.Context(), messages); n != 16 || err != nil {
			t.Errorf("SendAll: %d, %v", n, err)
		}
		for i := range 16 {
			if got := next(t, "event", h.events); got.Payload[0] != byte(i) {
				t.Fatalf("event %d came as number %d", got.Payload[0], i)
			}
		}
	})
}

func TestSendAllTellsHowFarItCame(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, h *hub, d *device) {
		d.run()
		next(t, "state", d.states)
		h.set(func() { h.noPuback = func(topic string) bool { return strings.HasSuffix(topic, "event=c") } })
		var messages []iothub.Message
		for _, name := range []string{"a", "b", "c", "d"} {
			messages = append(messages, iothub.Message{Properties: iothub.Properties{"event": name}})
		}
		n, err := d.SendAll(t.Context(), messages)
		if n != 2 || !errors.Is(err, ErrUnknownDelivery) {
			t.Errorf("SendAll: %d, %v", n, err)
		}
		if s := next(t, "state", d.states); s.up {
			t.Errorf("a session without PUBACK goes on")
		}
		n, err = d.SendAll(t.Context(), append(messages, iothub.Message{Properties: iothub.Properties{"": "x"}}))
		if n != 0 || !errors.Is(err, ErrInvalidMessage) {
			t.Errorf("SendAll of what no hub takes: %d, %v", n, err)
		}
	})
}
