package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestContractLock(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"momentary: an unlock that ends by itself", func(r *rig) {
			r.want(200, "unlockDoor", `{}`, "Response", "unlockDoor called successfully", "door.mode", "momentary", "door.state", "unlocked", "door.assumed", "true")
			r.pass(4900 * time.Millisecond)
			r.reported("door.state", "unlocked")
			r.pass(200 * time.Millisecond)
			r.reported("door.state", "locked", "door.mode", "resting", "door.until", "-")
		}},
		{"heldUnlocked: until a lockDoor", func(r *rig) {
			r.want(200, "unlockDoor", `{"hold":true}`, "door.mode", "heldUnlocked")
			r.pass(10 * time.Minute)
			r.reported("door.state", "unlocked")
			r.want(200, "lockDoor", `{}`, "Response", "lockDoor called successfully", "door.state", "locked")
		}},
		{"heldLocked: until an unlockDoor, and then the door rests", func(r *rig) {
			r.desire(2, `{"doorPolicy":{"resting":"unlocked"}}`)
			r.reported("door.state", "unlocked", "door.mode", "resting")
			r.want(200, "lockDoor", `{}`, "door.mode", "heldLocked", "door.state", "locked")
			r.pass(2 * time.Minute)
			r.reported("door.state", "locked")
			r.want(200, "unlockDoor", `{}`)
			r.pass(time.Minute)
			r.reported("door.mode", "resting", "door.state", "unlocked")
		}},
		{"lockdown: unlockDoor is 423 until it ends, then the door rests", func(r *rig) {
			end := time.Now().Add(10 * time.Minute).UTC().Format("2006-01-02T15:04:05.000Z")
			r.want(200, "lockDoor", `{"lockTime":"10m"}`, "door.mode", "lockdown", "door.until", end)
			r.want(423, "unlockDoor", `{}`, "until", end, "door.mode", "lockdown")
			r.want(423, "unlockDoor", `{"hold":true}`)
			r.pass(10*time.Minute + time.Second)
			r.reported("door.mode", "resting")
			r.want(200, "unlockDoor", `{}`)
		}},
		{"a second unlock extends from now", func(r *rig) {
			r.want(200, "unlockDoor", `{"unlockTime":"10s"}`)
			r.pass(8 * time.Second)
			r.want(200, "unlockDoor", `{"unlockTime":"10s"}`)
			r.pass(8 * time.Second)
			r.reported("door.state", "unlocked")
			r.pass(3 * time.Second)
			r.reported("door.state", "locked")
		}},
		{"lockTime is 1 s to 24 h", func(r *rig) {
			for _, d := range []string{`1`, `"24h"`, `"P1D"`} {
				r.want(200, "lockDoor", `{"lockTime":`+d+`}`, "door.mode", "lockdown")
			}
			for _, d := range []string{`0.999`, `"24h1s"`, `1e300`, `-1`} {
				r.want(400, "lockDoor", `{"lockTime":`+d+`}`)
			}
		}},
		{"unlockDoor during heldUnlocked changes nothing", func(r *rig) {
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.want(200, "unlockDoor", `{"unlockTime":"5s"}`, "door.mode", "heldUnlocked")
			r.pass(time.Minute)
			r.reported("door.state", "unlocked", "door.mode", "heldUnlocked")
		}},
		{"with a sensor of the bolt the report says what is sensed, and jammed clears by itself", func(r *rig) {
			r.input("bolt", "thrown")
			r.reported("door.state", "locked", "door.assumed", "-")
			r.want(200, "unlockDoor", `{"hold":true}`, "door.state", "unlocking")
			r.pass(time.Minute)
			r.reported("door.state", "jammed", "door.mode", "heldUnlocked", "door.assumed", "-")
			r.input("bolt", "withdrawn")
			r.reported("door.state", "unlocked", "door.assumed", "-")
		}},
		{"hardware that fails is 503 with what failed, and a repeat does not try again", func(r *rig) {
			mend := r.breakLine()
			a := r.want(503, "unlockDoor", `{"hold":true,"commandId":"c1"}`, "door.state", "*")
			if text := fmt.Sprint(a.body["Response"]); !strings.Contains(text, "drive the lock's line high to unlock") {
				r.Errorf("it does not say what failed: %s", text)
			}
			mend()
			r.pass(time.Minute)
			moved := r.edges()
			r.want(503, "unlockDoor", `{"hold":true,"commandId":"c1"}`, "replayed", "true")
			r.reported("door.state", "locked")
			if r.edges() != moved {
				r.Error("the repeat moved the door")
			}
		}},
		{"lockDoor ends any unlock at once", func(r *rig) {
			for _, unlock := range []string{`{}`, `{"hold":true}`, `{"unlockTime":"1m"}`} {
				r.want(200, "unlockDoor", unlock)
				r.want(200, "lockDoor", `{}`, "door.state", "locked")
			}
		}},
		{"lockTime 0 ends a lockdown and leaves heldLocked", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.want(200, "lockDoor", `{"lockTime":0}`, "door.mode", "heldLocked", "door.state", "locked")
			r.want(200, "unlockDoor", `{}`)
		}},
		{"lockDoor without lockTime during a lockdown changes nothing", func(r *rig) {
			a := r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.pass(time.Minute)
			b := r.want(200, "lockDoor", `{}`, "door.mode", "lockdown")
			if fmt.Sprint(a.body["door"]) != fmt.Sprint(b.body["door"]) {
				r.Errorf("the door was %v, then %v", a.body["door"], b.body["door"])
			}
		}},
		{"lock commands run in order of arrival", func(r *rig) {
			for i := range 50 {
				hold := r.send("unlockDoor", `{"hold":true}`)
				lock := r.send("lockDoor", `{}`)
				<-hold
				<-lock
				r.settle()
				if s := r.lock.Status().State; s != "locked" {
					r.Fatalf("round %d: the door is %s", i, s)
				}
			}
		}},
		{"the button opens in every mode, lockdown included", func(r *rig) {
			for _, mode := range []string{"", `{}`, `{"lockTime":"10m"}`} {
				if mode != "" {
					r.want(200, "lockDoor", mode)
				}
				r.input("button", "pressed")
				r.reported("door.state", "unlocked")
				r.input("button", "released")
				r.pass(6 * time.Second)
				r.reported("door.state", "locked")
			}
			r.reported("door.mode", "lockdown")
			r.want(423, "unlockDoor", `{}`)
		}},
		{"the button needs no hub, and no disk", func(r *rig) {
			r.hub.disconnect()
			free := r.fillDisk()
			r.input("button", "pressed")
			if s := r.lock.Status().State; s != "unlocked" {
				r.Errorf("the door is %s", s)
			}
			free()
		}},
		{"a button held longer than 30 s is an alarm", func(r *rig) {
			r.input("button", "pressed")
			r.pass(31 * time.Second)
			r.reported("door.alarm", "buttonStuck", "door.state", "locked")
			r.input("button", "released")
			r.reported("door.alarm", "-")
		}},
		{"a door that opens without an unlock is forced open", func(r *rig) {
			r.input("contact", "closed")
			r.reported("door.contact", "closed")
			r.input("contact", "open")
			r.reported("door.contact", "open", "door.alarm", "forcedOpen")
			r.input("contact", "closed")
			r.reported("door.alarm", "-")
		}},
		{"a door that stays open is held open", func(r *rig) {
			r.input("contact", "closed")
			r.want(200, "unlockDoor", `{}`)
			r.input("contact", "open")
			r.pass(time.Minute)
			r.reported("door.alarm", "heldOpen")
		}},
		{"no edge without a command: a crash leaves the line alone, and timers go on", func(r *rig) {
			r.want(200, "unlockDoor", `{"unlockTime":"30s"}`)
			moved := r.edges()
			r.pass(10 * time.Second)
			r.crash()
			r.reported("door.state", "unlocked", "door.mode", "momentary")
			if r.edges() != moved {
				r.Error("the crash moved the line")
			}
			r.pass(21 * time.Second)
			r.reported("door.state", "locked")
		}},
		{"an unlock that ended while the agent was dead ends at its start", func(r *rig) {
			r.want(200, "unlockDoor", `{"unlockTime":"10s"}`)
			r.freeze()
			time.Sleep(time.Minute)
			r.start()
			r.reported("door.state", "locked", "door.mode", "resting")
		}},
		{"an ordered stop ends any unlock and locks", func(r *rig) {
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.stop()
			if r.edges()%2 != 0 {
				r.Error("the line is not back at its locked level")
			}
			r.start()
			r.reported("door.state", "locked", "door.mode", "resting")
		}},
		{"after a boot: momentary and heldUnlocked have ended, heldLocked goes on", func(r *rig) {
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.pullPlug("boot-2")
			r.reported("door.mode", "resting", "door.state", "locked")
			r.want(200, "unlockDoor", `{"unlockTime":"1m"}`)
			r.pullPlug("boot-3")
			r.reported("door.mode", "resting", "door.state", "locked")
			r.want(200, "lockDoor", `{}`)
			r.pullPlug("boot-4")
			r.reported("door.mode", "heldLocked")
		}},
		{"after a boot a lockdown goes on to its wall-clock end", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.pass(4 * time.Minute)
			r.pullPlug("boot-2")
			r.pass(5 * time.Minute)
			r.reported("door.mode", "lockdown")
			r.pass(61 * time.Second)
			r.reported("door.mode", "resting")
		}},
		{"after a boot with a clock that is not trusted a lockdown is never shorter", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.pass(4 * time.Minute)
			r.freeze()
			r.clock.set("unset", 10*365*24*time.Hour)
			r.boot("boot-2")
			r.pass(9 * time.Minute)
			r.reported("door.mode", "lockdown")
			r.want(423, "unlockDoor", `{}`)
			r.pass(62 * time.Second)
			r.reported("door.mode", "resting")
		}},
	})
}

