package soak

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchd/test/site"
)

// TestKilledAgents kills agents in the middle of commands, on several devices
// of one hub at once. What a kill may leave behind is said in lockkill_test.go.
func TestKilledAgents(t *testing.T) {
	t.Parallel()
	f := newFigures(t, "kills of the agent", rounds(200))
	s := site.New(t)
	const devices = 2
	t.Run("devices", func(t *testing.T) {
		for i := range devices {
			id := fmt.Sprintf("door%d", i)
			t.Run(id, func(t *testing.T) {
				t.Parallel()
				k := &killer{
					device: newDevice(s.In(t), id, ""), figures: f,
					random:  rand.New(rand.NewPCG(f.seed, uint64(i))),
					usually: maps.Clone(firstGuess), door: door{base: resting}, policyTime: 5 * time.Second,
				}
				k.run(f.count / devices)
			})
		}
	})
}

// killer kills the agent of one device.
type killer struct {
	*device
	figures *figures
	random  *rand.Rand
	usually map[string]time.Duration // how long a command of a kind takes

	door       door          // as it was seen last
	policyTime time.Duration // of an unlock that names no time
	line       *line
	bootID     string
	started    time.Time // of the process
	next       int       // number of the next command
}

// firstGuess is how long commands take, until that is known.
var firstGuess = map[string]time.Duration{
	"lockDoor": 15 * time.Millisecond, "unlockDoor": 15 * time.Millisecond,
	"rebootDevice": 600 * time.Millisecond, "scheduled reboot": 15 * time.Millisecond,
	"cancelOperation": 10 * time.Millisecond, "doorPolicy": 30 * time.Millisecond,
}

// kinds are what is done when the agent is killed, in a random order, each once
// before one comes again.
var kinds = []func(*killer){
	(*killer).killInLock, (*killer).killInLock, (*killer).killInLock,
	(*killer).killInUnlock, (*killer).killInUnlock, (*killer).killInUnlock, (*killer).killInUnlock,
	(*killer).killInReboot, (*killer).killInReboot,
	(*killer).killInPolicy, (*killer).killInSchedule, (*killer).killInCancel,
}

func (k *killer) run(rounds int) {
	k.start()
	k.settle()
	first := stored(k.TB, k.Path(k.id+".state"))
	var order []int
	for range rounds {
		if len(order) == 0 {
			order = k.random.Perm(len(kinds))
		}
		k.prepare()
		kinds[order[0]](k)
		order = order[1:]
		if k.random.IntN(2) == 0 {
			k.awaitTimer()
		}
		k.awaitTwin()
		if k.Failed() {
			return
		}
	}
	k.checkNothingPiledUp(first)
}

// start starts the agent.
func (k *killer) start() {
	k.Helper()
	k.started = time.Now()
	k.StartDevice(k.id)
}

// settle takes the device as it is for the beginning.
func (k *killer) settle() observation {
	k.Helper()
	o := k.observe()
	k.takeLine()
	if o.mode != resting || o.state != "locked" {
		k.Fatalf("the door of a new device is %v", o)
	}
	return o
}

// takeLine turns to the line of the present boot.
func (k *killer) takeLine() {
	k.Helper()
	if k.line != nil {
		k.line.close()
	}
	k.line = k.openLine()
	k.line.news(k.TB)
	k.bootID = k.boot().Boot.ID
}

// kill kills the agent and gives the moments between which it ended.
func (k *killer) kill() (from, to time.Time) {
	k.Helper()
	p := k.Devices[k.id]
	k.figures.wrote(resourcesOf(p.Cmd.Process.Pid).written)
	from = time.Now()
	p.Signal(syscall.SIGKILL)
	return from, time.Now()
}

// newID names the next command.
func (k *killer) newID() string {
	k.next++
	return fmt.Sprintf("%s-%d", k.id, k.next)
}

