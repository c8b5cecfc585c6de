package device

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"

	"latchd/iothub"
)

const testDevice = "door-1"

// hub is a real MQTT broker with a script on top that does what IoT Hub does,
// and, where a test says so, what goes wrong with it.
type hub struct {
	mochi.HookBase
	t      *testing.T
	broker *mochi.Server

	// What arrived, in order.
	connects   chan packets.ConnectParams
	subscribes chan packets.Packet
	gets       chan string // $rid
	patches    chan patch
	answers    chan answer
	events     chan packets.Packet
	goodbyes   chan struct{} // DISCONNECT packets

	mu       sync.Mutex
	desired  iothub.Section
	reported map[string]any
	version  int64 // of reported
	conns    []net.Conn

	downUntil time.Time // cannot be dialled before

	// The script; nil does what IoT Hub does. Set under mu (see set).
	onConnect func(user, password string) byte // a CONNACK code; 0 accepts
	onGet     func(rid string) (status int)    // 0: no answer
	onPatch   func(p patch) (status int)       // 0: no answer, though it is applied; -1: it is lost
	noPuback  func(topic string) bool
	onSession func(*mochi.Client) // right after CONNACK
}

type patch struct {
	rid  string
	body map[string]any
}

type answer struct {
	status  int
	rid     string
	payload string
	qos     byte
}

func newHub(t *testing.T) *hub {
	t.Helper()
	const many = 4096
	h := &hub{
		t: t,
		broker: mochi.New(&mochi.Options{
			InlineClient: true,
			Logger:       slog.New(slog.DiscardHandler),
		}),
		connects:   make(chan packets.ConnectParams, many),
		subscribes: make(chan packets.Packet, many),
		gets:       make(chan string, many),
		patches:    make(chan patch, many),
		answers:    make(chan answer, many),
		events:     make(chan packets.Packet, many),
		goodbyes:   make(chan struct{}, many),
		desired:    iothub.Section{Version: 1, Properties: map[string]any{}},
		reported:   map[string]any{},
		version:    1,
	}
	if err := h.broker.AddHook(h, nil); err != nil {
		t.Fatal(err)
	}
	// Not Serve: there are no listeners, and its housekeeping every second
	// takes long in fake time.
	return h
}

// set changes the script.
func (h *hub) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func (h *hub) close() {
	h.dropAll()
	_ = h.broker.Close()
}

// dropAll closes every connection, as a hub does that is restarted.
func (h *hub) dropAll() {
	h.mu.Lock()
	conns := h.conns
	h.conns = nil
	h.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

// goDown makes the hub unreachable for a while.
func (h *hub) goDown(d time.Duration) {
	h.set(func() { h.downUntil = time.Now().Add(d) })
}

// serve runs one connection.
func (h *hub) serve(conn net.Conn) {
	h.mu.Lock()
	h.conns = append(h.conns, conn)
	h.mu.Unlock()
	_ = h.broker.EstablishConnection("test", conn)
}

// pipe is what a client dials in a test without a network.
func (h *hub) pipe(context.Context) (net.Conn, error) {
	h.mu.Lock()
	isDown := time.Now().Before(h.downUntil)
	h.mu.Unlock()
	if isDown {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("network is unreachable")}
	}
	device, here := net.Pipe()
	go h.serve(here)
	return device, nil
}

func (h *hub) ID() string         { return "hub" }
func (h *hub) Provides(byte) bool { return true }

func (h *hub) OnConnect(cl *mochi.Client, pk packets.Packet) error {
	h.connects <- pk.Connect
	h.mu.Lock()
	script := h.onConnect
	h.mu.Unlock()
	if script == nil {
		return nil
	}
	if code := script(string(pk.Connect.Username), string(pk.Connect.Password)); code != 0 {
		_, _ = cl.Net.Conn.Write([]byte{packets.Connack << 4, 2, 0, code})
		return errors.New("refused by the script")
	}
	return nil
}
func (h *hub) OnConnectAuthenticate(*mochi.Client, packets.Packet) bool { return true }
func (h *hub) OnACLCheck(*mochi.Client, string, bool) bool              { return true }

func (h *hub) OnPacketRead(_ *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if pk.FixedHeader.Type == packets.Disconnect {
		h.goodbyes <- struct{}{}
	}
	return pk, nil
}

func (h *hub) OnSessionEstablished(cl *mochi.Client, _ packets.Packet) {
	h.mu.Lock()
	script := h.onSession
	h.mu.Unlock()
	if script != nil {
		script(cl)
	}
}

func (h *hub) OnSubscribed(_ *mochi.Client, pk packets.Packet, _ []byte) { h.subscribes <- pk }

