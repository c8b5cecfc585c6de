package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

// What the contract promises when two things happen at once, when a part
// hangs, and when the disk fails halfway.
func TestContractUnderStress(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"a machine that does not say whether it may reboot: answered in time, and nothing happens later", func(r *rig) {
			r.machine.hang(10 * time.Second)
			a := r.want(503, "rebootDevice", `{"commandId":"c1"}`, "state", "-")
			if !strings.Contains(fmt.Sprint(a.body["Response"]), "was not carried out") {
				r.Errorf("got %s", a)
			}
			r.pass(time.Minute)
			r.reported("lastReboot", "-")
			if r.machine.asked.Load() != 0 {
				r.Error("rebooted after the caller was told that it was not carried out")
			}
			r.machine.hang(0)
			r.want(200, "rebootDevice", `{"commandId":"c1"}`, "replayed", "-")
		}},
		{"a machine that hangs holds up neither the start nor the door", func(r *rig) {
			r.machine.hang(time.Minute)
			r.crash()
			r.want(200, "unlockDoor", `{}`)
			r.want(200, "lockDoor", `{}`)
			r.want(200, "getStatus", `{}`)
			r.machine.hang(0)
			r.pass(2 * time.Minute) // for what hung
		}},
		{"a promotion counts while the operation is being looked at", func(r *rig) {
			r.want(202, "rebootDevice", `{"delay":"20s"}`)
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.machine.hang(time.Second)
			r.pass(20500 * time.Millisecond) // the machine is being asked
			r.machine.hang(0)
			r.want(202, "rebootDevice", `{"force":true,"delay":0}`, "joined", "true")
			r.pass(10 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("the promotion was lost")
			}
		}},
		{"a cancellation counts while the operation is being looked at, and leaves one receipt", func(r *rig) {
			soon := time.Now().Add(21 * time.Second).UTC().Format(time.RFC3339)
			a := r.want(202, "rebootDevice", `{"delay":"20s","notAfter":"`+soon+`"}`)
			r.machine.hang(time.Second)
			r.pass(20500 * time.Millisecond)
			r.want(200, "cancelOperation", `{"operationId":"`+fmt.Sprint(a.body["operationId"])+`"}`)
			r.pass(time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("a cancelled reboot happened")
			}
			r.reported("lastReboot.state", "cancelled")
			if got := receipts(r); got != "cancelled" {
				r.Errorf("receipts: %s", got)
			}
		}},
		{"a machine that goes down without an answer has not refused", func(r *rig) {
			r.machine.silent = true
			r.want(200, "rebootDevice", `{"commandId":"c1"}`)
			r.pass(10 * time.Second)
			r.boot("boot-2")
			r.reported("lastReboot.state", "completed", "lastReboot.cause", "rebootDevice", "lastReboot.orderly", "true", "lastReboot.error", "-")
			if got := receipts(r); got != "completed" {
				r.Errorf("receipts: %s", got)
			}
		}},
		{"a shutdown that was broken off, and comes after all, is the one that was asked for", func(r *rig) {
			r.machine.deaf = true
			r.want(200, "rebootDevice", `{}`)
			r.pass(5 * time.Second)
			for range 2 {
				r.machine.stopping.Store(true)
				r.stop()
				r.machine.stopping.Store(false)
				r.start()
				r.pass(5 * time.Second)
			}
			r.machine.stopping.Store(true)
			r.stop()
			r.boot("boot-2")
			r.reported("lastReboot.state", "completed", "lastReboot.cause", "rebootDevice", "lastReboot.orderly", "true")
		}},
		{"a reboot that failed on a full disk does not happen after the next start", func(r *rig) {
			r.want(200, "rebootDevice", `{"delay":"8s"}`)
			free := r.fillDisk()
			r.pass(15 * time.Second)
			r.reported("lastReboot.state", "failed")
			free()
			r.pass(10 * time.Second)
			r.crash()
			r.pass(time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("it happened although it was reported as failed")
			}
			if got := receipts(r); got != "failed" {
				r.Errorf("receipts: %s", got)
			}
		}},
		{"a clock step neither hurries nor expires a scheduled reboot in the boot that scheduled it", func(r *rig) {
			for _, step := range []time.Duration{10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour} {
				asked := r.machine.asked.Load()
				r.want(202, "rebootDevice", `{"delay":"5m"}`)
				r.clock.set("synchronized", step)
				r.agent.ClockChanged()
				r.pass(4 * time.Minute)
				if r.machine.asked.Load() != asked {
					r.Error("asked too early")
				}
				r.pass(2 * time.Minute)
				if r.machine.asked.Load() != asked+1 {
					r.Errorf("not asked; receipts: %s", receipts(r))
				}
				r.boot(fmt.Sprint("boot", step))
			}
		}},
		{"a delay that no wall clock knew is never shortened by a boot", func(r *rig) {
			r.clock.set("unset", 0)
			r.want(202, "rebootDevice", `{"delay":"30m"}`, "notBefore", "-")
			r.pass(10 * time.Minute)
			r.pullPlug("boot-2")
			r.clock.set("synchronized", 0)
			r.agent.ClockChanged()
			r.pass(20 * time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("asked too early")
			}
			r.pass(11 * time.Minute)
			if r.machine.asked.Load() != 1 {
				r.Error("not asked in time")
			}
		}},
		{"startedAt is known once the clock is", func(r *rig) {
			r.freeze()
			r.clock.set("unset", -24*time.Hour)
			r.boot("boot-2")
			started := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
			r.reported("agent.startedAt", "-")
			r.pass(time.Minute)
			r.clock.set("synchronized", 0)
			r.agent.ClockChanged()
			r.reported("agent.startedAt", started)
		}},
		{"a dry run says when notAfter has passed", func(r *rig) {
			late := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
			r.want(410, "rebootDevice", `{"dryRun":true,"commandId":"c1","notAfter":"`+late+`"}`)
			soon := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
			r.want(200, "rebootDevice", `{"dryRun":true,"commandId":"c1","notAfter":"`+soon+`"}`, "wouldRun", "true")
			r.want(200, "rebootDevice", `{"commandId":"c1"}`, "replayed", "-") // the id is not used up
		}},
		{"notAfter before the era of clocks is a bad payload, not an absent one", func(r *rig) {
			for _, at := range []string{"0001-01-01T00:00:00Z", "0000-01-01T00:00:00+23:59", "9999-12-31T23:59:59-10:00"} {
				r.want(400, "unlockDoor", `{"notAfter":"`+at+`"}`)
			}
			r.reported("door.state", "locked")
		}},
		{"a refused policy does not confirm the one before it", func(r *rig) {
			r.desire(2, `{"doorPolicy":{"resting":"unlocked"}}`)
			r.reported("door.state", "unlocked")
			r.pullPlug("boot-2")
			r.desire(3, `{"doorPolicy":{"resting":"wide open"}}`)
			r.reported("door.state", "locked", "doorPolicy.ac", "400", "doorPolicy.value.resting", "locked")
			r.crash()
			r.reported("door.state", "locked")
		}},
		{"desired properties that a full disk did not take are kept once it can", func(r *rig) {
			free := fillNames(r)
			r.desire(2, `{"doorPolicy":{"unlockTime":"20s"}}`)
			free()
			r.pass(10 * time.Second)
			r.freeze()
			r.machine.boot("boot-2")
			r.startOffline()
			r.want(200, "unlockDoor", `{}`)
			r.pass(15 * time.Second)
			if s := r.lock.Status().State; s != "unlocked" {
				r.Errorf("the door is %s", s)
			}
		}},
		{"what another device left in the state directory is set aside, and proves nothing", func(r *rig) {
			r.freeze()
			r.device = "door-1"
			r.start()
			r.want(200, "unlockDoor", `{"commandId":"c1"}`)
			r.want(202, "rebootDevice", `{"delay":"30m"}`)
			r.freeze()
			r.device = "door-2"
			r.boot("boot-2")
			a := r.want(200, "getStatus", `{}`, "lastReboot", "-", "pendingOperations", "-")
			if fmt.Sprint(a.body["receipts"]) != "[]" {
				r.Errorf("receipts: %v", a.body["receipts"])
			}
			r.want(200, "unlockDoor", `{"commandId":"c1"}`, "replayed", "-")
			for _, name := range []string{"operations.json", "commands.journal"} {
				if _, err := os.Stat(filepath.Join(r.dir, "state", name+".aside-other-device")); err != nil {
					r.Error(err)
				}
			}
		}},
		{"while the agent stops, commands are refused at once and may be sent again", func(r *rig) {
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.stop()
			begin := time.Now()
			for method, payload := range map[string]string{
				"lockDoor": `{"commandId":"c1"}`, "unlockDoor": `{}`, "rebootDevice": `{}`, "cancelOperation": `{"operationId":"op-1"}`,
			} {
				r.want(503, method, payload)
			}
			r.want(200, "getStatus", `{}`)
			if d := time.Since(begin); d > 0 {
				r.Errorf("answered after %s", d)
			}
			r.start()
			r.want(200, "lockDoor", `{"commandId":"c1"}`, "replayed", "-")
		}},
		{"many identical commands at once move the door once", func(r *rig) {
			moved := r.edges()
			var answers []<-chan reply
			for range 16 {
				answers = append(answers, r.send("unlockDoor", `{"commandId":"c1","hold":true}`))
			}
			var fresh int
			for _, c := range answers {
				a := <-c
				if a.status != 200 {
					r.Errorf("got %s", a)
				}
				if a.body["replayed"] != true {
					fresh++
				}
			}
			if fresh != 1 || r.edges() != moved+1 {
				r.Errorf("%d were carried out, the door moved %d times", fresh, r.edges()-moved)
			}
		}},
		{"many identical reboots at once are one", func(r *rig) {
			r.machine.hang(time.Second) // so that they overlap
			var answers []<-chan reply
			for range 16 {
				answers = append(answers, r.send("rebootDevice", `{"commandId":"c1"}`))
			}
			fresh := 0
			for _, c := range answers {
				a := <-c
				if a.status != 200 {
					r.Errorf("got %s", a)
				}
				if a.body["replayed"] != true {
					fresh++
				}
			}
			r.pass(time.Minute)
			if fresh != 1 || r.machine.asked.Load() != 1 {
				r.Errorf("%d were carried out, the machine was asked %d times", fresh, r.machine.asked.Load())
			}
		}},
		{"a call whose caller is gone before its turn moves nothing", func(r *rig) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			answers := make(chan int, 2)
			r.agent.Serve(ctx, iothub.MethodRequest{Name: "unlockDoor"}, func(m iothub.MethodResponse) { answers <- m.Status })
			r.settle()
			if got := <-answers; len(answers) > 0 || (got == 200) != (r.lock.Status().State == "unlocked") {
				r.Errorf("answered %d, and the door is %s", got, r.lock.Status().State)
			}
		}},
	})
}

// receipts are the states of all receipts, oldest first.
func receipts(r *rig) string {
	r.Helper()
	var states []string
	list, _ := r.want(200, "getStatus", `{}`).body["receipts"].([]any)
	for _, one := range list {
		v, _ := lookup(one.(map[string]any), "state")
		states = append(states, fmt.Sprint(v))
	}
	return strings.Join(states, " ")
}

// fillNames lets what is in the state directory be appended to, and nothing be
// replaced: a directory stands where the next file should go. It works for
// root too, because a file cannot be renamed over a directory.
func fillNames(r *rig) (free func()) {
	r.Helper()
	file := filepath.Join(r.dir, "state", "desired.json")
	if err := os.MkdirAll(filepath.Join(file, "in-the-way"), 0o700); err != nil {
		r.Fatal(err)
	}
	return func() {
		if err := os.RemoveAll(file); err != nil {
			r.Fatal(err)
		}
	}
}
