package broker

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

var allFilters = []string{
	iothub.FilterMethods, iothub.FilterTwinRes, iothub.FilterDesired, iothub.FilterDevicebound("d1"),
}

func TestSubscribeGrants(t *testing.T) {
	r := start(t, &fakeHub{})
	c := r.raw(t, "d1")
	for asked, granted := range map[byte]byte{0: 0, 1: 1, 2: 1} {
		c.send(subscribePacket(7, asked, allFilters...))
		want := []byte{0, 7, granted, granted, granted, granted}
		if got := c.expect(kSuback); !slices.Equal(got.body, want) {
			t.Errorf("SUBSCRIBE at QoS %d was answered with %v; want %v", asked, got.body, want)
		}
	}
	c.send(unsubscribePacket(8, iothub.FilterMethods, "never/heard/of"))
	if got := c.expect(kUnsuback); !slices.Equal(got.body, []byte{0, 8}) {
		t.Errorf("UNSUBSCRIBE was answered with %v", got.body)
	}
	wantCode(t, <-r.invoke(t.Context(), "d1", "m", "", 0, patience), iothub.DeviceNotOnline, "")
}

func TestWrongFiltersCloseTheConnection(t *testing.T) {
	r := start(t, &fakeHub{})
	for _, filter := range []string{
		"#", "+/+", "$SYS/#", "$iothub/#", "$iothub/+/POST/#", "$iothub/methods/POST/+", "$iothub/methods/POST",
		"$iothub/methods/POST/unlockDoor/#", "$iothub/methods/res/#", "$iothub/twin/GET/#",
		"devices/d2/messages/devicebound/#", "devices/+/messages/devicebound/#", "devices/d1/messages/events/#",
		"devices/d1/#", "devices/d1/modules/m/#", "$share/g/$iothub/methods/POST/#", "d/d2/$iothub/methods/POST/#", "",
	} {
		c := r.raw(t, "d1")
		c.send(subscribePacket(1, 0, iothub.FilterTwinRes, filter))
		c.expectClosed()
	}
}

func TestFiltersOfAPersistentSessionLiveOn(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	persistent := connectPacket{id: "d1"}
	connect := func(p connectPacket, wantPresent bool) *rawClient {
		t.Helper()
		c := r.tls(t)
		present, code := c.connect(p)
		if code != 0 || present != wantPresent {
			t.Fatalf("CONNACK %d, session present %v; want 0, %v", code, present, wantPresent)
		}
		return c
	}
	works := func(c *rawClient, version int64) {
		t.Helper()
		done := r.invoke(t.Context(), "d1", "m", "", 0, patience)
		c.answer(c.expectMethod("m", ""), 200, "")
		if got := <-done; got.err != nil {
			t.Errorf("Invoke: %v", got.err)
		}
		r.NotifyDesired("d1", iothub.Section{Version: version})
		if topic, _, qos := c.expect(kPublish).publish(); topic != iothub.FilterDesired[:len(iothub.FilterDesired)-1]+"?$version="+string(rune('0'+version)) || qos != 1 {
			t.Errorf("got %s at QoS %d; want the patch at QoS 1", topic, qos)
		}
	}
	c := connect(persistent, false)
	c.subscribe(1, iothub.FilterMethods, iothub.FilterDesired)
	works(c, 1)
	c.send(packet(kDisconnect, 0, nil))
	c.expectClosed()
	c = connect(persistent, true)
	works(c, 2)
	saves := hub.saves
	c.subscribe(1, iothub.FilterMethods) // Node's SDK does, each time
	if hub.saves != saves {
		t.Error("filters were saved that had not changed")
	}

	r.stop() // a hub that starts again knows them too
	r = start(t, hub)
	c = connect(persistent, true)
	works(c, 3)
	c.send(unsubscribePacket(1, iothub.FilterDesired))
	c.expect(kUnsuback)
	c.send(packet(kDisconnect, 0, nil))
	if diff := cmp.Diff(map[string]byte{iothub.FilterMethods: 1}, hub.filters["d1"]); diff != "" {
		t.Errorf("saved filters (-want +got):\n%s", diff)
	}

	c = connect(connectPacket{id: "d1", clean: true}, false)
	if len(hub.filters) != 0 {
		t.Errorf("after CleanSession=1, %v is kept", hub.filters)
	}
	wantCode(t, <-r.invoke(t.Context(), "d1", "m", "", 0, patience), iothub.DeviceNotOnline, "")
	c.subscribe(1, iothub.FilterMethods)
	c.send(packet(kDisconnect, 0, nil))
	connect(persistent, false)
}

