package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"latchd/agent/ledger"
	"latchd/iothub"
)

var errDisk = errors.New("the disk is gone")

// fakeDoor is a lock of functions; nil ones succeed.
type fakeDoor struct {
	lock   func() error
	unlock func() error

	mu       sync.Mutex // guards the fields below
	blockers []string
	moves    []string
	policy   DoorPolicy
}

func (d *fakeDoor) LockDoor(*time.Duration) (DoorStatus, error) { return d.move("lock", d.lock) }
func (d *fakeDoor) UnlockDoor(*time.Duration, bool) (DoorStatus, error) {
	return d.move("unlock", d.unlock)
}

func (d *fakeDoor) move(name string, f func() error) (DoorStatus, error) {
	var err error
	if f != nil {
		err = f()
	}
	if err == nil {
		d.mu.Lock()
		d.moves = append(d.moves, name)
		d.mu.Unlock()
	}
	return d.Status(), err
}

func (d *fakeDoor) Status() DoorStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	return DoorStatus{State: "locked", Mode: "resting", Blockers: d.blockers}
}

// block sets what speaks against a reboot.
func (d *fakeDoor) block(by ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.blockers = by
}

func (d *fakeDoor) SetPolicy(p DoorPolicy) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.policy = p
	return nil
}

func (d *fakeDoor) moved() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Sprint(d.moves)
}

// fakeMachine counts the reboots that it was asked for.
type fakeMachine struct {
	booted time.Time
	onAsk  func() // called at each asking; may be nil

	mu       sync.Mutex // guards the fields below
	asked    int
	stopping bool
}

func (m *fakeMachine) CanReboot(context.Context) error { return nil }
func (m *fakeMachine) Uptime() time.Duration           { return time.Since(m.booted) }
func (m *fakeMachine) Reboot(context.Context) error {
	if m.onAsk != nil {
		m.onAsk()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	return nil
}

// times is how often it was asked for a reboot.
func (m *fakeMachine) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

func (m *fakeMachine) Stopping(context.Context) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stopping
}

func (m *fakeMachine) stop(now bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopping = now
}

// fakeClock is right and trusted, until a test says otherwise.
type fakeClock struct {
	mu    sync.Mutex // guards the fields below
	wrong time.Duration
	unset bool
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.wrong).Round(0)
}

func (c *fakeClock) State() (string, time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unset {
		return "unset", time.Time{}
	}
	return "synchronized", time.Now()
}

// jump sets the clock by d; trust says whether it is trusted from now on.
func (c *fakeClock) jump(d time.Duration, trust bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wrong, c.unset = c.wrong+d, !trust
}

// fakeHub holds what it is told.
type fakeHub struct {
	mu     sync.Mutex // guards the fields below
	held   map[string]any
	events []iothub.Message
	away   bool // no event gets through
}

func (h *fakeHub) Report(want map[string]any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.held == nil {
		h.held = map[string]any{}
	}
	maps.Copy(h.held, want)
}
func (h *fakeHub) Flush(context.Context) error { return nil }

func (h *fakeHub) SendAll(ctx context.Context, messages []iothub.Message) (int, error) {
	h.mu.Lock()
	away := h.away
	h.mu.Unlock()
	if away {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, messages...)
	return len(messages), nil
}

// rig is an agent among fakes, in a bubble of fake time.
type rig struct {
	*testing.T
	dir     string
	device  string
	locally Local
	boot    Boot
	door    *fakeDoor
	machine *fakeMachine
	clock   *fakeClock
	hub     *fakeHub
	save    func(string, ledger.Operations) error

	*Agent
	end  context.CancelFunc
	done chan struct{}
}

func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{
			T: t, dir: dir, boot: Boot{ID: "boot-1"}, door: &fakeDoor{}, hub: &fakeHub{},
			machine: &fakeMachine{booted: time.Now().Add(-time.Minute)}, clock: &fakeClock{},
		}
		r.start()
		test(r)
		r.stop()
	})
}

func (r *rig) start() {
	r.Agent = New(Config{
		Door: r.door, Machine: r.machine, Clock: r.clock, Boot: r.boot, StateDir: r.dir, Device: r.device, Local: r.locally,
		Log: slog.New(slog.DiscardHandler), save: r.save,
	})
	r.Connect(r.hub)
	ctx, cancel := context.WithCancel(context.Background())
	r.end, r.done = cancel, make(chan struct{})
	go func(a *Agent, done chan struct{}) {
		defer close(done)
		_ = a.Run(ctx)
	}(r.Agent, r.done)
	synctest.Wait()
}

func (r *rig) stop() {
	r.end()
	<-r.done
	synctest.Wait()
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// served is an answer, and how long it took.
type served struct {
	status int
	body   map[string]any
	after  time.Duration
}

// send calls a method; the channel gives its one answer.
func (r *rig) send(method, payload string) <-chan served {
	begin := time.Now()
	out := make(chan served, 2)
	r.Serve(context.Background(), iothub.MethodRequest{Name: method, Payload: []byte(payload)}, func(m iothub.MethodResponse) {
		var body map[string]any
		if err := json.Unmarshal(m.Payload, &body); err != nil {
			r.Errorf("%s answered %q", method, m.Payload)
		}
		if len(out) > 0 {
			r.Errorf("%s was answered twice", method)
		}
		out <- served{m.Status, body, time.Since(begin)}
		if m.Sent != nil {
			m.Sent(nil)
		}
	})
	return out
}

// want calls a method, and waits for an answer with that status in time.
func (r *rig) want(status int, method, payload string) served {
	r.Helper()
	a := <-r.send(method, payload)
	r.check(a, status, method+" "+payload)
	synctest.Wait()
	return a
}

func (r *rig) check(a served, status int, what string) {
	r.Helper()
	if a.status != status || a.after >= 4*time.Second {
		r.Errorf("%s: %d %v after %s, want %d within 4 s", what, a.status, a.body, a.after, status)
	}
}

// twin is the reported property.
func (r *rig) twin(key string) map[string]any {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	m, _ := r.hub.held[key].(map[string]any)
	return maps.Clone(m)
}
