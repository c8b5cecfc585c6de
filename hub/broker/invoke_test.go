package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

// result is what Invoke returned.
type result struct {
	status int
	body   string
	err    error
}

// invoke calls Invoke in the background.
func (r *rig) invoke(ctx context.Context, id, method, payload string, connect, response time.Duration) <-chan result {
	out := make(chan result, 1)
	go func() {
		status, body, err := r.Invoke(ctx, id, method, []byte(payload), connect, response)
		out <- result{status, string(body), err}
	}()
	return out
}

// expectMethod gives the request id of the method that must be next.
func (c *rawClient) expectMethod(name, payload string) (rid string) {
	c.t.Helper()
	p := c.expect(kPublish)
	topic, body, qos := p.publish()
	rid, ok := strings.CutPrefix(topic, "$iothub/methods/POST/"+name+"/?$rid=")
	if !ok || body != payload || qos != 0 || p.flags != 0 {
		c.t.Fatalf("%s: got %v; want method %s with %q at QoS 0", c.id, p, name, payload)
	}
	return rid
}

func (c *rawClient) answer(rid string, status int, body string) {
	c.t.Helper()
	c.send(publishPacket(fmt.Sprintf("$iothub/methods/res/%d/?$rid=%s", status, rid), body, 0, 0, 0))
}

func wantCode(t *testing.T, got result, code iothub.Code, timeout string) {
	t.Helper()
	var e *iothub.Error
	if !errors.As(got.err, &e) || e.Code != code {
		t.Fatalf("Invoke gave %d %q %v; want %v", got.status, got.body, got.err, code)
	}
	if timeout != "" && e.Info["timeout"] != timeout {
		t.Errorf("info %v; want timeout %s", e.Info, timeout)
	}
}

func TestMethod(t *testing.T) {
	r := start(t, &fakeHub{})
	c := r.raw(t, "d1")
	c.subscribe(1, iothub.FilterMethods) // at QoS 1, and yet methods come at 0
	for _, test := range []struct {
		payload string
		status  int
		answer  string
	}{
		{`{"lockTime":"10m"}`, 200, `{"Response":"ok"}`},
		{`"{\"lockTime\":\"10m\"}"`, 404, `null`},
		{``, -1, ``},
		{`null`, 2147483647, `[1,"a"]`},
		{strings.Repeat("1", iothub.MaxMethodPayload), 200, strings.Repeat("2", iothub.MaxMethodPayload)},
	} {
		done := r.invoke(t.Context(), "d1", "lockDoor", test.payload, 0, patience)
		c.answer(c.expectMethod("lockDoor", test.payload), test.status, test.answer)
		if got := <-done; got.err != nil || got.status != test.status || got.body != test.answer {
			t.Errorf("Invoke gave %d %.40q %v; want %d %.40q", got.status, got.body, got.err, test.status, test.answer)
		}
	}
}

func TestMethodAnswersThatCannotBePassedOn(t *testing.T) {
	r := start(t, &fakeHub{})
	c := r.raw(t, "d1")
	c.subscribe(0, iothub.FilterMethods)
	for body, code := range map[string]iothub.Code{
		"OK":           iothub.IotHubFormatError,
		`{"a":1}}`:     iothub.IotHubFormatError,
		"\"\xff\xfe\"": iothub.IotHubFormatError,
		strings.Repeat("[", 1500) + strings.Repeat("]", 1500): iothub.IotHubFormatError,
		`"` + strings.Repeat("x", 131072) + `"`:               iothub.MessageTooLarge,
	} {
		done := r.invoke(t.Context(), "d1", "m", "", 0, patience)
		c.answer(c.expectMethod("m", ""), 200, body)
		wantCode(t, <-done, code, "")
	}
}

func TestMethodArguments(t *testing.T) {
	r := start(t, &fakeHub{})
	wantCode(t, <-r.invoke(t.Context(), "d1", "a/b", "", 0, patience), iothub.ArgumentInvalid, "")
	wantCode(t, <-r.invoke(t.Context(), "d1", "", "", 0, patience), iothub.ArgumentInvalid, "")
	wantCode(t, <-r.invoke(t.Context(), "d1", "m", strings.Repeat("1", 131073), 0, patience), iothub.MessageTooLarge, "")
}

func TestMethodTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		began := time.Now()
		took := func(want time.Duration) {
			t.Helper()
			if d := time.Since(began); d != want {
				t.Errorf("it took %v; want %v", d, want)
			}
			began = time.Now()
		}
		offline := func(connect time.Duration, text string) {
			t.Helper()
			got := <-r.invoke(t.Context(), "d1", "m", "", connect, time.Minute)
			wantCode(t, got, iothub.DeviceNotOnline, text)
			if want := "DeviceNotOnline: Timed out waiting for device to connect."; got.err.Error() != want {
				t.Errorf("error %q; want %q", got.err, want)
			}
			took(connect)
		}
		offline(0, "00:00:00")
		offline(10*time.Second, "00:00:10")
		offline(300*time.Second, "00:05:00")

		c := r.raw(t, "d1")
		offline(time.Second, "00:00:01") // connected, but not subscribed
		c.subscribe(0, iothub.FilterTwinRes)
		offline(time.Second, "00:00:01")

		c.subscribe(0, iothub.FilterMethods)
		began = time.Now()
		done := r.invoke(t.Context(), "d1", "m", "", 0, 30*time.Second)
		rid := c.expectMethod("m", "")
		got := <-done
		wantCode(t, got, iothub.GatewayTimeout, "00:00:30")
		if want := "GatewayTimeout: Timed out waiting for the response from device."; got.err.Error() != want {
			t.Errorf("error %q; want %q", got.err, want)
		}
		took(30 * time.Second)

		// The connection is as good as before, and the late answer fits nothing.
		c.answer(rid, 200, `"late"`)
		done = r.invoke(t.Context(), "d1", "m", "", 0, 30*time.Second)
		next := c.expectMethod("m", "")
		if next == rid {
			t.Error("a request id was used twice")
		}
		c.answer(rid, 200, `"late again"`)
		c.answer(next, 200, `"mine"`)
		if got := <-done; got.err != nil || got.body != `"mine"` {
			t.Errorf("Invoke gave %q, %v; want its own answer", got.body, got.err)
		}
	})
}

func TestMethodWaitsForTheDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		done := r.invoke(t.Context(), "d1", "m", "", 10*time.Second, 30*time.Second)
		time.Sleep(5 * time.Second)
		c := r.raw(t, "d1")
		time.Sleep(2 * time.Second)
		c.subscribe(0, iothub.FilterMethods)
		rid := c.expectMethod("m", "")
		time.Sleep(29 * time.Second) // the two timeouts do not add up to one
		c.answer(rid, 200, "")
		if got := <-done; got.err != nil {
			t.Errorf("Invoke: %v", got.err)
		}
	})
}

// The device comes in time, but while the hub makes sure, after it stood still,
// that the caller is still there, the time to connect ends.
func TestMethodIsNotSentAfterItsTimeToConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		const connect = 11 * time.Second
		done := r.invoke(t.Context(), "d1", "unlockDoor", "", connect, time.Minute)
		c := r.raw(t, "d1")
		time.Sleep(connect - settleTime/2)
		r.pulse.mu.Lock()
		r.pulse.last = r.pulse.last.Add(-time.Minute)
		r.pulse.mu.Unlock()
		c.subscribe(0, iothub.FilterMethods)
		time.Sleep(settleTime)
		synctest.Wait()
		c.expectNoMethod()
		wantCode(t, <-done, iothub.DeviceNotOnline, "00:00:11")
		c.expectNoMethod()
	})
}

func TestMethodEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		ctx, cancel := context.WithCancel(t.Context())
		waiting := r.invoke(ctx, "d1", "m", "", time.Minute, time.Minute)
		synctest.Wait()
		cancel()
		if got := <-waiting; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Invoke that waited: %v; want context.Canceled", got.err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		c := r.raw(t, "d1")
		c.subscribe(0, iothub.FilterMethods)
		sent := r.invoke(ctx, "d1", "m", "", 0, time.Minute)
		rid := c.expectMethod("m", "")
		synctest.Wait() // until it is known to have arrived
		cancel()
		if got := <-sent; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Invoke that had sent: %v; want context.Canceled", got.err)
		}
		c.answer(rid, 200, "")
		c.ping()
	})
}

