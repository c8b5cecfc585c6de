package agent

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchd/agent/ledger"
	"latchd/iothub"
)

func TestAPanicIsTheAnswer500AndTheAgentGoesOn(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.door.unlock = func() error { panic("a bug") }
		r.want(500, "unlockDoor", `{}`)
		r.want(500, "unlockDoor", `{"commandId":"c1"}`)
		// What it moved is not known, so the id is used up.
		a := r.want(500, "unlockDoor", `{"commandId":"c1"}`)
		if a.body["state"] != "interrupted" || a.body["replayed"] != true {
			r.Errorf("the repeat gets %v", a.body)
		}
		r.want(200, "lockDoor", `{}`)
	})
}

func TestALockThatHangs(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.door.unlock = func() error { time.Sleep(10 * time.Second); return nil }
		first := r.send("unlockDoor", `{}`)
		second := r.send("lockDoor", `{"commandId":"c1"}`)
		a, b := <-first, <-second
		r.check(a, 503, "the one that hangs")
		if a.body["state"] != "pending" {
			r.Errorf("the one that hangs gets %v", a.body)
		}
		r.check(b, 503, "the one behind it")
		if b.body["state"] != nil || !strings.Contains(b.body["Response"].(string), "not carried out") {
			r.Errorf("the one behind it gets %v", b.body)
		}
		r.pass(time.Minute)
		if got := r.door.moved(); got != "[unlock]" {
			r.Errorf("moved: %s: what was refused must not move later", got)
		}
		a = r.want(200, "lockDoor", `{"commandId":"c1"}`) // and may be sent again
		if a.body["replayed"] != nil {
			r.Errorf("it gets %v", a.body)
		}
	})
}

func TestADiskThatHangsHoldsUpOperationsOnly(t *testing.T) {
	inBubble(t, func(r *rig) {
		var slow atomic.Int64
		r.stop()
		r.save = func(path string, o ledger.Operations) error {
			time.Sleep(time.Duration(slow.Load()))
			return ledger.SaveOperations(path, o)
		}
		r.start()
		slow.Store(int64(time.Minute))
		reboot := r.send("rebootDevice", `{}`)
		r.pass(100 * time.Millisecond)
		cancel := r.send("cancelOperation", `{"operationId":"op-1"}`)
		r.pass(time.Second)
		if a := r.want(200, "getStatus", ``); a.after > 0 {
			r.Errorf("getStatus took %s", a.after)
		}
		if a := r.want(200, "unlockDoor", `{}`); a.after > 0 {
			r.Errorf("unlockDoor took %s", a.after)
		}
		r.check(<-reboot, 503, "rebootDevice")
		r.check(<-cancel, 503, "cancelOperation")
		begin := time.Now()
		r.stop()
		if d := time.Since(begin); d > 15*time.Second {
			r.Errorf("the stop took %s", d)
		}
		r.pass(2 * time.Minute) // for what hung
		slow.Store(0)
		r.start()
	})
}

func TestALockThatIsNotThereUsesUpNoID(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.door.lock = func() error { return &UnavailableError{errors.New("no such line")} }
		r.want(503, "lockDoor", `{"commandId":"c1"}`)
		r.door.lock = func() error { return errors.New("the bolt is stuck") }
		r.want(503, "lockDoor", `{"commandId":"c1"}`)
		r.door.lock = nil
		if a := r.want(503, "lockDoor", `{"commandId":"c1"}`); a.body["replayed"] != true {
			r.Errorf("a failure after acting was forgotten: %v", a.body)
		}
		r.want(200, "lockDoor", `{"commandId":"c2"}`)
	})
}

func TestLockingActsWhereTheMemoryIsFull(t *testing.T) {
	inBubble(t, func(r *rig) {
		for i := range ledger.MaxCommands {
			s, _, err := r.commands.Begin(context.Background(), ledger.Command{ID: strconv.Itoa(i)}, time.Now(), true)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.End(ledger.Answer{Status: 200, Payload: []byte("{}")})
		}
		r.want(503, "unlockDoor", `{"commandId":"c1"}`)
		if a := r.want(200, "lockDoor", `{"commandId":"c2"}`); a.body["recorded"] != false {
			r.Errorf("got %v", a.body)
		}
		r.pass(8 * 24 * time.Hour)
		r.want(200, "unlockDoor", `{"commandId":"c1"}`)
	})
}

func TestAMarkThatAFullDiskKeepsIsNotBelieved(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.machine.stop(true) // a shutdown, with its mark, that is broken off
		r.stop()
		r.machine.stop(false)
		var full atomic.Bool
		full.Store(true)
		r.save = func(path string, o ledger.Operations) error {
			if full.Load() {
				return errDisk
			}
			return ledger.SaveOperations(path, o)
		}
		r.start()
		r.pass(time.Minute)
		full.Store(false)
		r.pass(2 * recheck)
		o, err := ledger.LoadOperations(r.operationsFile(), r.log)
		if err != nil || o.Mark != nil {
			r.Errorf("the mark is still there: %+v, error %v", o.Mark, err)
		}
	})
}

func TestAFileThatCannotBeReadIsNotOverwritten(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.stop()
		files := []string{r.operationsFile(), r.desiredFile()}
		for _, file := range files {
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(file, 0o700); err != nil { // reads as an error, for root too
				t.Fatal(err)
			}
		}
		r.save = func(string, ledger.Operations) error {
			r.Error("it was written")
			return nil
		}
		r.start()
		r.Desired(iothub.Section{Version: 1}) // until then there may be a policy, which is lost
		r.want(503, "rebootDevice", `{}`)
		r.want(503, "rebootDevice", `{"delay":"5m"}`)
		r.want(200, "unlockDoor", `{}`)
		r.Desired(iothub.Section{Version: 2, Properties: map[string]any{"building": json.Number("43")}})
		if got := r.twin("building"); got["ac"] != json.Number("200") {
			r.Errorf("building is %v", got)
		}
		r.pass(time.Minute)
		for _, file := range files {
			if info, err := os.Stat(file); err != nil || !info.IsDir() {
				r.Errorf("%s was replaced", file)
			}
		}
	})
}

// What there is nothing to say about is absent from getStatus, not null.
func TestStatusHoldsNoNull(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.Desired(iothub.Section{Version: 1, Properties: map[string]any{"building": json.Number("4")}})
		r.Desired(iothub.Section{Version: 2, Properties: map[string]any{}}) // its acknowledgement is taken back
		synctest.Wait()
		status := r.want(200, "getStatus", ``).body
		for key, value := range status {
			if value == nil {
				r.Errorf("%s is null", key)
			}
		}
		if status["door"] == nil || status["agent"] == nil || status["Response"] != "getStatus called successfully" {
			r.Errorf("the status is %v", status)
		}
	})
}
