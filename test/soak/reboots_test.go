package soak

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"latchd/test/site"
)

// TestReboots reboots a device again and again by rebootDevice.
//
// The proof that the answer arrives before the machine goes down is not one of
// clocks: the answer is held back at a gate on its way to the hub, and as long
// as it is there, the disk must say "accepted" and the machine must be up.
func TestReboots(t *testing.T) {
	t.Parallel()
	r := &rebooter{figures: newFigures(t, "reboots in a row", rounds(200))}
	s := site.New(t)
	r.gate = newGate(t, mqttAddress(s))
	r.device = newDevice(s, "door", r.gate.listener.Addr().String())
	r.random = rand.New(rand.NewPCG(r.figures.seed, 0))
	s.StartDevice("door")
	r.awaitTwin() // rebootTime comes with the clock, a moment after the start
	o := r.observe()
	r.bootID, r.rebootTime = o.bootID, parseTime(t, fmt.Sprint(o.raw["rebootTime"]))
	stop := r.repeatAtRandom()
	defer stop()
	var first, last resources
	files := stored(t, s.Path("door.state"))
	for i := range r.figures.count {
		r.round(fmt.Sprintf("r%d", i))
		last = resourcesOf(s.Devices["door"].Cmd.Process.Pid)
		if i == min(5, r.figures.count/2) {
			first, files = last, stored(t, s.Path("door.state"))
		}
		if t.Failed() {
			return
		}
	}
	stop()
	r.awaitTwin()
	r.figures.wrote(last.written)
	r.checkGrowth(first, last, files)
}

// mqttAddress is where the hub takes devices.
func mqttAddress(s *site.Site) string {
	s.Helper()
	var at struct{ MQTT string }
	if err := json.Unmarshal([]byte(s.Read("hub/endpoints.json")), &at); err != nil {
		s.Fatal(err)
	}
	return at.MQTT
}

// rebooter reboots one device.
type rebooter struct {
	*device
	figures *figures
	random  *rand.Rand
	gate    *gate

	bootID     string
	rebootTime time.Time

	mu       sync.Mutex       // guards answered
	answered []map[string]any // the payloads of reboots that were answered
}

// round is one reboot.
func (r *rebooter) round(id string) {
	before, forced := r.prepareDoor()
	old := r.openLine()
	defer old.close()
	old.news(r.TB) // skips the edges of earlier commands
	delay := float64(r.random.IntN(3)) * 0.05
	payload := map[string]any{"commandId": id, "delay": delay, "force": forced, "reason": "round " + id}
	answer := r.answerBeforeDown(id, payload)
	asked := time.Now()
	if answer.status != 200 || answer.body["state"] != "rebooting" || answer.replayed() {
		r.Fatalf("%s: %v", id, answer)
	}
	r.mu.Lock()
	r.answered = append(r.answered, payload)
	r.mu.Unlock()
	r.awaitReceipt(id, answer)
	recovery := time.Since(asked)
	o := r.observe()

	after := before.stopped()
	causes := append(before.timers(time.Time{}), cause{"the ordered stop", false, answer.sent, o.to, time.Time{}})
	edges := old.news(r.TB)
	if _, err := explain(edges, causes); err != nil {
		r.Fatalf("%s: before the machine went down: %v", id, err)
	}
	if all := old.all(r.TB); all[len(all)-1].unlocked {
		r.Fatalf("%s: the machine went down with the door unlocked: %v", id, all)
	}
	fresh := r.openLine()
	defer fresh.close()
	edges = fresh.news(r.TB)
	if len(edges) != 1 || !edges[0].requested || edges[0].unlocked {
		r.Fatalf("%s: the door was %v; the line after the boot: %v", id, before, edges)
	}
	if _, ok := after.seenAs(o); !ok {
		r.Fatalf("%s: the door was %v and is %v after the boot", id, before, o)
	}
	r.figures.pass(recovery, "rebooted once, door was "+before.mode())
}

