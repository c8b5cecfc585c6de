package late

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"latchd/test/site"
)

// What the operator is told of an unlock, and how often the door moves before
// the unlock is repeated. The verdicts:
//
//	200     the device's answer
//	404103  the device is not there
//	503102  the connection was lost after the command set out
//	504101  no answer in time
//	503     the hub says that it is stopping, or 503102, or hangs up
//	none    the hub hangs up
//
// After / comes the number of movements; "?" where both 0 and 1 are right,
// because the command and the end of the connection reach the device together,
// and the operator is told neither.
const methodTable = `
point            FIN       RST       hub-cut   device-cut  lost-to-device  lost-to-hub  lost-both  hub-frozen  hub-frozen-long  hub-stopped  hub-killed  agent-frozen  agent-killed
called           503102/0  503102/0  503102/0  503102/0    504101/0        504101/1     504101/0   200/1       200,504101/1     503/0        none/0      504101/0      503102/0
half-sent        503102/0  503102/0  503102/0  503102/0    504101/0        504101/1     504101/0   200/1       200,504101/1     503/0        none/0      504101/0      503102/0
received         503102/?  503102/?  503102/1  503102/?    200/1           504101/1     504101/1   200/1       200,504101/1     503/?        none/?      504101/0      503102/0
answering        503102/1  503102/1  503102/1  503102/1    200/1           504101/1     504101/1   200/1       200,504101/1     503/1        none/1      200/1         200,503102/1
half-answered    503102/1  503102/1  503102/1  503102/1    200/1           504101/1     504101/1   200/1       200,504101/1     503/1        none/1      200/1         200,503102/1
done             200/1     200/1     200/1     200/1       200/1           200/1        200/1      200/1       200/1            200/1        200/1       200/1         200/1
`

// point is a point in the life of a method call: a row.
type point struct {
	name string
	// hold stops the proxy there, calls the method, does the damage, and gives
	// what the operator will be told.
	run func(c *cell, payload string) <-chan verdict
}

var methodPoints = []point{
	{"called", func(c *cell, payload string) <-chan verdict {
		if c.isLoss { // what is lost must not be acknowledged by the proxy
			c.link = c.proxy.latest()
			c.hit()
			return c.start(c.command, payload)
		}
		done := c.hold(c.isCommand, payload)
		c.hit()
		return done
	}},
	{"half-sent", func(c *cell, payload string) <-chan verdict {
		done := c.hold(c.isCommand, payload)
		c.held.handOnHalf()
		c.hit()
		return done
	}},
	{"received", func(c *cell, payload string) <-chan verdict {
		done := c.hold(c.isCommand, payload)
		c.Freeze(c.agent())
		c.held.handOn()
		c.Await("the device's system has the command", func() bool {
			return c.proxy.count(c.isCommand) == 1 && c.link.device.isTaken()
		})
		c.hit()
		if !strings.HasPrefix(c.damage.name, "agent-") {
			c.Thaw(c.agent())
		}
		if c.damage.name == "hub-cut" { // the device's end is whole, until it is mended
			c.awaitTaken()
		}
		return done
	}},
	{"answering", func(c *cell, payload string) <-chan verdict {
		done := c.hold(isAnswer, payload)
		c.hit()
		return done
	}},
	{"half-answered", func(c *cell, payload string) <-chan verdict {
		done := c.hold(isAnswer, payload)
		c.held.handOnHalf()
		c.hit()
		return done
	}},
	{"done", func(c *cell, payload string) <-chan verdict {
		done := told(c.call(c.command, payload))
		c.link = c.proxy.latest()
		c.hit()
		return done
	}},
}

// awaitTaken waits until the device has written the command down. Before that a
// reset of its connection could still take the command from its system.
func (c *cell) awaitTaken() {
	c.Helper()
	c.Await("the device has taken the command", func() bool {
		journal, _ := os.ReadFile(c.Path(c.id + ".state/commands.journal")) // there may be none yet
		return strings.Contains(string(journal), c.id)
	})
}

// hold calls the method and waits until the proxy stands before a packet.
func (c *cell) hold(at func(*packet) bool, payload string) <-chan verdict {
	c.Helper()
	stop := c.proxy.stopAt(at)
	done := c.start(c.command, payload)
	c.held = stop.wait(c.TB)
	c.link = c.held.link
	return done
}

