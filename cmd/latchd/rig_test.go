package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchd/agent"
	"latchd/agent/health"
	"latchd/firmware"
	"latchd/gpio"
	"latchd/iothub"
)

// rig is a device without its process: the real agent, the real lock on a
// simulated line, a hub that is a twin, and a machine and a clock that do what
// the test says. It lives in a synctest bubble, so waiting costs nothing.
type rig struct {
	*testing.T
	dir     string // state/ and run/ below it
	device  string // its name at the hub
	perHour int    // reboots; more than a device in service may, unless a test says otherwise
	door    doorConfig
	machine *rigMachine
	clock   *rigClock
	hub     *rigHub
	log     *bytes.Buffer

	agent  *agent.Agent
	lock   *gpio.Lock
	cancel context.CancelFunc
	done   chan struct{}
	logMu  sync.Mutex
}

// inBubble runs a test on a running device.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	inBubbleWith(t, doorConfig{Line: "GPIO17"}, test)
}

func inBubbleWith(t *testing.T, door doorConfig, test func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, dir: dir, door: door, clock: &rigClock{state: "synchronized"}, log: new(bytes.Buffer), perHour: 1000}
		r.machine = &rigMachine{id: "boot-1", bootedAt: time.Now().Add(-time.Minute)}
		r.hub = &rigHub{held: map[string]any{}}
		r.start()
		test(r)
		r.stop()
	})
}

func (r *rig) start() {
	r.Helper()
	cfg := config{Door: r.door}
	cfg.State = stateConfig{filepath.Join(r.dir, "state"), filepath.Join(r.dir, "run")}
	for _, d := range []string{cfg.State.Directory, cfg.State.RuntimeDirectory} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			r.Fatal(err)
		}
	}
	log := slog.New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelDebug}))
	doors := newDoorkeeper(r.machine, true, log)
	wall := r.clock.wall
	doors.wall.Store(&wall)
	theDoor, policyOfFile := doors.take(cfg, nil)
	var a *agent.Agent
	a = agent.New(agent.Config{
		Diagnostics: health.New(func() health.Facts { return r.diagnose(cfg, theDoor, a) }),
		Door:        theDoor, Machine: r.machine, Clock: r.clock, Device: r.device,
		Boot: agent.Boot{ID: r.machine.id, Cause: r.machine.cause}, StateDir: cfg.State.Directory,
		Version: "1.2.0", Local: agent.Local{DoorPolicy: policy(policyOfFile), MaxPerHour: r.perHour, MaxPerDay: r.perHour}, Log: log,
	})
	r.agent, r.lock = a, doors.lock()
	r.hub.agent = a
	a.Connect(r.hub)
	doors.listenTo(func(c gpio.Change) {
		a.DoorHappened(doorEvents(c), c.Missed)
		a.DoorChanged()
	})
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.done = cancel, make(chan struct{})
	r.machine.onDown = cancel
	done := r.done
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			r.Error("run:", err)
		}
		doors.stop(false)
		finishing, cancel := context.WithTimeout(context.Background(), tellWithin)
		defer cancel()
		a.FinishEvents(finishing)
	}()
	if !r.hub.away {
		r.hub.connect()
	}
	r.settle()
}

// diagnose is what the self-checks are told.
func (r *rig) diagnose(cfg config, d agent.Door, a *agent.Agent) health.Facts {
	settings, err := cfg.settings().Complete()
	if err != nil {
		r.Error(err)
	}
	return diagnosis{config: cfg, simulate: true, alive: &alive{
		settings: settings, door: d, machine: r.machine, clock: r.clock, agent: a,
		link: func() (bool, time.Duration, error) { return r.hub.online(), 0, nil },
	}}.facts()
}

// settle lets everything happen that needs no time.
func (r *rig) settle() { synctest.Wait() }

// pass lets time go by.
func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// stop is SIGTERM and the end of the process.
func (r *rig) stop() {
	r.cancel()
	<-r.done
	synctest.Wait()
}

// crash is kill -9 and a new process: what was on disk at this moment is all
// that the new one knows.
func (r *rig) crash() {
	r.Helper()
	r.freeze()
	r.start()
}

// freeze keeps what is on disk now, and ends the process as if it were not
// there to write any more.
func (r *rig) freeze() {
	r.Helper()
	copyTo := r.dir + "+"
	if err := os.CopyFS(copyTo, os.DirFS(r.dir)); err != nil {
		r.Fatal(err)
	}
	r.machine.stopping.Store(false)
	r.hub.disconnect()
	r.stop()
	r.dir = copyTo
}

// boot is another boot of the machine: the runtime directory is empty.
func (r *rig) boot(id string) {
	r.Helper()
	if err := os.RemoveAll(filepath.Join(r.dir, "run")); err != nil {
		r.Fatal(err)
	}
	r.machine.boot(id)
	r.start()
}

// pullPlug is a power cut and another boot.
func (r *rig) pullPlug(id string) {
	r.Helper()
	r.freeze()
	r.boot(id)
}

