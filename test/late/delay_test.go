package late

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/test/site"
)

// TestDelay puts a box between hub and device that acknowledges what it gets
// and hands it on later, as gateways do that end TCP. The hub cannot take a
// command back from it, and the device cannot see how old it is: notAfter says
// so.
func TestDelay(t *testing.T) {
	t.Parallel()
	c := newCell(t, site.New(t), damage{name: "delay"}, "door")
	until := time.Now().Add(responseTimeout).UTC().Format("2006-01-02T15:04:05.000Z")
	payload := fmt.Sprintf(`{"hold":true,"commandId":"late","notAfter":%q}`, until)
	v := c.await(c.hold(c.isCommand, payload))
	if v.word() != "504101" {
		t.Errorf("the operator was told %s (%v %v), want 504101", v.word(), v.answer, v.err)
	}
	answer := c.proxy.stopAt(isAnswer)
	c.held.handOn()
	h := answer.wait(t)
	if h.topic.Status != 410 {
		t.Errorf("the device answered %d %s, want 410", h.topic.Status, h.payload)
	}
	h.handOn() // to nobody: the hub has forgotten the call
	c.awaitBack()
	if n := c.moves(); n != 0 {
		t.Errorf("the door moved %d times", n)
	}
	c.checkWire()
}

// TestImpatientOperator hangs up on a hub that stands still. When the hub goes
// on it finds the command, and the operator gone.
func TestImpatientOperator(t *testing.T) {
	t.Parallel()
	c := newCell(t, nil, damage{name: "impatience", ofHub: true}, "door")
	c.call("getStatus", `{}`) // the operator's connection is there already
	c.Freeze(c.Hub)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	status, answer, err := c.TryRequest(ctx, "POST", "/twins/door/methods",
		`{"methodName":"unlockDoor","payload":{"hold":true},"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":30}`)
	if err == nil {
		t.Fatalf("a frozen hub answered %d %v", status, answer)
	}
	time.Sleep(2 * time.Second) // so that the hub takes notice of its standing still
	c.Thaw(c.Hub)
	c.awaitBack()
	if n := c.moves(); n != 0 {
		t.Errorf("the door moved %d times for an operator who was gone", n)
	}
}

// TestSilence takes the network away without a word and for good; the device
// notices by itself and takes another way. It runs with the whole tables, since
// it takes as long as the keep-alive does.
func TestSilence(t *testing.T) {
	t.Parallel()
	if !site.IsSoak() {
		t.Skip("it takes 80 s; set LATCHD_SOAK=2")
	}
	c := newCell(t, site.New(t), damage{name: "silence", isLoss: true}, "door")
	first := c.proxy.latest()
	c.must(first.hub.lose())
	c.must(first.device.lose())
	began := time.Now()
	for c.proxy.latest() == first {
		if time.Since(began) > 100*time.Second { // a minute, 20 s for the pong, and a ping's own delay
			t.Fatal("the device did not notice")
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Logf("noticed after %v", time.Since(began).Round(time.Second))
	c.awaitBack()
	if log := c.Read("door.log"); !strings.Contains(log, "pingresp") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}
