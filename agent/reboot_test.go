package agent

import (
	"context"
	"testing"
	"time"

	"latchd/iothub"
)

// The machine does not go down before the hub has the answer, and not never
// because the hub is silent.
func TestARebootWaitsForItsAnswer(t *testing.T) {
	for name, acknowledged := range map[string]bool{"acknowledged": true, "never acknowledged": false} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				answers := make(chan iothub.MethodResponse, 1)
				r.Serve(context.Background(), iothub.MethodRequest{Name: "rebootDevice", Payload: []byte(`{"delay":0}`)},
					func(m iothub.MethodResponse) { answers <- m })
				sent := (<-answers).Sent
				r.pass(2 * time.Second)
				if r.machine.times() != 0 {
					r.Fatal("the machine was asked to reboot before the hub had the answer")
				}
				if acknowledged {
					sent(nil)
				} else {
					time.Sleep(2 * time.Second)
				}
				r.pass(0)
				if n := r.machine.times(); n != 1 {
					r.Errorf("the machine was asked %d times, want once", n)
				}
			})
		})
	}
}