func (r *rig) Write(b []byte) (int, error) {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.Write(b)
}

func (r *rig) logged(text string) bool {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return strings.Contains(r.log.String(), text)
}

// reply is an answer as the operator sees it.
type reply struct {
	status int
	body   map[string]any
}

func (a reply) String() string {
	text, _ := json.Marshal(a.body)
	return fmt.Sprintf("%d %s", a.status, text)
}

// send calls a method and gives a channel with its answer. The hub
// acknowledges the answer at once, unless it is away.
func (r *rig) send(method, payload string) <-chan reply {
	out := make(chan reply, 1)
	answered := false
	r.agent.Serve(context.Background(), iothub.MethodRequest{Name: method, Payload: []byte(payload)}, func(m iothub.MethodResponse) {
		if answered {
			r.Errorf("%s %s was answered twice", method, payload)
		}
		answered = true
		body, err := iothub.DecodeObject(m.Payload)
		if err != nil {
			r.Errorf("%s answered %q: %v", method, m.Payload, err)
		}
		if _, ok := body["Response"].(string); !ok {
			r.Errorf("%s %s answered without a Response: %s", method, payload, m.Payload)
		}
		out <- reply{m.Status, body}
		if m.Sent != nil {
			if r.hub.online() {
				m.Sent(nil)
			} else {
				m.Sent(errors.New("connection lost"))
			}
		}
	})
	return out
}

// call is send, and waits for the answer.
func (r *rig) call(method, payload string) reply {
	r.Helper()
	select {
	case a := <-r.send(method, payload):
		synctest.Wait()
		return a
	case <-time.After(4 * time.Second):
		r.Fatalf("%s %s was not answered within 4 s", method, payload)
		panic("unreachable")
	}
}

// want calls a method and checks the status and some members of the answer,
// named by path: "door.mode", "lockdown".
func (r *rig) want(status int, method, payload string, members ...string) reply {
	r.Helper()
	a := r.call(method, payload)
	if a.status != status {
		r.Errorf("%s %s: got %s, want status %d", method, payload, a, status)
	}
	checkMembers(r.T, a.body, method+" "+payload, members)
	return a
}

// reported checks members of the twin's reported section.
func (r *rig) reported(members ...string) {
	r.Helper()
	r.settle()
	checkMembers(r.T, r.hub.twin(), "reported", members)
}

// checkMembers takes pairs of path and wanted value; the value "-" means that
// the member must be absent, "*" that it must be there.
func checkMembers(t *testing.T, doc map[string]any, what string, pairs []string) {
	t.Helper()
	for i := 0; i+1 < len(pairs); i += 2 {
		got, ok := lookup(doc, pairs[i])
		text := strings.Trim(fmt.Sprint(got), `"`)
		switch want := pairs[i+1]; {
		case want == "-" && ok:
			t.Errorf("%s: %s is %v, want it absent", what, pairs[i], text)
		case want == "*" && !ok:
			t.Errorf("%s: %s is absent", what, pairs[i])
		case want != "-" && want != "*" && (!ok || text != want):
			t.Errorf("%s: %s is %v, want %s", what, pairs[i], text, want)
		}
	}
}

func lookup(doc map[string]any, path string) (any, bool) {
	var v any = doc
	for _, name := range strings.Split(path, ".") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = m[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

// desire is a desired section with the given JSON.
func (r *rig) desire(version int64, text string) {
	r.Helper()
	doc, err := iothub.DecodeObject([]byte(text))
	if err != nil {
		r.Fatal(err)
	}
	r.agent.Desired(iothub.Section{Version: version, Properties: doc})
	r.settle()
}

// edges is how often the lock's line moved since it was requested.
func (r *rig) edges() int {
	r.Helper()
	edges, err := gpio.Edges(filepath.Join(r.dir, "run", "gpio"))
	if err != nil {
		r.Fatal(err)
	}
	n := 0
	for _, e := range edges {
		if !e.Requested {
			n++
		}
	}
	return n
}

// input writes what a sensor says: input("contact", "open").
func (r *rig) input(name, word string) {
	r.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "run", "gpio", name), []byte(word), 0o600); err != nil {
		r.Fatal(err)
	}
	r.pass(time.Second) // polling and debouncing
}

// fillDisk makes the state directory unwritable for this process, root or not:
// a file stands in the directory's place, so that nothing can be made in it.
func (r *rig) fillDisk() (free func()) {
	r.Helper()
	state := filepath.Join(r.dir, "state")
	if err := errors.Join(os.Rename(state, state+".away"), os.WriteFile(state, nil, 0o600)); err != nil {
		r.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(state), os.Rename(state+".away", state)); err != nil {
			r.Fatal(err)
		}
	}
}