// answerBeforeDown orders the reboot and holds the answer back for a moment.
func (r *rebooter) answerBeforeDown(id string, payload map[string]any) answer {
	r.gate.close()
	defer r.gate.open()
	answers := make(chan answer, 1)
	go func() { answers <- r.call("rebootDevice", payload) }()
	r.Await("the reboot "+id+" is accepted and its answer on its way", func() bool {
		return r.gate.holds() && r.phase(id) != ""
	})
	accepted := time.Now()
	time.Sleep(time.Duration(20+r.random.IntN(150)) * time.Millisecond) // far longer than the machine takes to go down, sometimes
	// The device waits for its answer to arrive, but not longer than 3 s.
	if phase, boot := r.phase(id), r.boot(); time.Since(accepted) < 2*time.Second && (phase != "accepted" || boot.Boot.ID != r.bootID) {
		r.Fatalf("%s: the answer has not reached the hub, and the operation is %q and the boot %q (it was %q)", id, phase, boot.Boot.ID, r.bootID)
	}
	r.gate.open()
	return <-answers
}

// prepareDoor puts the door into any mode, and tells whether a reboot must be
// forced then. Without force it must be refused.
func (r *rebooter) prepareDoor() (d door, forced bool) {
	method, payload := "lockDoor", map[string]any{}
	d = door{base: heldLocked}
	switch r.random.IntN(5) {
	case 0:
		payload["lockTime"] = 600
	case 1:
		method, payload["hold"], forced = "unlockDoor", true, true
	case 2:
		method, payload["unlockTime"], forced = "unlockDoor", 120, true
	case 3: // rests
		r.ask("lockDoor", map[string]any{"lockTime": 0})
		r.ask("unlockDoor", map[string]any{"unlockTime": 0.1})
		r.Await("the door rests", func() bool { return r.observe().mode == resting })
		return door{base: resting}, false
	}
	r.ask("lockDoor", map[string]any{"lockTime": 0}) // out of a lockdown
	a := r.ask(method, payload)
	switch {
	case payload["lockTime"] != nil:
		d = door{}.lockDoor(600*time.Second, a.sent, a.done)
	case forced:
		d, _ = door{base: resting}.unlockDoor(120*time.Second, payload["hold"] == true, a.sent, a.done)
		if a := r.ask("rebootDevice", map[string]any{}); a.status != 409 {
			r.Fatalf("a reboot that ends an unlock, without force: %v", a)
		}
	}
	d, ok := d.seenAs(r.observe())
	if !ok {
		r.Fatalf("%s %v: the door is %v", method, payload, r.observe())
	}
	return d, forced
}

// awaitReceipt waits for the receipt of a reboot and checks it.
func (r *rebooter) awaitReceipt(id string, answer answer) {
	var reported any
	r.Await("the receipt of "+id, func() bool {
		reported = r.Reported(r.id)
		return site.At(reported, "lastReboot", "commandId") == id && site.At(reported, "lastReboot", "state") == "completed"
	})
	receipt := site.At(reported, "lastReboot")
	is := func(key string, want any) {
		if got := site.At(receipt, key); got != want {
			r.Errorf("%s: %s is %v, want %v, in %v", id, key, got, want, receipt)
		}
	}
	is("cause", "rebootDevice")
	is("orderly", true)
	is("reason", "round "+id)
	is("operationId", answer.body["operationId"])
	is("previousBootId", r.bootID)
	is("error", nil)
	r.bootID, _ = site.At(receipt, "bootId").(string)
	if boot := r.boot(); r.bootID == "" || r.bootID != boot.Boot.ID {
		r.Errorf("%s: the receipt says boot %q, the machine is in %q", id, r.bootID, boot.Boot.ID)
	}
	at := func(key string) time.Time { return parseTime(r.TB, fmt.Sprint(site.At(receipt, key))) }
	requested, started, booted := at("requestedAt"), at("startedAt"), at("bootedAt")
	if requested.Before(answer.sent.Add(-time.Millisecond)) || started.Before(requested) || !booted.After(started) || booted.After(time.Now()) {
		r.Errorf("%s: the times of the receipt are out of order: %v", id, receipt)
	}
	now := parseTime(r.TB, fmt.Sprint(site.At(reported, "rebootTime")))
	if !now.After(r.rebootTime) || !now.Equal(booted) {
		r.Errorf("%s: rebootTime is %s, it was %s; the receipt says %s", id, now, r.rebootTime, booted)
	}
	r.rebootTime = now
	var down float64
	if _, err := fmt.Sscan(fmt.Sprint(site.At(receipt, "downSeconds")), &down); err != nil || down < 0 || down > 30 {
		r.Errorf("%s: it was down for %v s", id, site.At(receipt, "downSeconds"))
	}
	if r.Failed() {
		r.FailNow()
	}
}

