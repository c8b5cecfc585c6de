package broker

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

// A late unlock is an intruder. These tests prove that a method does not reach
// a device after Invoke has returned, nor a second time.

// expectNoMethod reads until nothing more comes, the connection's end included.
func (c *rawClient) expectNoMethod() {
	c.t.Helper()
	// The connection may be gone, and over a pipe nobody may be there to read.
	go func() { _, _ = c.conn.Write(packet(kPing, 0, nil)) }()
	for {
		p, err := c.read()
		if err != nil {
			if !isClosed(err) {
				c.t.Fatalf("%s: %v", c.id, err)
			}
			return
		}
		if p.kind == kPublish {
			if topic, _, _ := p.publish(); strings.HasPrefix(topic, "$iothub/methods/") {
				c.t.Fatalf("%s: got %v after its time", c.id, p)
			}
		}
		if p.kind == kPingresp {
			return
		}
	}
}

// The caller hangs up while the hub stands still, and the device comes. Both
// are there when the hub goes on, and which it sees first is chance.
func TestMethodIsNotSentForACallerWhoHungUpDuringAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		ctx, cancel := context.WithCancel(t.Context())
		done := r.invoke(ctx, "d1", "unlockDoor", "", time.Minute, time.Minute)
		c := r.raw(t, "d1")
		time.Sleep(10*pulseEvery + pulseEvery/2)
		r.pulse.mu.Lock()
		r.pulse.last = r.pulse.last.Add(-10 * time.Second)
		r.pulse.mu.Unlock()
		c.subscribe(0, iothub.FilterMethods)
		c.expectNoMethod()
		cancel()
		if got := <-done; !errors.Is(got.err, context.Canceled) {
			t.Errorf("Invoke gave %+v; want context.Canceled", got)
		}
		c.expectNoMethod()
	})
}

func bigPatch(version int64) iothub.Section {
	return iothub.Section{Version: version, Properties: map[string]any{"text": strings.Repeat("x", 4000)}}
}

// reconnections are the ways to come back under the same id.
var reconnections = map[string]connectPacket{
	"clean":      {id: "d1", clean: true},
	"persistent": {id: "d1"},
}

func TestMethodIsNotSentAgainAfterReconnect(t *testing.T) {
	for name, p := range reconnections {
		for _, qos := range []byte{0, 1} {
			t.Run(name, func(t *testing.T) {
				r := start(t, &fakeHub{})
				c := r.rawWith(t, connectPacket{id: "d1"})
				c.subscribe(qos, iothub.FilterMethods)
				done := r.invoke(t.Context(), "d1", "unlockDoor", "", 0, patience)
				c.expectMethod("unlockDoor", "")
				_ = c.tcp.Close()
				wantCode(t, <-done, iothub.DeviceUnavailable, "")
				again := r.rawWith(t, p)
				again.subscribe(qos, iothub.FilterMethods)
				again.expectNoMethod()
			})
		}
	}
}

// The hub must not keep a method for a device that comes back.
func TestMethodIsNotKeptForAnAbsentDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		c := r.rawWith(t, connectPacket{id: "d1"})
		c.subscribe(1, iothub.FilterMethods)
		_ = c.tcp.Close()
		synctest.Wait()
		wantCode(t, <-r.invoke(t.Context(), "d1", "unlockDoor", "", 3*time.Second, time.Minute), iothub.DeviceNotOnline, "00:00:03")
		again := r.rawWith(t, connectPacket{id: "d1"})
		again.expectNoMethod()
	})
}

// A pipe holds nothing: what the client does not read stays with the hub.
func TestMethodIsTakenBackFromTheQueue(t *testing.T) {
	for name, invoke := range map[string]func(r *rig) <-chan result{
		"timeout": func(r *rig) <-chan result {
			return r.invoke(context.Background(), "d1", "unlockDoor", "", 0, time.Second)
		},
		"context": func(r *rig) <-chan result {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			done := r.invoke(ctx, "d1", "unlockDoor", "", 0, time.Minute)
			context.AfterFunc(ctx, cancel)
			return done
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := startPiped(t, &fakeHub{})
				c := r.raw(t, "d1")
				c.subscribe(0, iothub.FilterMethods, iothub.FilterDesired)
				r.NotifyDesired("d1", bigPatch(1)) // is being written and not read
				done := invoke(r)
				synctest.Wait()
				r.NotifyDesired("d1", bigPatch(2))
				if got := <-done; got.err == nil {
					t.Fatal("Invoke succeeded")
				}
				// The connection lives on, without the method.
				for version := range 2 {
					if topic, _ := c.expectPublish(); !strings.HasSuffix(topic, "$version="+string(rune('1'+version))) {
						t.Fatalf("got %s; want patch %d", topic, version+1)
					}
				}
				c.expectNoMethod()
				c.ping()
			})
		})
	}
}

func TestMethodIsTakenBackWhileItIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		c := r.raw(t, "d1")
		c.subscribe(0, iothub.FilterMethods)
		wantCode(t, <-r.invoke(t.Context(), "d1", "unlockDoor", "", 0, time.Second), iothub.GatewayTimeout, "")
		c.expectNoMethod() // half a record, which cannot be decrypted
	})
}

// What TCP holds for a client that has stopped reading must not come when it
// reads again.
func TestMethodIsTakenBackFromTCP(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells what TCP holds")
	}
	r := start(t, &fakeHub{})
	slow := *r
	slow.dial = func(t testing.TB) net.Conn {
		c := r.dial(t)
		if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		return c
	}
	c := slow.raw(t, "d1")
	c.subscribe(0, iothub.FilterMethods, iothub.FilterDesired)
	for version := range int64(100) { // more than the client's buffer takes, less than the hub's
		r.NotifyDesired("d1", bigPatch(version+1))
	}
	wantCode(t, <-r.invoke(t.Context(), "d1", "unlockDoor", "", 0, 200*time.Millisecond), iothub.GatewayTimeout, "")
	c.expectNoMethod()
}

// The same when the call ends because a newer connection came: the old socket
// may still be read by a process that hangs.
func TestMethodIsTakenBackAtTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		c := r.raw(t, "d1")
		c.subscribe(0, iothub.FilterMethods, iothub.FilterDesired)
		r.NotifyDesired("d1", bigPatch(1))
		done := r.invoke(t.Context(), "d1", "unlockDoor", "", 0, time.Minute)
		synctest.Wait()
		newer := r.raw(t, "d1")
		wantCode(t, <-done, iothub.DeviceUnavailable, "")
		c.expectNoMethod()
		newer.subscribe(0, iothub.FilterMethods)
		newer.expectNoMethod()
	})
}

// A call that waits for the device takes the session that comes, once.
func TestMethodThatWaitsIsSentOnce(t *testing.T) {
	r := start(t, &fakeHub{})
	first := r.rawWith(t, connectPacket{id: "d1"})
	first.subscribe(0, iothub.FilterMethods)
	_ = first.tcp.Close()
	r.hub.awaitStates(t, "+d1", "-d1")
	done := r.invoke(t.Context(), "d1", "m", "", patience, patience)
	c := r.rawWith(t, connectPacket{id: "d1"}) // the filters live on
	rid := c.expectMethod("m", "")
	c.subscribe(0, iothub.FilterMethods)
	c.subscribe(0, iothub.FilterMethods)
	c.answer(rid, 200, "")
	if got := <-done; got.err != nil {
		t.Errorf("Invoke: %v", got.err)
	}
	c.expectNoMethod()
}
