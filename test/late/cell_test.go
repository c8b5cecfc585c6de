package late

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchd/test/site"
)

// responseTimeout is how long operators wait for an answer here: the shortest
// time that a hub takes.
const responseTimeout = 5 * time.Second

// cell is one field of a table: one device behind a proxy of its own, and what
// happens to it.
type cell struct {
	*site.Site
	id      string
	command string // the method that is called
	proxy   *proxy
	damage
	link *link // the one that is struck
	held *held // the packet before which the proxy stands; nil while it does not
}

// newCell starts a device whose way to the hub leads through a proxy. The hub
// is the shared one unless the damage is done to it.
func newCell(t *testing.T, shared *site.Site, d damage, id string) *cell {
	t.Helper()
	if d.isLoss && !canLose {
		t.Skip("packets can be lost on Linux only")
	}
	var s *site.Site
	if d.ofHub {
		s = site.New(t)
	} else {
		s = shared.In(t)
	}
	c := &cell{Site: s, id: id, command: "unlockDoor", damage: d}
	c.proxy = newProxy(s)
	s.AddDevice(id)
	s.Write(id+".connection", strings.TrimSpace(s.Read(id+".connection"))+";GatewayHostName="+c.proxy.address())
	s.StartDevice(id)
	c.awaitBack()
	c.Await("the device has said all it has to say", func() bool {
		return s.Reported(id, "door", "state") == "locked" && s.Reported(id, "agent", "bootId") != nil
	})
	return c
}

func (c *cell) agent() *site.Process { return c.Devices[c.id] }

func (c *cell) must(err error) {
	c.Helper()
	if err != nil {
		c.Fatal(err)
	}
}

// passes tells whether the damage lets the packet go on.
func (c *cell) passes(h *held) bool {
	return h.fromHub && c.passesFromHub || !h.fromHub && c.passesFromDevice
}

// hit does the damage.
func (c *cell) hit() {
	c.Helper()
	c.strike(c)
	if c.held != nil && c.passes(c.held) {
		c.held.handOn()
	}
}

// mend undoes the damage and waits until the device is there again by itself.
func (c *cell) mend() {
	c.Helper()
	if c.heal != nil {
		c.heal(c)
	}
}

// awaitBack waits until the device answers.
func (c *cell) awaitBack() {
	c.Helper()
	c.Await(c.id+" is there again", func() bool {
		return c.call("getStatus", `{}`).word() == "200"
	})
}

// verdict is what an operator is told about a method.
type verdict struct {
	status int
	answer any
	err    error
	after  time.Duration
}

// call calls a method and waits as shortly as can be for its answer.
func (c *cell) call(method, payload string) verdict {
	// The operator's own patience is longer than the hub's, in every case.
	ctx, cancel := context.WithTimeout(context.Background(), 4*responseTimeout)
	defer cancel()
	began := time.Now()
	status, answer, err := c.TryRequest(ctx, "POST", "/twins/"+c.id+"/methods", fmt.Sprintf(
		`{"methodName":%q,"payload":%s,"responseTimeoutInSeconds":%d,"connectTimeoutInSeconds":0}`,
		method, payload, int(responseTimeout.Seconds())))
	return verdict{status, answer, err, time.Since(began)}
}

// start is call for a call that is to go wrong.
func (c *cell) start(method, payload string) <-chan verdict {
	done := make(chan verdict, 1)
	go func() { done <- c.call(method, payload) }()
	return done
}

func (c *cell) await(done <-chan verdict) verdict {
	c.Helper()
	patience := time.NewTimer(5 * responseTimeout)
	defer patience.Stop()
	select {
	case v := <-done:
		return v
	case <-patience.C:
		c.Fatal("the operator was not told anything")
		return verdict{}
	}
}

var errorCode = regexp.MustCompile(`"errorCode\\?":(\d+)`)

// word is the verdict in one word: the device's status, the hub's error code,
// or "none" if there was no answer.
func (v verdict) word() string {
	if v.err != nil {
		return "none"
	}
	if v.status == 200 {
		return fmt.Sprint(site.At(v.answer, "status"))
	}
	message, _ := site.At(v.answer, "Message").(string)
	if m := errorCode.FindStringSubmatch(message); m != nil {
		return m[1]
	}
	return fmt.Sprint(v.status)
}

// moves is how often the door has moved.
func (c *cell) moves() int {
	return strings.Count(c.Read(c.id+".run/gpio/edges"), "\n") - 1 // less the line's first level
}

// checkWire fails the test if anything went over the wire twice.
func (c *cell) checkWire() {
	c.Helper()
	if ids := c.proxy.twice(isMethod); len(ids) > 0 {
		c.Errorf("the hub called a method twice: %v", ids)
	}
	if ids := c.proxy.twice(isAnswer); len(ids) > 0 {
		c.Errorf("the device answered twice: %v", ids)
	}
}

// isCommand is for the command that the cell sends.
func (c *cell) isCommand(p *packet) bool { return isMethod(p) && p.topic.Method == c.command }