// duringCall calls a method and kills the agent meanwhile: at a share of the
// time that such a call usually takes, or when something has reached the disk.
func (k *killer) duringCall(kind, method string, payload map[string]any) (a answer, dead time.Time) {
	k.Helper()
	at := time.Duration(k.random.Float64() * 1.3 * float64(k.usually[kind]))
	watched := []string{"", "", ".run/gpio/edges", ".run/lock.json", ".state/commands.journal", ".state/operations.json"}[k.random.IntN(6)]
	before := k.stamp(watched)
	answers := make(chan answer, 1)
	begun := time.Now()
	go func() { answers <- k.call(method, payload) }()
	if watched == "" {
		time.Sleep(at)
	} else {
		for k.stamp(watched) == before && time.Since(begun) < 2*k.usually[kind] {
			time.Sleep(50 * time.Microsecond)
		}
	}
	_, dead = k.kill()
	a = <-answers
	k.checkFiles()
	return a, dead
}

// stamp tells one content of a file of the device from another.
func (k *killer) stamp(name string) string {
	if name == "" {
		return ""
	}
	return fileStamp(k.Path(k.id + name))
}

// comeBack starts the agent again, at once or after a while in which a timer
// may end, and gives what it says of itself.
func (k *killer) comeBack() observation {
	k.Helper()
	if k.random.IntN(3) == 0 {
		time.Sleep(time.Duration(k.random.IntN(1200)) * time.Millisecond)
	}
	k.start()
	return k.observe()
}

// prepare brings the door into some mode by commands that are left alone.
func (k *killer) prepare() {
	k.Helper()
	for range k.random.IntN(3) {
		if k.random.IntN(2) == 0 {
			k.carryOut(k.randomLock())
		} else {
			k.carryOut(k.randomUnlock())
		}
	}
}

// awaitTimer waits until the timer that runs has ended.
func (k *killer) awaitTimer() {
	k.Helper()
	if end := k.door.end(); end.set() && time.Until(end.to) < 4*time.Second {
		time.Sleep(time.Until(end.to.Add(50 * time.Millisecond)))
		k.Await(fmt.Sprintf("the timer of %v has ended", k.door), func() bool { return k.observe().mode == resting })
		o, shown := k.observe(), k.door.timers(k.started) != nil
		k.expect("the end of a timer", o, nil, outcome{"", k.door})
		if !shown { // by an edge of the line
			k.figures.late(o.since.Sub(later(end.to, k.started)))
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// carryOut sends a command that is left alone; the door must do what the model
// says.
func (k *killer) carryOut(c lockCommand) {
	k.Helper()
	before := time.Now()
	a := k.ask(c.method, k.withID(c.payload))
	k.usually[c.method] = (3*k.usually[c.method] + min(time.Since(before), time.Second)) / 4
	after, refused := c.apply(k.door, a.sent, a.done)
	if want := map[bool]int{false: 200, true: 423}[refused]; a.status != want && !k.timerNear(a) {
		k.Fatalf("%s %v of %v: %v", c.method, c.payload, k.door, a)
	}
	if a.status == 423 {
		after = k.door
	}
	ended := k.door.at(a.sent, a.done)
	options := []outcome{{c.method, after}}
	for _, d := range ended { // a timer may end just before the command comes
		d, _ = c.apply(d, a.sent, a.done)
		options = append(options, outcome{c.method, d})
	}
	k.expect(c.method, k.observe(), []cause{c.cause(a.sent, a.done)}, options...)
}

// timerNear tells whether a timer may have ended when a call came, so that the
// answer may be the one or the other.
func (k *killer) timerNear(a answer) bool {
	end := k.door.end()
	return end.set() && !a.done.Before(end.from) && a.sent.Before(end.to.Add(patience))
}

func (k *killer) withID(payload map[string]any) map[string]any {
	payload = maps.Clone(payload)
	payload["commandId"] = k.newID()
	return payload
}

// checkNothingPiledUp looks for files that the kills left behind.
func (k *killer) checkNothingPiledUp(first map[string]int64) {
	k.Helper()
	const temporary = 4 // of the last kill, in each directory
	left := 0
	now := stored(k.TB, k.Path(k.id+".state"))
	k.figures.grew("%s: state %d → %d bytes after %d commands, of these %d in the command journal",
		k.id, total(first), total(now), k.next, now[journal])
	for name, size := range now {
		if name != journal && !strings.HasSuffix(name, ".json") {
			left++
		}
		if size > first[name]+16<<10+int64(perCommand*k.next) {
			k.Errorf("%s has %d bytes after %d commands", name, size, k.next)
		}
	}
	if left > temporary {
		k.Errorf("%d temporary files were left behind: %v", left, now)
	}
}
