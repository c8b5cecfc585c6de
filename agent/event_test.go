package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"latchd/agent/ledger"
)

// told lists the events that the hub was sent since the last call.
func (r *rig) told() []string {
	r.pass(3 * time.Second) // they are gathered and paced
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	var all []string
	for _, m := range r.hub.events {
		all = append(all, string(m.Body))
	}
	r.hub.events = nil
	return all
}

func (r *rig) wantTold(parts ...string) {
	r.Helper()
	got := r.told()
	ok := len(got) == len(parts)
	for i := 0; ok && i < len(parts); i++ {
		ok = strings.Contains(got[i], parts[i])
	}
	if !ok {
		r.Errorf("told\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(parts, "\n"))
	}
}

func TestRefusedCommandsAreTold(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.door.unlock = func() error { return &LockdownError{} }
		r.want(423, "unlockDoor", `{"commandId":"visit"}`)
		r.want(400, "lockDoor", `{"lockTime":"soon","commandId":"c"}`)
		r.want(400, "unlockDoor", `{"commandId":"no good"}`)
		r.want(404, "openSesame", `{}`)
		r.want(404, "cancelOperation", `{"operationId":"x"}`)
		r.want(200, "lockDoor", `{}`)
		r.wantTold(
			`"commandId":"visit","event":"commandRefused","method":"unlockDoor","response":"the door is in lockdown","seq":1,"status":423`,
			`"commandId":"c","event":"commandRefused","method":"lockDoor"`,
			`{"event":"commandRefused","method":"unlockDoor"`,
		)
	})
}

func TestRefusalsHaveABudget(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 50 {
			r.want(400, "lockDoor", `{"lockTime":-1}`)
		}
		if n := len(r.told()); n != budgetBurst {
			t.Errorf("%d events for 50 refusals", n)
		}
		r.pass(time.Hour)
		r.want(400, "lockDoor", `{"lockTime":-1}`)
		r.wantTold(fmt.Sprintf(`"suppressed":%d`, 50-budgetBurst))
	})
}

func TestReplaysAndWorkThatGoesOnAreNoRefusals(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.door.lock = func() error { return fmt.Errorf("no current") }
		r.want(503, "lockDoor", `{"commandId":"c"}`)
		r.want(503, "lockDoor", `{"commandId":"c"}`) // the stored answer
		r.door.unlock = func() error { time.Sleep(5 * time.Second); return nil }
		r.want(503, "unlockDoor", `{}`) // is still being carried out
		r.wantTold(`no current`)
	})
}

func TestWhatHappensByACommandNamesIt(t *testing.T) {
	inBubble(t, func(r *rig) {
		happen := func(name, cause string) {
			r.DoorHappened([]DoorEvent{{Name: name, Cause: cause, At: r.machine.Uptime(), Time: time.Now()}}, 0)
		}
		r.door.unlock = func() error { time.Sleep(time.Millisecond); happen("doorUnlocked", "command"); return nil }
		r.want(200, "unlockDoor", `{"commandId":"visit"}`)
		r.pass(time.Second)
		happen("doorLocked", "time")
		happen("doorUnlocked", "command") // somebody at the device, not the hub
		r.wantTold(`"cause":"command","commandId":"visit","event":"doorUnlocked"`, `{"cause":"time","event":"doorLocked"`, `{"cause":"command","event":"doorUnlocked"`)
	})
}

func TestMissedEventsAreMarked(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.DoorHappened([]DoorEvent{{Name: "doorLocked"}}, 3)
		r.wantTold(`"event":"doorLocked","seq":4`, `"count":3,"event":"eventsLost","from":1,"seq":5`)
	})
}

func TestRebootIsToldOnce(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.want(200, "rebootDevice", `{"delay":0,"commandId":"r"}`)
		r.pass(10 * time.Second)
		r.machine.stop(true)
		r.stop()
		r.machine.stop(false)
		r.boot = Boot{ID: "boot-2"}
		r.machine.booted = time.Now()
		booted := formatTime(time.Now())
		for range 3 {
			r.start()
			r.pass(5 * time.Second)
			r.stop()
		}
		r.start()
		r.hub.mu.Lock()
		for _, m := range r.hub.events {
			if !strings.Contains(string(m.Body), `"time":"`+booted) {
				t.Errorf("the machine booted at %s: %s", booted, m.Body)
			}
		}
		r.hub.mu.Unlock()
		r.wantTold(`"bootId":"boot-2","cause":"rebootDevice","commandId":"r","event":"rebootCompleted","operationId":"op-`)
	})
}

func TestFailedRebootIsTold(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.want(200, "rebootDevice", `{"delay":0,"commandId":"r"}`)
		r.pass(5 * time.Minute)
		r.wantTold(`"commandId":"r","error":"the machine was asked to reboot and was still up 2m0s later","event":"rebootFailed"`)
		if !slices.ContainsFunc(r.ops.Receipts, func(s ledger.StoredReceipt) bool { return s.State == stateFailed }) {
			t.Error("no receipt")
		}
	})
}

func TestFaultsOfTheDoorAreTold(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 50 { // a wire that comes and goes
			r.tellFault("the line is gone")
			r.tellFault("the line is gone, still")
			r.tellFault("")
		}
		if n := len(r.told()); n != budgetBurst {
			t.Errorf("%d events", n)
		}
	})
}