func TestContractDesired(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"each known property is acknowledged", func(r *rig) {
			r.desire(7, `{"building":43,"floor":3,"doorPolicy":{"resting":"locked","unlockTime":"PT7S","heldOpenAfter":45}}`)
			r.reported("building.value", "43", "building.ac", "200", "building.av", "7", "building.ad", "-", "floor.value", "3",
				"doorPolicy.ac", "200", "doorPolicy.av", "7", "doorPolicy.value.resting", "locked",
				"doorPolicy.value.unlockTime", "7", "doorPolicy.value.heldOpenAfter", "45")
			r.want(200, "unlockDoor", `{}`)
			r.pass(6 * time.Second)
			r.reported("door.state", "unlocked")
		}},
		{"a refused value is 400 with path and reason, and what stays in force", func(r *rig) {
			r.desire(2, `{"doorPolicy":{"unlockTime":"9s"},"building":1}`)
			r.desire(3, `{"doorPolicy":{"unlockTime":"10m"},"building":"secret-building"}`)
			r.reported("doorPolicy.ac", "400", "doorPolicy.av", "3", "doorPolicy.ad", "*", "doorPolicy.value.unlockTime", "9",
				"building.ac", "400", "building.value", "1")
			for _, bad := range []string{
				`{"resting":"open"}`, `{"resting":1}`, `{"unlockTime":0}`, `{"unlockTime":"x"}`, `{"heldOpenAfter":"48h"}`,
				`{"restng":"unlocked"}`, `[]`, `"locked"`, `5`,
			} {
				r.desire(4, `{"doorPolicy":`+bad+`}`)
				r.reported("doorPolicy.ac", "400", "doorPolicy.value.unlockTime", "9", "door.state", "locked")
			}
		}},
		{"a whole number may come as text, as the public Node sample writes it", func(r *rig) {
			r.desire(2, `{"building":"43","floor":3.0}`)
			r.reported("building.value", "43", "building.ac", "200", "floor.value", "3")
			for _, bad := range []string{`"forty"`, `"4.5"`, `"0x10"`, `"NaN"`, `""`, `"3000000000"`, `true`, `[43]`} {
				r.desire(3, `{"building":`+bad+`}`)
				r.reported("building.value", "43", "building.ac", "400")
			}
		}},
		{"a value refused from the start leaves {}", func(r *rig) {
			r.desire(2, `{"building":4.5,"floor":99999999999}`)
			r.reported("building.value", "map[]", "building.ac", "400", "floor.ac", "400")
		}},
		{"a property that is taken back is no longer acknowledged, and the local setting counts", func(r *rig) {
			r.desire(2, `{"doorPolicy":{"resting":"unlocked"}}`)
			r.reported("door.state", "unlocked")
			r.desire(3, `{}`)
			r.reported("door.state", "locked", "doorPolicy", "-", "building", "-")
		}},
		{"an unknown property is left alone and logged once per version", func(r *rig) {
			r.desire(2, `{"colour":"red"}`)
			r.desire(2, `{"colour":"red"}`)
			r.reported("colour", "-")
			if n := r.count("unknown desired property"); n != 1 {
				r.Errorf("logged %d times", n)
			}
		}},
		{"the last accepted properties hold after a boot without a network", func(r *rig) {
			r.desire(2, `{"doorPolicy":{"unlockTime":"20s"}}`)
			r.freeze()
			r.machine.boot("boot-2")
			r.startOffline()
			r.want(200, "unlockDoor", `{}`)
			r.pass(19 * time.Second)
			if s := r.lock.Status().State; s != "unlocked" {
				r.Errorf("the door is %s", s)
			}
		}},
		{"resting unlocked from the hub applies only once the hub confirmed it in this boot", func(r *rig) {
			r.desire(2, `{"doorPolicy":{"resting":"unlocked"}}`)
			r.reported("door.state", "unlocked")
			r.crash() // the same boot: confirmed
			r.reported("door.state", "unlocked")
			r.pullPlug("boot-2")
			r.reported("door.state", "locked")
			r.desire(2, `{"doorPolicy":{"resting":"unlocked"}}`)
			r.reported("door.state", "unlocked")
		}},
	})
	unlocked := plainDoor
	unlocked.Resting = "unlocked"
	checkSentences(t, unlocked, []sentence{
		{"resting unlocked from the local file applies at once", func(r *rig) {
			r.reported("door.state", "unlocked", "door.mode", "resting")
			r.pullPlug("boot-2")
			r.reported("door.state", "unlocked")
			r.want(200, "rebootDevice", `{"dryRun":true}`, "wouldRun", "true")
		}},
	})
}