func (h *hub) OnPublish(cl *mochi.Client, pk packets.Packet) (packets.Packet, error) {
	if cl.Net.Inline {
		return pk, nil
	}
	h.mu.Lock()
	script := h.noPuback
	h.mu.Unlock()
	if script != nil && script(pk.TopicName) {
		return pk, packets.ErrRejectPacket
	}
	topic, err := iothub.ParseTopic(pk.TopicName)
	if err != nil {
		h.t.Errorf("the device published to %q: %v", pk.TopicName, err)
		return pk, packets.ErrRejectPacket
	}
	switch topic.Kind {
	case iothub.TopicTwinGet:
		h.get(topic.RequestID)
	case iothub.TopicReported:
		h.patch(topic.RequestID, pk.Payload)
	case iothub.TopicMethodResponse:
		h.answers <- answer{topic.Status, topic.RequestID, string(pk.Payload), pk.FixedHeader.Qos}
	case iothub.TopicEvents:
		h.events <- pk.Copy(true)
	}
	return pk, packets.CodeSuccessIgnore
}

func (h *hub) get(rid string) {
	h.gets <- rid
	h.mu.Lock()
	status := 200
	if h.onGet != nil {
		status = h.onGet(rid)
	}
	body := h.twin()
	h.mu.Unlock()
	if status != 200 {
		body = []byte(`{"errorCode":429001,"message":"the script says so"}`)
	}
	if status != 0 {
		h.reply(iothub.Topic{Kind: iothub.TopicTwinResponse, Status: status, RequestID: rid}, body)
	}
}

// twin is the twin as the device sees it. The caller holds mu.
func (h *hub) twin() []byte {
	body, err := json.Marshal(iothub.Twin{
		Desired:  h.desired,
		Reported: iothub.Section{Version: h.version, Properties: h.reported},
	})
	if err != nil {
		h.t.Error(err)
	}
	return body
}

func (h *hub) patch(rid string, body []byte) {
	doc, err := iothub.DecodeObject(body)
	if err != nil {
		h.t.Errorf("the device sent a patch %q: %v", body, err)
	}
	p := patch{rid, doc}
	h.mu.Lock()
	status := 204
	if h.onPatch != nil {
		status = h.onPatch(p)
	}
	reply := iothub.Topic{Kind: iothub.TopicTwinResponse, Status: status, RequestID: rid}
	if status/100 == 2 || status == 0 {
		h.reported = iothub.Merge(h.reported, doc)
		h.version++
		reply.Version, reply.HasVersion = h.version, true
	}
	h.mu.Unlock()
	h.patches <- p
	switch {
	case status <= 0:
	case reply.HasVersion:
		h.reply(reply, nil)
	default:
		h.reply(reply, []byte(`{"errorCode":400004,"message":"the script says so"}`))
	}
}

func (h *hub) reply(t iothub.Topic, body []byte) {
	if err := h.broker.Publish(t.String(), body, false, 0); err != nil {
		h.t.Errorf("publishing %v: %v", t, err)
	}
}

// call sends the request of a direct method.
func (h *hub) call(method, rid, payload string) {
	h.reply(iothub.Topic{Kind: iothub.TopicMethodRequest, Method: method, RequestID: rid}, []byte(payload))
}

// writeRaw sends any packet on the present connection.
func (h *hub) writeRaw(pk packets.Packet) {
	h.t.Helper()
	cl, ok := h.broker.Clients.Get(testDevice)
	if !ok {
		h.t.Fatal("the device is not connected")
	}
	if err := cl.WritePacket(pk); err != nil {
		h.t.Fatal(err)
	}
}

// desire changes the desired section and notifies the device.
func (h *hub) desire(change map[string]any) {
	h.notify(h.desireSilently(change))
}

// desireSilently changes the desired section and gives the notification that
// a device would get.
func (h *hub) desireSilently(change map[string]any) iothub.Section {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.desired = iothub.Section{Version: h.desired.Version + 1, Properties: iothub.Merge(h.desired.Properties, change)}
	return iothub.Section{Version: h.desired.Version, Properties: change}
}

func (h *hub) notify(s iothub.Section) {
	body, err := json.Marshal(s)
	if err != nil {
		h.t.Error(err)
	}
	h.reply(iothub.Topic{Kind: iothub.TopicDesired, Version: s.Version, HasVersion: true}, body)
}

func (h *hub) reportedNow() map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.reported
}

// deviceKey is the key of the device under test.
var deviceKey = func() iothub.Key {
	k, err := iothub.ParseKey("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=")
	if err != nil {
		panic(err)
	}
	return k
}()

// device is the client under test, with what its handler was told.
type device struct {
	*Client
	t *testing.T

	methods  chan iothub.MethodRequest
	desired  chan iothub.Section
	reported chan map[string]any
	states   chan state
	log      *logBook
	stop     context.CancelFunc
	stopped  chan struct{} // closed when Run has returned
}

type state struct {
	up  bool
	why error
}

