package late

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// damage is what happens at the point where the proxy stands: a column of the
// tables.
type damage struct {
	name string
	// strike does it. The packet before which the proxy stands may be nil.
	strike func(*cell)
	// heal undoes it, as far as that takes more than the device itself.
	heal func(*cell)
	// The packet before which the proxy stands is handed on after the strike,
	// if it comes from the hub, or from the device.
	passesFromHub, passesFromDevice bool

	ofHub  bool // it strikes the hub: the cell needs one of its own
	isLoss bool // what is lost was not acknowledged before
	first  bool // it is healed before the operator hears anything
}

// briefly and long are how long a frozen hub stands still: less, and more, than
// the operator is willing to wait for an answer.
const (
	briefly = time.Second
	long    = responseTimeout + time.Second
)

var damages = []damage{
	{name: "FIN", strike: func(c *cell) { c.link.finish() }},
	{name: "RST", strike: func(c *cell) { c.link.reset() }},
	{
		name:   "hub-cut", // the device goes on believing in its connection
		strike: func(c *cell) { c.link.deafen(); c.link.hub.reset() },
		heal:   func(c *cell) { c.link.device.reset() },
	},
	{
		name:   "device-cut", // the hub goes on believing
		strike: func(c *cell) { c.link.deafen(); c.link.device.reset() },
		heal:   func(c *cell) { c.link.hub.reset() },
	},
	{
		name: "lost-to-device", isLoss: true, passesFromDevice: true,
		strike: func(c *cell) { c.must(c.link.hub.lose()) },
		heal:   func(c *cell) { c.found() },
	},
	{
		name: "lost-to-hub", isLoss: true, passesFromHub: true,
		strike: func(c *cell) { c.must(c.link.device.lose()) },
		heal:   func(c *cell) { c.found() },
	},
	{
		name: "lost-both", isLoss: true,
		strike: func(c *cell) { c.must(c.link.hub.lose()); c.must(c.link.device.lose()) },
		heal:   func(c *cell) { c.found() },
	},
	{
		name: "hub-frozen", ofHub: true, passesFromHub: true, passesFromDevice: true, first: true,
		strike: func(c *cell) { c.Freeze(c.Hub) },
		heal:   func(c *cell) { time.Sleep(briefly); c.Thaw(c.Hub) },
	},
	{
		name: "hub-frozen-long", ofHub: true, passesFromHub: true, passesFromDevice: true, first: true,
		strike: func(c *cell) { c.Freeze(c.Hub) },
		heal:   func(c *cell) { time.Sleep(long); c.Thaw(c.Hub) },
	},
	{
		name: "hub-stopped", ofHub: true,
		strike: func(c *cell) { c.Hub.Signal(syscall.SIGTERM); c.link.close() }, // the proxy reads no end while it stands
		heal:   func(c *cell) { c.StartHub() },
	},
	{
		name: "hub-killed", ofHub: true,
		strike: func(c *cell) { c.Hub.Signal(syscall.SIGKILL); c.link.close() }, // the proxy reads no end while it stands
		heal:   func(c *cell) { c.StartHub() },
	},
	{
		name: "agent-frozen", passesFromHub: true, passesFromDevice: true,
		strike: func(c *cell) { c.Freeze(c.agent()) },
		heal:   func(c *cell) { c.Thaw(c.agent()) },
	},
	{
		name: "agent-killed", passesFromHub: true, passesFromDevice: true,
		strike: func(c *cell) { c.agent().Signal(syscall.SIGKILL) },
		heal:   func(c *cell) { c.StartDevice(c.id) },
	},
}

func damageNamed(name string) (damage, bool) {
	for _, d := range damages {
		if d.name == name {
			return d, true
		}
	}
	return damage{}, false
}

// found ends a loss of packets. What the proxy still has in its hands is
// handed on, except a command: the proxy has acknowledged it to the hub, which
// no network does with what it loses, so it goes down with its connection.
func (c *cell) found() {
	if h := c.held; h != nil && isMethod(h.packet) && !c.passes(h) {
		c.link.reset()
		return
	}
	err := errors.Join(c.link.hub.find(), c.link.device.find())
	if errors.Is(err, net.ErrClosed) {
		return // the device is back already, on another connection
	}
	c.must(err)
	if c.held != nil {
		c.held.handOn()
		<-c.held.passed // a ping must not come between its halves
	}
	c.link.nudge()
}
