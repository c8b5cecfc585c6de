package late

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"latchd/test/site"
)

// What the operator is told of a reboot, and how often the machine reboots
// before the command is repeated. A reboot is the one command that waits until
// the hub has acknowledged its answer, and it must not wait for ever. Where the
// answer is lost, the device goes down some 3 s after the call and may be back, on a
// new connection, before the operator's 5 s are over.
const rebootTable = `
point            FIN       RST       hub-cut   device-cut  lost-to-device  lost-to-hub       lost-both         hub-frozen  hub-frozen-long  hub-stopped  hub-killed  agent-frozen  agent-killed
received         503102/?  503102/?  503102/1  503102/?    200/1           503102,504101/1   503102,504101/1   200/1       200,504101/1     503/?        none/?      504101/0      503102/0
answering        503102/1  503102/1  503102/1  503102/1    200/1           503102,504101/1   503102,504101/1   200/1       200,504101/1     503/1        none/1      200/1         200,503102/1
unacknowledged   200/1     200/1     200/1     200/1       200/1           200/1             200/1             200/1       200/1            200/1        200/1       200/1         200/1
`

var rebootPoints = append(slices.Clone(methodPoints), point{
	"unacknowledged", func(c *cell, payload string) <-chan verdict {
		done := told(c.await(c.hold(isPuback, payload)))
		c.hit()
		return done
	},
})

// everyRebootRun is everyRun for reboots.
var everyRebootRun = []string{"received/RST", "answering/lost-both", "unacknowledged/hub-killed", "unacknowledged/agent-killed"}

// TestReboot reboots a device and fails at one point of the command's life.
func TestReboot(t *testing.T) {
	t.Parallel()
	shared := site.New(t)
	t.Run("cells", func(t *testing.T) {
		for _, f := range fields(t, rebootTable) {
			if !site.IsSoak() && !slices.Contains(everyRebootRun, f.name()) {
				continue
			}
			t.Run(f.name(), func(t *testing.T) {
				t.Parallel()
				c := newCell(t, shared, f.damage, f.point+"-"+f.damage.name)
				c.command = "rebootDevice"
				i := slices.IndexFunc(rebootPoints, func(p point) bool { return p.name == f.point })
				testReboot(c, rebootPoints[i], f.want)
			})
		}
	})
}

func testReboot(c *cell, p point, want string) {
	verdicts, reboots, _ := strings.Cut(want, "/")
	payload := fmt.Sprintf(`{"delay":0,"commandId":%q}`, c.id)
	first := c.bootID()
	done := p.run(c, payload)
	if c.first {
		c.mend()
	}
	v := c.await(done)
	if word := v.word(); !allowed(verdicts, word) {
		c.Errorf("the operator was told %s (%v %v) after %s, want %s", word, v.answer, v.err, v.after, verdicts)
	}
	if !c.first {
		c.mend()
	}
	switch reboots {
	case "0":
		c.awaitBack()
		if now := c.bootID(); now != first {
			c.Errorf("the machine rebooted: boot %v, then %v", first, now)
		}
	case "1":
		c.awaitReceipt(first)
	}
	// Whatever became of the first, the repeat has the machine rebooted once.
	c.Await("the repeat is answered", func() bool {
		word := c.call(c.command, payload).word()
		return word == "200"
	})
	c.awaitReceipt(first)
	c.awaitBack()
	if now := c.Reported(c.id, "agent", "bootId"); now != site.At(c.Reported(c.id, "lastReboot"), "bootId") {
		c.Errorf("the machine rebooted again: boot %v, %v", now, c.Reported(c.id, "lastReboot"))
	}
	c.checkWire()
}

func (c *cell) bootID() any { return c.Reported(c.id, "agent", "bootId") }

// awaitReceipt waits until the twin tells of the reboot that ended the boot
// called first.
func (c *cell) awaitReceipt(first any) {
	c.Helper()
	c.Await("the receipt", func() bool {
		r := c.Reported(c.id, "lastReboot")
		return site.At(r, "commandId") == c.id && site.At(r, "state") == "completed" && site.At(r, "previousBootId") == first
	})
}