func TestFiltersThatCannotBeSavedCloseTheConnection(t *testing.T) {
	hub := &fakeHub{save: func(string, map[string]byte) error { return errors.New("disk full") }}
	c := start(t, hub).rawWith(t, connectPacket{id: "d1"})
	c.send(subscribePacket(1, 0, iothub.FilterMethods))
	c.expectClosed()
}

func TestSavedFiltersAreCheckedAgain(t *testing.T) {
	hub := &fakeHub{}
	hub.update(func() {
		hub.filters["d1"] = map[string]byte{"#": 0, iothub.FilterDevicebound("d2"): 1, iothub.FilterMethods: 7}
	})
	r := start(t, hub)
	r.rawWith(t, connectPacket{id: "d1"})
	s := r.session("d1")
	if diff := cmp.Diff(map[string]byte{iothub.FilterMethods: 1}, s.subscriptions()); diff != "" {
		t.Errorf("filters (-want +got):\n%s", diff)
	}
}

func TestTakeOver(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	older := r.rawWith(t, connectPacket{id: "d1", willTopic: "devices/d1/messages/events/", will: []byte("bye")})
	newer := r.raw(t, "d1")
	older.expectClosed()
	newer.subscribe(0, iothub.FilterMethods)
	hub.awaitStates(t, "+d1", "-d1", "+d1")
	if !r.Connected("d1") || r.ConnectedCount() != 1 {
		t.Errorf("connected %v, count %d; want true, 1", r.Connected("d1"), r.ConnectedCount())
	}
	if len(hub.messages) != 1 {
		t.Errorf("%d messages; want the will of the older connection", len(hub.messages))
	}
	newer.send(packet(kDisconnect, 0, nil))
	hub.awaitStates(t, "+d1", "-d1", "+d1", "-d1")
}

// What the older connection still has under way comes before anything of the
// newer one.
func TestTakeOverWaitsForTheLastWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		hub := &fakeHub{telemetry: func(string, iothub.Message) error {
			<-slow
			return nil
		}}
		r := startPiped(t, hub)
		older := r.raw(t, "d1")
		older.send(publishPacket("devices/d1/messages/events/", "old", 1, 1, 0))
		synctest.Wait()
		newer := r.tls(t)
		newer.send(connectPacket{id: "d1"}.encode())
		synctest.Wait()
		if !slices.Equal(hub.states, []string{"+d1"}) {
			t.Errorf("states %v before the older connection has ended", hub.states)
		}
		close(slow)
		newer.expect(kConnack)
		if !slices.Equal(hub.states, []string{"+d1", "-d1", "+d1"}) || len(hub.messages) != 1 {
			t.Errorf("states %v, %d messages", hub.states, len(hub.messages))
		}
	})
}

// Of two connections that wait for an older one to end, the newest stays.
func TestNewestConnectionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		hub := &fakeHub{telemetry: func(string, iothub.Message) error {
			<-slow
			return nil
		}}
		r := startPiped(t, hub)
		r.raw(t, "d1").send(publishPacket("devices/d1/messages/events/", "old", 1, 1, 0))
		synctest.Wait()
		waiting := [2]*rawClient{r.tls(t), r.tls(t)}
		for _, c := range waiting {
			c.send(connectPacket{id: "d1"}.encode())
			synctest.Wait()
		}
		began := time.Now()
		close(slow)
		for i, want := range []byte{3, 0} {
			if got := waiting[i].expect(kConnack); got.body[1] != want {
				t.Errorf("connection %d got CONNACK %d; want %d", i, got.body[1], want)
			}
		}
		waiting[0].expectClosed()
		waiting[1].ping()
		if d := time.Since(began); d != 0 {
			t.Errorf("it took %v", d)
		}
	})
}

// A backend that hangs must not hang the device for good.
func TestTakeOverOfAConnectionThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := make(chan struct{})
		hub := &fakeHub{telemetry: func(string, iothub.Message) error {
			<-slow
			return nil
		}}
		r := startPiped(t, hub)
		older := r.raw(t, "d1")
		older.send(publishPacket("devices/d1/messages/events/", "old", 1, 1, 0))
		newer := r.tls(t)
		if _, code := newer.connect(connectPacket{id: "d1"}); code != 3 {
			t.Errorf("CONNACK %d; want 3", code)
		}
		close(slow)
		r.raw(t, "d1")
	})
}