// newDevice makes a client that answers each method with what respond gives,
// in a goroutine of its own; nil: 200 {}, at once. The method "panic" panics, and "stall" keeps
// the caller for the time in its payload.
func newDevice(t *testing.T, cfg Config, respond func(context.Context, iothub.MethodRequest) iothub.MethodResponse) *device {
	t.Helper()
	const many = 4096
	d := &device{
		t:        t,
		methods:  make(chan iothub.MethodRequest, many),
		desired:  make(chan iothub.Section, many),
		reported: make(chan map[string]any, many),
		states:   make(chan state, many),
		log:      &logBook{},
		stopped:  make(chan struct{}),
	}
	if cfg.Connection.HostName == "" {
		cfg.Connection = iothub.ConnectionString{HostName: "hub.example.net", DeviceID: testDevice, SharedAccessKey: deviceKey}
	}
	cfg.Log = slog.New(slog.NewTextHandler(d.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Handler = Handler{
		Method: func(ctx context.Context, req iothub.MethodRequest, answer func(iothub.MethodResponse)) {
			d.methods <- req
			switch {
			case req.Name == "panic":
				panic("out of order")
			case req.Name == "stall":
				pause, err := time.ParseDuration(string(req.Payload))
				if err != nil {
					d.t.Error(err)
				}
				time.Sleep(pause)
				answer(iothub.MethodResponse{Status: 200})
			case respond == nil:
				answer(iothub.MethodResponse{Status: 200, Payload: []byte(`{}`)})
			default:
				go func() { answer(respond(ctx, req)) }()
			}
		},
		Desired:    func(s iothub.Section) { d.desired <- s },
		Reported:   func(held map[string]any) { d.reported <- held },
		Connection: func(up bool, why error) { d.states <- state{up, why} },
	}
	var err error
	if d.Client, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return d
}

// run starts the client. It is stopped by halt.
func (d *device) run() {
	ctx, cancel := context.WithCancel(context.Background())
	d.stop = cancel
	go func() {
		defer close(d.stopped)
		if err := d.Run(ctx); err != nil {
			d.t.Errorf("Run: %v", err)
		}
	}()
}

func (d *device) halt() {
	if d.stop != nil {
		d.stop()
		<-d.stopped
	}
}

// logBook keeps what was logged.
type logBook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// count tells how many lines hold all the words.
func (l *logBook) count(words ...string) int {
	n := 0
	for line := range strings.Lines(l.String()) {
		holds := true
		for _, w := range words {
			holds = holds && strings.Contains(line, w)
		}
		if holds {
			n++
		}
	}
	return n
}

// next takes the next element, or fails the test.
func next[T any](t *testing.T, what string, ch <-chan T) T {
	t.Helper()
	patience := 20 * time.Second   // only a failing test waits for it
	if time.Now().Year() == 2000 { // in a bubble: the time is fake, and pauses are long
		patience = 24 * time.Hour
	}
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case v := <-ch:
		return v
	case <-limit.C:
		t.Fatalf("no %s came", what)
		panic("unreachable")
	}
}

// nothing fails the test if there is an element. In a bubble, call
// synctest.Wait first.
func nothing[T any](t *testing.T, what string, ch <-chan T) {
	t.Helper()
	select {
	case v := <-ch:
		t.Fatalf("there is a %s that should not be: %v", what, v)
	default:
	}
}

// inBubble runs a test with a hub and a device in fake time, joined by a pipe
// instead of TLS.
func inBubble(t *testing.T, respond func(context.Context, iothub.MethodRequest) iothub.MethodResponse, test func(*testing.T, *hub, *device)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		d := newDevice(t, Config{ModelID: "dtmi:latchd:Device;1", Product: "latchd/1.2.0 (test)"}, respond)
		d.open = h.pipe
		// The bubble reports goroutines that are left; paho's may need until
		// their time limit.
		defer time.Sleep(2 * writeTimeout)
		defer h.close()
		defer d.halt()
		test(t, h, d)
		if strings.Contains(d.log.String(), "SharedAccessSignature") || strings.Contains(d.log.String(), deviceKey.Reveal()) {
			t.Error("the log holds a secret")
		}
	})
}

// blackHole is a connection that can lose its network: what is written
// vanishes, what arrives does not arrive, and nobody says so.
type blackHole struct {
	net.Conn
	dead atomic.Bool
}

func (b *blackHole) Read(p []byte) (int, error) {
	for {
		n, err := b.Conn.Read(p)
		if err != nil || !b.dead.Load() {
			return n, err
		}
	}
}

func (b *blackHole) Write(p []byte) (int, error) {
	if b.dead.Load() {
		return len(p), nil
	}
	return b.Conn.Write(p)
}

// inBubbleWith is inBubble for a test whose handler uses channels: they have
// to be made inside.
func inBubbleWith(t *testing.T, setUp func(), respond func(context.Context, iothub.MethodRequest) iothub.MethodResponse, test func(*testing.T, *hub, *device)) {
	t.Helper()
	inBubble(t, respond, func(t *testing.T, h *hub, d *device) {
		setUp()
		test(t, h, d)
	})
}