// repeatAtRandom repeats answered commands at random moments until stop is
// called: also while the machine goes down, is off, and comes back. Whatever
// comes of it, nothing reboots: the next receipt would show it.
func (r *rebooter) repeatAtRandom() (stop func()) {
	random := rand.New(rand.NewPCG(r.figures.seed, 1))
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-end:
				return
			case <-time.After(time.Duration(random.IntN(400)) * time.Millisecond):
			}
			r.repeat(random)
		}
	}()
	return sync.OnceFunc(func() {
		close(end)
		<-ended
	})
}

// repeat sends one of the last commands again. The device gives the answer it
// gave, or is not there.
func (r *rebooter) repeat(random *rand.Rand) {
	r.mu.Lock()
	last := r.answered[max(0, len(r.answered)-3):]
	r.mu.Unlock()
	if len(last) == 0 {
		return
	}
	payload := last[random.IntN(len(last))]
	a := r.call("rebootDevice", payload)
	switch {
	case a.http == 200 && a.status == 200 && a.replayed() && a.body["state"] == "rebooting":
		r.figures.saw("a repeat: the stored answer")
	case a.http == 200 && a.status == 503:
		r.figures.saw("a repeat: refused while the agent stops")
	case a.http == 404 || a.http == 503 || a.http == 504:
		r.figures.saw("a repeat: the device was not there")
	default:
		r.Errorf("the repeat of %v: %v", payload, a)
	}
}

// checkGrowth looks for what piles up: in memory, in descriptors (the process
// stays the same over a simulated reboot) and on the disk. The command journal
// grows by contract, by an entry for each command, and so do the operations, by an
// attempt of the last day for each reboot. The events are written anew when their
// journal has 64 KiB to spare.
func (r *rebooter) checkGrowth(first, last resources, files map[string]int64) {
	r.figures.grew("agent: %d → %d descriptors, %d → %d KB resident", first.descriptors, last.descriptors, first.resident, last.resident)
	if last.descriptors > first.descriptors+3 || last.resident > first.resident+first.resident/4 {
		r.Errorf("the agent held %+v at first and holds %+v", first, last)
	}
	now := stored(r.TB, r.Path(r.id+".state"))
	r.figures.grew("state: %d → %d bytes, of these %d → %d in the command journal",
		total(files), total(now), files[journal], now[journal])
	for name, size := range now {
		before, known := files[name]
		switch {
		case !known:
			r.Errorf("%s was left behind", name)
		case name == journal && size > int64(5*r.figures.count)*perCommand:
			r.Errorf("the command journal has %d bytes after %d rounds", size, r.figures.count)
		case name == "operations.json" && size > 2*before+4096+int64(r.figures.count)*perAttempt:
			r.Errorf("%s grew from %d to %d bytes in %d rounds", name, before, size, r.figures.count)
		case name == "events.journal" && size > before+2*(64<<10):
			r.Errorf("%s grew from %d to %d bytes", name, before, size)
		case name != journal && name != "operations.json" && name != "events.journal" && size > 2*before+4096:
			r.Errorf("%s grew from %d to %d bytes", name, before, size)
		}
	}
}