// Of many connections of one device that come at once, exactly one stays, and
// the Backend hears of them one after the other.
func TestManyConnectionsOfOneDevice(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	const n = 30
	var running sync.WaitGroup
	for range n {
		c := r.tls(t)
		running.Go(func() {
			_, _ = c.conn.Write(connectPacket{id: "d1"}.encode())
			_, _ = c.read()
		})
	}
	running.Wait()
	hub.await(t, "one connection", func() bool {
		for i, state := range hub.states {
			if want := []string{"+d1", "-d1"}[i%2]; state != want {
				t.Fatalf("states %v", hub.states)
			}
		}
		return len(hub.states)%2 == 1
	})
	c := r.raw(t, "d1")
	c.ping()
	if n := r.ConnectedCount(); n != 1 {
		t.Errorf("%d connected; want 1", n)
	}
}

func TestDisconnect(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	c := r.raw(t, "d1")
	other := r.raw(t, "d2")
	r.Disconnect("nobody")
	r.Disconnect("d1")
	if r.Connected("d1") {
		t.Error("d1 is still connected")
	}
	c.expectClosed()
	other.ping()
	hub.awaitStates(t, "+d1", "+d2", "-d1")
}

// A key that is changed while a CONNECT with the old one is being checked.
func TestDisconnectReachesAConnectThatIsBeingChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		checking, goOn := make(chan struct{}), make(chan struct{})
		hub := &fakeHub{}
		hub.authenticate = func(string, Credentials) (expiry time.Time, err error) {
			hub.mu.Lock()
			revoked := hub.saves > 0
			hub.mu.Unlock()
			if revoked {
				return expiry, errors.New("the key was changed")
			}
			close(checking)
			<-goOn
			return expiry, nil
		}
		r := startPiped(t, hub)
		c := r.tls(t)
		c.send(connectPacket{id: "d1"}.encode())
		<-checking
		hub.update(func() { hub.saves = 1 })
		r.Disconnect("d1")
		close(goOn)
		if got := c.expect(kConnack); got.body[1] != 5 {
			t.Errorf("CONNACK %d; want 5", got.body[1])
		}
		c.expectClosed()
	})
}

func TestForgetSession(t *testing.T) {
	hub := &fakeHub{}
	r := start(t, hub)
	c := r.rawWith(t, connectPacket{id: "d1"})
	c.subscribe(0, iothub.FilterMethods)
	r.ForgetSession("d1")
	c.expectClosed()
	hub.await(t, "the filters to be gone", func() bool { return len(hub.filters) == 0 })

	hub.update(func() { hub.filters["d1"] = map[string]byte{iothub.FilterMethods: 0} })
	hub.awaitStates(t, "+d1", "-d1")
	r.ForgetSession("d1")
	if len(hub.filters) != 0 {
		t.Error("the filters of an absent device are kept")
	}
	c = r.tls(t)
	if present, _ := c.connect(connectPacket{id: "d1"}); present {
		t.Error("a device of the same name found a session")
	}
}

func TestTokenExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fakeHub{authenticate: func(string, Credentials) (time.Time, error) {
			return time.Now().Add(time.Hour), nil
		}}
		r := startPiped(t, hub)
		began := time.Now()
		c := r.rawWith(t, connectPacket{id: "d1", keepAlive: 60})
		for range 59 {
			time.Sleep(time.Minute)
			c.ping()
		}
		c.expectClosedAfter(began, time.Hour)
	})
}

// A token ends by the wall clock, also when that is set forward while the
// device is connected, as on a machine that learns the time late.
func TestTokenExpiresWhenTheClockIsSet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		expiry := now().Add(time.Hour)
		hub := &fakeHub{authenticate: func(string, Credentials) (time.Time, error) { return expiry, nil }}
		r := startPiped(t, hub, func(c *Config) { c.Now = now })
		c := r.rawWith(t, connectPacket{id: "d1", keepAlive: 60})
		live := func(minutes int) {
			for range minutes {
				time.Sleep(time.Minute)
				c.ping()
			}
		}
		live(30)
		ahead.Store(int64(-20 * time.Minute)) // back: it lives longer
		live(45)
		ahead.Store(int64(24 * time.Hour))
		time.Sleep(clockLook)
		c.expectClosed()
	})
}