func TestMethodOfALostConnection(t *testing.T) {
	for name, lose := range map[string]func(r *rig, c *rawClient){
		"broken":       func(_ *rig, c *rawClient) { _ = c.tcp.Close() },
		"goodbye":      func(_ *rig, c *rawClient) { c.send(packet(kDisconnect, 0, nil)) },
		"violation":    func(_ *rig, c *rawClient) { c.send(packet(kPubrec, 0, []byte{0, 1})) },
		"disconnected": func(r *rig, _ *rawClient) { r.Disconnect("d1") },
		"taken over":   func(r *rig, c *rawClient) { r.raw(c.t, "d1") },
		"hub stops":    func(r *rig, _ *rawClient) { r.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t, &fakeHub{})
			c := r.raw(t, "d1")
			c.subscribe(0, iothub.FilterMethods)
			done := r.invoke(t.Context(), "d1", "m", "", 0, patience)
			c.expectMethod("m", "")
			lose(r, c)
			wantCode(t, <-done, iothub.DeviceUnavailable, "")
		})
	}
}

func TestMethodInflightLimit(t *testing.T) {
	r := start(t, &fakeHub{}, func(c *Config) { c.MaxMethods = 2 })
	c := r.raw(t, "d1")
	c.subscribe(0, iothub.FilterMethods)
	first := r.invoke(t.Context(), "d1", "m", "", 0, patience)
	firstID := c.expectMethod("m", "")
	second := r.invoke(t.Context(), "d1", "m", "", 0, patience)
	secondID := c.expectMethod("m", "")
	wantCode(t, <-r.invoke(t.Context(), "d1", "m", "", 0, patience), iothub.DeviceMaximumInflightMethodExceeded, "")
	c.answer(secondID, 2, "") // in any order
	c.answer(firstID, 1, "")
	if got := <-first; got.status != 1 {
		t.Errorf("the first call got %+v", got)
	}
	if got := <-second; got.status != 2 {
		t.Errorf("the second call got %+v", got)
	}
}

// A stranger cannot answer, a device not twice, and an answer of a session
// before does not count.
func TestOnlyTheRightAnswerCounts(t *testing.T) {
	r := start(t, &fakeHub{})
	c := r.raw(t, "d1")
	c.subscribe(0, iothub.FilterMethods)
	stranger := r.raw(t, "d2")

	done := r.invoke(t.Context(), "d1", "m", "", 0, patience)
	rid := c.expectMethod("m", "")
	for _, wrong := range []string{"1", strings.ToUpper(rid) + "x", rid[:31], rid + "0"} {
		c.answer(wrong, 500, "")
	}
	stranger.answer(rid, 500, "")
	stranger.ping()
	c.answer(rid, 200, `"first"`)
	c.answer(rid, 500, `"second"`)
	if got := <-done; got.status != 200 || got.body != `"first"` {
		t.Errorf("Invoke gave %+v; want the first answer", got)
	}

	lost := r.invoke(t.Context(), "d1", "m", "", 0, patience)
	rid = c.expectMethod("m", "")
	c2 := r.raw(t, "d1")
	wantCode(t, <-lost, iothub.DeviceUnavailable, "")
	c2.subscribe(0, iothub.FilterMethods)
	done = r.invoke(t.Context(), "d1", "m", "", 0, patience)
	next := c2.expectMethod("m", "")
	c2.answer(rid, 500, `"of another time"`)
	c2.answer(next, 200, "")
	if got := <-done; got.status != 200 {
		t.Errorf("Invoke gave %+v; want the answer of this session", got)
	}
}

func TestRequestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		id := newID()
		if seen[id] || len(id) != 32 || strings.ToLower(id) != id {
			t.Fatalf("request id %q", id)
		}
		seen[id] = true
	}
}

func TestManyMethodsAtOnce(t *testing.T) {
	r := start(t, &fakeHub{})
	const devices, calls = 8, 25
	var running sync.WaitGroup
	for i := range devices {
		id := fmt.Sprintf("d%d", i)
		c := r.raw(t, id)
		c.subscribe(0, iothub.FilterMethods)
		running.Go(func() {
			for range calls {
				p, err := c.read()
				if err != nil {
					t.Errorf("%s: %v", id, err)
					return
				}
				topic, body, _ := p.publish()
				_, rid, _ := strings.Cut(topic, "$rid=")
				c.answer(rid, 200, body)
			}
		})
		for j := range calls {
			running.Go(func() {
				want := fmt.Sprintf(`"%s %d"`, id, j)
				_, got, err := r.Invoke(t.Context(), id, "echo", []byte(want), 0, patience)
				if err != nil || string(got) != want {
					t.Errorf("Invoke gave %s, %v; want %s", got, err, want)
				}
			})
		}
	}
	running.Wait()
}