func TestContractStatus(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"getStatus answers with the whole live status and the last 8 receipts", func(r *rig) {
			for i := range 10 {
				r.pullPlug(fmt.Sprintf("boot-%d", i+2))
			}
			r.desire(2, `{"building":43}`)
			a := r.want(200, "getStatus", `{}`, "door.state", "locked", "rebootTime", "*", "agent.version", "1.2.0",
				"agent.bootId", "boot-11", "building.value", "43", "clock.state", "synchronized", "lastReboot.bootId", "boot-11",
				"pendingOperations", "-", "uptimeSeconds", "*", "time", "*")
			if n := len(a.body["receipts"].([]any)); n != 8 {
				r.Errorf("it shows %d receipts", n)
			}
		}},
		{"agent and device information are reported", func(r *rig) {
			r.reported("agent.version", "1.2.0", "agent.bootId", "boot-1", "agent.simulated", "false", "agent.canReboot", "true", "clock.state", "synchronized")
		}},
		{"canReboot follows what forbids it, without a command", func(r *rig) {
			r.machine.forbid(errors.New("apt upgrades this very package"))
			r.pass(2 * time.Hour)
			r.reported("agent.canReboot", "false")
			r.machine.forbid(nil)
			r.pass(2 * time.Minute)
			r.reported("agent.canReboot", "true")
		}},
		{"a time that cannot be trusted is absent", func(r *rig) {
			r.freeze()
			r.clock.set("unset", 0)
			r.hub.held = map[string]any{}
			r.boot("boot-2")
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.reported("rebootTime", "-", "agent.startedAt", "-", "clock.since", "-", "door.since", "-", "door.until", "-", "lastReboot.bootedAt", "-")
		}},
	})
	checkSentences(t, doorConfig{}, []sentence{
		{"a device without a lock says so", func(r *rig) {
			r.want(503, "lockDoor", `{}`)
			r.want(503, "unlockDoor", `{"commandId":"c1"}`)
			r.reported("door", "-")
			r.want(200, "rebootDevice", `{"dryRun":true}`, "wouldRun", "true")
			r.desire(2, `{"doorPolicy":{}}`)
			r.reported("doorPolicy.ac", "400")
		}},
	})
}

// breakLine makes the lock's line fail: a directory stands where its file was.
func (r *rig) breakLine() (mend func()) {
	r.Helper()
	edges := filepath.Join(r.dir, "run", "gpio", "edges")
	if err := errors.Join(os.Rename(edges, edges+".away"), os.Mkdir(edges, 0o700)); err != nil {
		r.Fatal(err)
	}
	return func() {
		if err := errors.Join(os.Remove(edges), os.Rename(edges+".away", edges)); err != nil {
			r.Fatal(err)
		}
	}
}