func TestKeepAlive(t *testing.T) {
	for _, test := range []struct {
		keepAlive uint16
		idle      time.Duration
	}{
		{1, 1500 * time.Millisecond},
		{60, 90 * time.Second},
		{1177, 1765500 * time.Millisecond},
		{1178, 1767 * time.Second},
		{44000, 1767 * time.Second}, // mochi would make 464 s of it
		{65535, 1767 * time.Second},
		{0, 1767 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := startPiped(t, &fakeHub{})
			c := r.rawWith(t, connectPacket{id: "d1", keepAlive: test.keepAlive})
			synctest.Wait()
			time.Sleep(test.idle - time.Millisecond)
			c.ping() // in time, and all counts from here
			synctest.Wait()
			pinged := time.Now()
			// What the hub sends does not count, nor does half a packet.
			time.Sleep(test.idle / 2)
			r.NotifyDesired("d1", iothub.Section{Version: 1})
			c.send([]byte{kPublish << 4})
			c.expectClosedAfter(pinged, test.idle)
		})
	}
}

// expectClosedAfter wants the connection closed at a time of the bubble.
func (c *rawClient) expectClosedAfter(began time.Time, want time.Duration) {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Time{})
	if b, err := c.in.ReadByte(); err == nil {
		c.t.Fatalf("%s: got a byte %x; want the connection closed", c.id, b)
	}
	if got := time.Since(began); got != want {
		c.t.Errorf("%s: the connection was closed after %v; want %v", c.id, got, want)
	}
}

func TestConnectMustComeInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		began := time.Now()
		silent := &rawClient{t: t, conn: r.dial(t)}
		handshake := r.tls(t)
		half := r.tls(t)
		go func() { half.send(connectPacket{id: "d1"}.encode()[:20]) }()
		buf := make([]byte, 1)
		if _, err := silent.conn.Read(buf); !isClosed(err) {
			t.Errorf("silent: %v", err)
		}
		if got := time.Since(began); got != DefaultConnectTimeout {
			t.Errorf("a silent connection was closed after %v", got)
		}
		handshake.expectClosedAfter(began, DefaultConnectTimeout)
		half.expectClosedAfter(began, DefaultConnectTimeout)
	})
}

// A device that does not read delays nobody and piles up no more than the bound.
func TestDeviceThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startPiped(t, &fakeHub{})
		c := r.raw(t, "d1")
		c.subscribe(0, iothub.FilterDesired)
		other := r.raw(t, "d2")
		other.subscribe(0, iothub.FilterMethods)
		began := time.Now()
		k := r.session("d1").link
		most := 0
		for version := range int64(1000) {
			r.NotifyDesired("d1", bigPatch(version+1))
			k.mu.Lock()
			most = max(most, k.queued)
			k.mu.Unlock()
		}
		if most > DefaultMaxQueued || most < DefaultMaxQueued/2 {
			t.Errorf("up to %d bytes were queued; want nearly %d", most, DefaultMaxQueued)
		}
		synctest.Wait()
		if r.Connected("d1") {
			t.Error("it is still connected")
		}
		done := r.invoke(t.Context(), "d2", "m", "", 0, time.Minute)
		other.answer(other.expectMethod("m", ""), 200, "")
		if got := <-done; got.err != nil || !time.Now().Equal(began) {
			t.Errorf("another device waited %v: %v", time.Since(began), got.err)
		}
	})
}

// It is the same with what the device asks for itself: it is not read from until
// it reads, and closed when that takes too long.
func TestDeviceThatAsksAndDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := &fakeHub{twin: func(string) (iothub.Twin, error) {
			return iothub.Twin{Desired: bigPatch(1), Reported: bigPatch(1)}, nil
		}}
		r := startPiped(t, hub)
		c := r.raw(t, "d1")
		c.subscribe(0, iothub.FilterTwinRes)
		k := r.session("d1").link
		sent := make(chan error)
		go func() {
			for {
				if _, err := c.conn.Write(publishPacket("$iothub/twin/GET/?$rid=1", "", 0, 0, 0)); err != nil {
					sent <- err
					return
				}
			}
		}()
		synctest.Wait()
		k.mu.Lock()
		queued := k.queued
		k.mu.Unlock()
		if queued < DefaultMaxQueued || queued > DefaultMaxQueued+10000 {
			t.Errorf("%d bytes are queued; want %d and one answer", queued, DefaultMaxQueued)
		}
		began := time.Now()
		<-sent
		if got := time.Since(began); got != DefaultWriteTimeout {
			t.Errorf("it was disconnected after %v; want %v", got, DefaultWriteTimeout)
		}
	})
}
