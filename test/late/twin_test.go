package late

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.mqtt.golang/packets"

	"latchd/test/site"
)

// twinPoint is a point in the life of a change of the twin: a row. Each field
// of its table demands the same, so there is no table of outcomes: the device
// acknowledges the change with the version that it came in, the hub gets that
// acknowledgement once, the door is reported as it is, and the device is there
// again.
type twinPoint struct {
	name string
	run  func(c *cell)
}

// The change that operators make, and what the device says to it.
const wantedFloor = 7

func isAcknowledgement(p *packet) bool {
	return isReport(p) && bytes.Contains(p.payload, []byte(`"floor"`))
}

func isDoorReport(p *packet) bool { return isReport(p) && bytes.Contains(p.payload, []byte(`"door"`)) }
func isAccepted(p *packet) bool   { return isTwin(p) && p.topic.Status == 204 }
func isGot(p *packet) bool        { return isTwin(p) && p.topic.Status == 200 }

var twinPoints = []twinPoint{
	{"changed", func(c *cell) {
		if c.isLoss {
			c.link = c.proxy.latest()
			c.hit()
			c.change()
			return
		}
		c.holdAt(isChange, c.change)
		c.hit()
	}},
	{"half-sent", func(c *cell) {
		c.holdAt(isChange, c.change)
		c.held.handOnHalf()
		c.hit()
	}},
	{"received", func(c *cell) {
		c.holdAt(isChange, c.change)
		c.Freeze(c.agent())
		c.held.handOn()
		c.Await("the device's system has the change", func() bool {
			return c.proxy.count(isChange) == 1 && c.link.device.isTaken()
		})
		c.hit()
		if c.damage.name != "agent-frozen" && c.damage.name != "agent-killed" {
			c.Thaw(c.agent())
		}
	}},
	{"acknowledging", func(c *cell) {
		c.holdAt(isAcknowledgement, c.change)
		c.hit()
	}},
	{"half-acknowledged", func(c *cell) {
		c.holdAt(isAcknowledgement, c.change)
		c.held.handOnHalf()
		c.hit()
	}},
	{"unanswered", func(c *cell) {
		c.holdAt(isAccepted, c.change)
		c.hit()
	}},
	// What the device reports by itself: a door that unlocks, and locks while
	// the hub cannot hear of it.
	{"reporting", func(c *cell) {
		c.holdAt(isDoorReport, c.unlock)
		c.change()
		c.hit()
	}},
	{"half-reported", func(c *cell) {
		c.holdAt(isDoorReport, c.unlock)
		c.change()
		c.held.handOnHalf()
		c.hit()
	}},
	{"report-unanswered", func(c *cell) {
		c.holdAt(isAccepted, c.unlock)
		c.change()
		c.hit()
	}},
	// On the way to a session.
	{"connecting", func(c *cell) {
		c.holdAt(isKind(packets.Connect), c.drop)
		c.change()
		c.expectNotOnline()
		c.hit()
	}},
	{"connected", reconnecting(isKind(packets.Connack))},
	{"subscribing", reconnecting(isKind(packets.Subscribe))},
	{"subscribed", reconnecting(isKind(packets.Suback))},
	{"asking", reconnecting(isGet)},
	{"asked", reconnecting(isGot)},
}

func reconnecting(at func(*packet) bool) func(*cell) {
	return func(c *cell) {
		c.holdAt(at, c.drop)
		c.change()
		c.hit()
	}
}

// holdAt does something after which the proxy stands before a packet.
func (c *cell) holdAt(at func(*packet) bool, cause func()) {
	c.Helper()
	stop := c.proxy.stopAt(at)
	cause()
	c.held = stop.wait(c.TB)
	c.link = c.held.link
}

// change is what the operator changes.
func (c *cell) change() {
	c.Helper()
	c.Object("PATCH", "/twins/"+c.id, fmt.Sprintf(`{"properties":{"desired":{"floor":%d}}}`, wantedFloor))
}

// unlock unlocks the door for a moment. The answer may wait behind a report.
func (c *cell) unlock() { c.start("unlockDoor", `{"unlockTime":1}`) }

// drop has the device connect again.
func (c *cell) drop() { c.proxy.latest().reset() }

// expectNotOnline calls a device that is not there.
func (c *cell) expectNotOnline() {
	c.Helper()
	c.Await("the hub knows that the device is away", func() bool { return c.Twin(c.id)["connectionState"] == "Disconnected" })
	if v := c.call("unlockDoor", `{"hold":true}`); v.word() != "404103" {
		c.Errorf("the operator was told %s (%v %v), want 404103", v.word(), v.answer, v.err)
	}
}

// everyTwinRun is everyRun for twins.
var everyTwinRun = []string{
	"changed/lost-to-device", "half-sent/FIN", "received/RST", "acknowledging/hub-cut",
	"half-acknowledged/device-cut", "unanswered/lost-both", "reporting/lost-to-hub",
	"report-unanswered/hub-killed", "connecting/agent-killed", "subscribing/hub-frozen", "asking/agent-frozen",
}

// TestTwin changes a twin and fails at one point of the change's life.
func TestTwin(t *testing.T) {
	t.Parallel()
	shared := site.New(t)
	t.Run("cells", func(t *testing.T) {
		for _, p := range twinPoints {
			for _, d := range damages {
				name := p.name + "/" + d.name
				if !site.IsSoak() && !slices.Contains(everyTwinRun, name) {
					continue
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					testTwin(newCell(t, shared, d, p.name+"-"+d.name), p)
				})
			}
		}
	})
}

func testTwin(c *cell, p twinPoint) {
	p.run(c)
	moved := c.moves()
	if !c.first { // else mend knows how long
		time.Sleep(c.lasts())
	}
	c.mend()
	c.awaitBack()
	c.Await("the twin converges", c.converged)
	if n := c.proxy.count(isAcknowledgement); n != 1 {
		c.Errorf("the hub got the acknowledgement %d times, want once", n)
	}
	c.checkWire()
	// An unlock that had begun has ended by itself, and nothing else has moved.
	if now := c.moves(); now != moved+moved%2 {
		c.Errorf("the door had moved %d times, and now %d times", moved, now)
	}
}

// lasts is how long the damage lasts: long enough for a frozen agent to notice.
func (c *cell) lasts() time.Duration {
	if c.damage.name == "agent-frozen" {
		return long
	}
	return briefly
}

// converged tells whether the twin says what is wanted and what is.
func (c *cell) converged() bool {
	twin := c.Twin(c.id)
	reported := site.At(twin, "properties", "reported")
	floor := site.At(reported, "floor")
	return fmt.Sprint(site.At(floor, "value")) == fmt.Sprint(wantedFloor) &&
		fmt.Sprint(site.At(floor, "ac")) == "200" &&
		fmt.Sprint(site.At(floor, "av")) == fmt.Sprint(site.At(twin, "properties", "desired", "$version")) &&
		site.At(reported, "door", "state") == "locked"
}