func told(v verdict) <-chan verdict {
	done := make(chan verdict, 1)
	done <- v
	return done
}

// everyRun are the cells that every run of the tests has: each row and each
// column but hub-frozen-long is in it.
var everyRun = []string{
	"called/lost-to-device", "called/FIN", "half-sent/RST", "half-sent/lost-both", "received/agent-frozen",
	"received/hub-cut", "answering/lost-to-hub", "answering/hub-stopped", "half-answered/device-cut",
	"half-answered/hub-frozen", "answering/agent-killed", "done/hub-killed",
}

// TestMethod calls a method and fails at one point of its life.
func TestMethod(t *testing.T) {
	t.Parallel()
	shared := site.New(t)
	t.Run("cells", func(t *testing.T) {
		for _, f := range fields(t, methodTable) {
			if !site.IsSoak() && !slices.Contains(everyRun, f.name()) {
				continue
			}
			t.Run(f.name(), func(t *testing.T) {
				t.Parallel()
				c := newCell(t, shared, f.damage, f.point+"-"+f.damage.name)
				i := slices.IndexFunc(methodPoints, func(p point) bool { return p.name == f.point })
				testMethod(c, methodPoints[i], f.want)
			})
		}
	})
}

func testMethod(c *cell, p point, want string) {
	verdicts, moved, _ := strings.Cut(want, "/")
	payload := fmt.Sprintf(`{"hold":true,"commandId":%q}`, c.id)
	done := p.run(c, payload)
	if c.first {
		c.mend()
	}
	v := c.await(done)
	then := c.moves()
	if word := v.word(); !allowed(verdicts, word) {
		c.Errorf("the operator was told %s (%v %v) after %s, want %s", word, v.answer, v.err, v.after, verdicts)
	}
	if !c.first {
		c.mend()
	}
	c.awaitBack()
	now := c.moves()
	// Whoever was told of a lost connection knows nothing; whoever was told of a
	// time-out may rely on it.
	if late := now - then; late != 0 && slices.Contains([]string{"404103", "504101", "200"}, v.word()) {
		c.Errorf("the door moved %d times after the operator was told %s", late, v.word())
	}
	if moved != "?" && fmt.Sprint(now) != moved {
		c.Errorf("the door moved %d times, want %s", now, moved)
	}
	c.repeat(payload, now)
	c.checkWire()
	c.Await("the twin tells of the door", func() bool {
		door := c.Reported(c.id, "door")
		return site.At(door, "state") == "unlocked" && site.At(door, "mode") == "heldUnlocked"
	})
}

// repeat sends the same command again: it is done now if it was not, and
// recognised if it was.
func (c *cell) repeat(payload string, moved int) {
	c.Helper()
	status, answer := c.Invoke(c.id, "unlockDoor", payload)
	wasDone := answer["replayed"] == true
	if status != "200" || wasDone != (moved == 1) || site.At(answer, "door", "state") != "unlocked" {
		c.Errorf("the door had moved %d times; the repeat was answered %s %v", moved, status, answer)
	}
	if n := c.moves(); n != 1 {
		c.Errorf("after the repeat the door has moved %d times, want 1", n)
	}
}

// allowed tells whether a verdict is one of those that are right.
func allowed(verdicts, word string) bool {
	if verdicts == "503" {
		return slices.Contains([]string{"503001", "503102", "none"}, word)
	}
	return slices.Contains(strings.Split(verdicts, ","), word)
}

// field is one field of a table.
type field struct {
	point  string
	damage damage
	want   string
}

func (f field) name() string { return f.point + "/" + f.damage.name }

// fields reads a table.
func fields(t *testing.T, table string) (all []field) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(table), "\n")
	head := strings.Fields(lines[0])
	for _, line := range lines[1:] {
		row := strings.Fields(line)
		if len(row) != len(head) {
			t.Fatalf("the row %s has %d fields, want %d", row[0], len(row), len(head))
		}
		for i := 1; i < len(row); i++ {
			d, ok := damageNamed(head[i])
			if !ok {
				t.Fatalf("there is no damage called %s", head[i])
			}
			all = append(all, field{row[0], d, row[i]})
		}
	}
	return all
}