// rigMachine is a machine that reboots when the test says so.
type rigMachine struct {
	id, cause string
	bootedAt  time.Time
	stopping  atomic.Bool
	asked     atomic.Int32
	onDown    context.CancelFunc

	forbidden atomic.Value  // CanReboot: an error in a refusalOf
	refusal   error         // Reboot
	deaf      bool          // Reboot is accepted and nothing happens
	slow      time.Duration // before it goes down
	hangs     atomic.Int64  // CanReboot takes so long, context or not
	silent    bool          // Reboot goes down without an answer
}

func (m *rigMachine) boot(id string) {
	m.id, m.cause, m.bootedAt = id, "", time.Now()
	m.stopping.Store(false)
}

func (m *rigMachine) Boot() firmware.Boot           { return firmware.Boot{ID: m.id, Cause: m.cause} }
func (m *rigMachine) Stopping(context.Context) bool { return m.stopping.Load() }
func (m *rigMachine) Uptime() time.Duration         { return time.Since(m.bootedAt) }
func (m *rigMachine) Information(string) firmware.Information {
	return firmware.Information{Manufacturer: "Raspberry Pi"}
}

func (m *rigMachine) CanReboot(context.Context) error {
	time.Sleep(time.Duration(m.hangs.Load()))
	if f, ok := m.forbidden.Load().(refusalOf); ok {
		return f.error
	}
	return nil
}

type refusalOf struct{ error } // an atomic.Value wants one type

// forbid says what CanReboot answers from now on.
func (m *rigMachine) forbid(why error) { m.forbidden.Store(refusalOf{why}) }

func (m *rigMachine) hang(d time.Duration) { m.hangs.Store(int64(d)) }

func (m *rigMachine) Reboot(ctx context.Context) error {
	m.asked.Add(1)
	if m.silent {
		m.stopping.Store(true)
		m.onDown()
		<-ctx.Done()
		return ctx.Err()
	}
	if m.refusal != nil || m.deaf {
		return m.refusal
	}
	down, boot := m.onDown, m.id
	time.AfterFunc(m.slow, func() {
		if m.id == boot { // else somebody pulled the plug meanwhile
			m.stopping.Store(true)
			down()
		}
	})
	return nil
}

// rigClock is a wall clock that can be off and not trusted.
type rigClock struct {
	mu     sync.Mutex // guards the fields below
	state  string
	offset time.Duration
}

func (c *rigClock) set(state string, offset time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state, c.offset = state, offset
}

func (c *rigClock) Now() time.Time {
	now, _ := c.wall()
	return now
}

func (c *rigClock) State() (string, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state, time.Now().Add(c.offset)
}

func (c *rigClock) wall() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.offset), c.state == "synchronized" || c.state == "corroborated"
}

// rigHub is the hub's side of the reported section.
type rigHub struct {
	agent *agent.Agent
	away  bool // stays away at the next start

	mu     sync.Mutex // guards the fields below
	up     bool
	want   map[string]any
	held   map[string]any
	writes []map[string]any // each patch as it was sent
	events []iothub.Message
	change chan struct{}
}

func (h *rigHub) SendAll(ctx context.Context, messages []iothub.Message) (int, error) {
	if err := h.Flush(ctx); err != nil { // it waits for the connection too
		return 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, messages...)
	return len(messages), nil
}

func (h *rigHub) Report(want map[string]any) {
	h.mu.Lock()
	h.want = want
	h.mu.Unlock()
	go h.sync()
}

// sync sends what differs, as the client does.
func (h *rigHub) sync() {
	h.mu.Lock()
	if !h.up {
		h.mu.Unlock()
		return
	}
	of := map[string]any{}
	for k := range h.want {
		if v, ok := h.held[k]; ok {
			of[k] = v
		}
	}
	patch := iothub.Diff(of, h.want)
	if len(patch) > 0 {
		h.held = iothub.Merge(h.held, patch)
		h.writes = append(h.writes, patch)
	}
	held := h.held
	if h.change != nil {
		close(h.change)
		h.change = nil
	}
	h.mu.Unlock()
	if len(patch) > 0 {
		h.agent.Reported(held)
	}
}

func (h *rigHub) Flush(ctx context.Context) error {
	h.sync()
	h.mu.Lock()
	if h.up {
		h.mu.Unlock()
		return nil
	}
	if h.change == nil {
		h.change = make(chan struct{})
	}
	change := h.change
	h.mu.Unlock()
	select {
	case <-change:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *rigHub) connect() {
	h.mu.Lock()
	h.up = true
	held := h.held
	h.mu.Unlock()
	h.agent.Reported(held)
	h.sync()
}

func (h *rigHub) disconnect() {
	h.mu.Lock()
	h.up = false
	h.mu.Unlock()
}

func (h *rigHub) online() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

func (h *rigHub) twin() map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.held
}

var _ io.Writer = (*rig)(nil)

// startOffline is start with the hub away.
func (r *rig) startOffline() {
	r.Helper()
	r.hub.away = true
	r.start()
	r.hub.away = false
}

// count is how many log lines hold the text.
func (r *rig) count(text string) int {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return strings.Count(r.log.String(), text)
}
