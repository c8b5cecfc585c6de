package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The device's contract with its operators, a row for each sentence of
// docs/device.md that needs no hardware. The text of a row is the sentence.
type sentence struct {
	text string
	test func(r *rig)
}

func checkSentences(t *testing.T, door doorConfig, rows []sentence) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.text, func(t *testing.T) {
			t.Parallel()
			inBubbleWith(t, door, row.test)
		})
	}
}

var plainDoor = doorConfig{Line: "GPIO17", MaxUnlockTime: text(time.Minute)}

func TestContractConventions(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"durations are Go text, ISO 8601 or seconds", func(r *rig) {
			for _, d := range []string{`"10m"`, `"PT10M"`, `600`, `600.0`} {
				r.want(200, "lockDoor", `{"lockTime":`+d+`}`, "door.mode", "lockdown",
					"door.until", time.Now().Add(10*time.Minute).UTC().Format("2006-01-02T15:04:05.000Z"))
			}
		}},
		{"a payload is an object, a string that contains one, empty text, null or nothing", func(r *rig) {
			for _, p := range []string{`{}`, `"{}"`, `"{\"lockTime\":\"10m\"}"`, `""`, `" "`, `null`, ``, ` `} {
				r.want(200, "lockDoor", p)
			}
			r.reported("door.mode", "lockdown")
		}},
		{"any other payload is 400 and nothing happens", func(r *rig) {
			for _, p := range []string{`[]`, `1`, `true`, `"text"`, `"[]"`, `"1"`, `"null"`, `"\"{}\""`, `{`, `{} {}`, "\xff", `{"a":"` + "\xff" + `"}`} {
				r.want(400, "unlockDoor", p)
			}
			r.reported("door.state", "locked")
		}},
		{"unknown keys are ignored", func(r *rig) {
			r.want(200, "lockDoor", `{"method_number":"42","Locktime":1}`, "door.mode", "heldLocked")
		}},
		{"a known key of the wrong type or range is 400 and nothing happens", func(r *rig) {
			for _, p := range []string{
				`{"lockTime":true}`, `{"lockTime":"ten"}`, `{"lockTime":-1}`, `{"lockTime":"25h"}`, `{"lockTime":0.5}`,
				`{"lockTime":{}}`, `{"lockTime":"10m","commandId":""}`, `{"commandId":"a b"}`, `{"commandId":7}`,
				`{"commandId":"` + strings.Repeat("x", 65) + `"}`, `{"notAfter":"tomorrow"}`, `{"notAfter":5}`,
			} {
				r.want(400, "lockDoor", p)
			}
			for _, p := range []string{`{"unlockTime":"2m"}`, `{"unlockTime":"1ms"}`, `{"hold":"yes"}`, `{"hold":true,"unlockTime":5}`} {
				r.want(400, "unlockDoor", p)
			}
			for _, p := range []string{`{"delay":"2h"}`, `{"reason":5}`, `{"reason":"` + strings.Repeat("é", 257) + `"}`, `{"force":1}`, `{"dryRun":"yes"}`} {
				r.want(400, "rebootDevice", p)
			}
			r.reported("door.mode", "resting", "door.state", "locked", "lastReboot", "-")
		}},
		{"the key door is reserved", func(r *rig) {
			r.want(400, "lockDoor", `{"door":"front"}`)
			r.want(400, "getStatus", `{"door":1}`)
		}},
		{"an unknown name is 404, whatever its payload", func(r *rig) {
			for _, name := range []string{"openSesame", "LockDoor", "firmwareUpdate", "factoryReset", "lockdoor"} {
				a := r.want(404, name, `[]`)
				if a.body["Response"] != "Unknown method" {
					r.Errorf("%s: Response is %v", name, a.body["Response"])
				}
			}
		}},
		{"times are RFC 3339, UTC, with milliseconds", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			for _, path := range []string{"rebootTime", "door.until", "door.since", "agent.startedAt", "clock.since"} {
				v, _ := lookup(r.hub.twin(), path)
				if _, err := time.Parse("2006-01-02T15:04:05.000Z", fmt.Sprint(v)); err != nil {
					r.Errorf("%s is %v: %v", path, v, err)
				}
			}
		}},
		{"absent, not null", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.reported("door.until", "*")
			r.want(200, "lockDoor", `{"lockTime":0}`)
			r.reported("door.until", "-", "door.contact", "-", "door.alarm", "-", "pendingOperations", "-", "lastReboot", "-")
		}},
		{"only changes are reported", func(r *rig) {
			before := len(r.hub.writes)
			r.want(200, "lockDoor", `{}`)
			r.settle()
			for _, w := range r.hub.writes[before:] {
				if len(w) != 1 || w["door"] == nil {
					r.Errorf("reported %v, want the door alone", w)
				}
			}
			n := len(r.hub.writes)
			r.want(200, "lockDoor", `{}`)
			r.pass(2 * time.Minute)
			if len(r.hub.writes) != n {
				r.Errorf("reported %v though nothing changed", r.hub.writes[n:])
			}
		}},
		{"what could not be sent is merged into the next report", func(r *rig) {
			r.hub.disconnect()
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.desire(2, `{"building":43}`)
			r.hub.connect()
			r.reported("door.mode", "lockdown", "building.value", "43")
		}},
	})
}

func TestContractAtMostOnce(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"a repeat gets the stored answer, replayed, and nothing moves", func(r *rig) {
			first := r.want(200, "unlockDoor", `{"commandId":"c1","unlockTime":"10s"}`, "replayed", "-")
			r.pass(20 * time.Second)
			moved := r.edges()
			again := r.want(200, "unlockDoor", `{"unlockTime":"10s","commandId":"c1"}`, "replayed", "true")
			delete(again.body, "replayed")
			if again.String() != first.String() {
				r.Errorf("the repeat got %s, the first %s", again, first)
			}
			if r.edges() != moved {
				r.Error("the repeat moved the door")
			}
		}},
		{"a repeat with a later notAfter is the same command", func(r *rig) {
			r.want(200, "unlockDoor", `{"commandId":"c1","unlockTime":"10s","notAfter":"2000-01-01T00:01:00Z"}`)
			r.pass(5 * time.Minute)
			r.want(200, "unlockDoor", `{"commandId":"c1","unlockTime":"10s","notAfter":"2000-01-01T00:10:00Z"}`, "replayed", "true")
			r.want(200, "unlockDoor", `{"commandId":"c1","unlockTime":"10s"}`, "replayed", "true")
			r.want(409, "unlockDoor", `{"commandId":"c1","unlockTime":"11s","notAfter":"2000-01-01T00:10:00Z"}`)
		}},
		{"the same id with another method or payload is 409", func(r *rig) {
			r.want(200, "unlockDoor", `{"commandId":"c1"}`)
			r.want(409, "unlockDoor", `{"commandId":"c1","unlockTime":"10s"}`)
			r.want(409, "lockDoor", `{"commandId":"c1"}`)
			r.want(409, "rebootDevice", `{"commandId":"c1"}`)
		}},
		{"it holds across a crash and across a reboot", func(r *rig) {
			r.want(200, "unlockDoor", `{"commandId":"c1"}`)
			r.crash()
			r.want(200, "unlockDoor", `{"commandId":"c1"}`, "replayed", "true")
			r.pullPlug("boot-2")
			r.want(200, "unlockDoor", `{"commandId":"c1"}`, "replayed", "true")
			r.reported("door.state", "locked")
		}},
		{"a refusal may be tried again with the same id", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.want(423, "unlockDoor", `{"commandId":"c1"}`)
			r.want(200, "lockDoor", `{"lockTime":0}`)
			r.want(200, "unlockDoor", `{"commandId":"c1"}`, "replayed", "-", "door.state", "unlocked")
		}},
		{"killed between record and outcome: 500 interrupted, and nothing moves", func(r *rig) {
			journal := filepath.Join(r.dir, "state", "commands.journal")
			r.want(200, "unlockDoor", `{"commandId":"c1","unlockTime":"5s"}`)
			r.pass(10 * time.Second)
			r.freeze()
			dropOutcome(r, filepath.Join(r.dir, "state", filepath.Base(journal)))
			r.start()
			r.want(500, "unlockDoor", `{"commandId":"c1","unlockTime":"5s"}`, "state", "interrupted", "door.state", "locked")
			r.want(500, "unlockDoor", `{"commandId":"c1","unlockTime":"5s"}`, "state", "interrupted")
		}},
		{"the record cannot be written: lockDoor acts and says so, any other command with an id is 503 and moves nothing", func(r *rig) {
			r.want(200, "unlockDoor", `{"hold":true}`)
			breakJournal(r)
			r.want(200, "lockDoor", `{"commandId":"c1"}`, "recorded", "false", "door.state", "locked")
			moved := r.edges()
			r.want(503, "unlockDoor", `{"commandId":"c2"}`)
			r.want(503, "rebootDevice", `{"commandId":"c3"}`)
			if r.edges() != moved || r.machine.asked.Load() != 0 {
				r.Error("a command that was refused moved something")
			}
		}},
		{"past notAfter is 410", func(r *rig) {
			late := time.Now().Add(-time.Second).UTC().Format(time.RFC3339)
			r.want(410, "unlockDoor", `{"notAfter":"`+late+`"}`)
			r.want(410, "lockDoor", `{"notAfter":"`+late+`","commandId":"c1"}`)
			soon := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
			r.want(200, "unlockDoor", `{"notAfter":"`+soon+`"}`)
		}},
		{"without a trusted clock notAfter is 503, except for lockDoor, which acts", func(r *rig) {
			r.clock.set("restored", 0)
			soon := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
			r.want(503, "unlockDoor", `{"notAfter":"`+soon+`"}`)
			r.want(503, "rebootDevice", `{"notAfter":"`+soon+`"}`)
			r.want(200, "lockDoor", `{"notAfter":"2001-01-01T00:00:00Z"}`)
		}},
		{"notAfter is checked again when a deferred operation starts", func(r *rig) {
			end := time.Now().Add(time.Minute).UTC().Format(time.RFC3339)
			r.want(202, "rebootDevice", `{"delay":"50s","notAfter":"`+end+`"}`)
			r.clock.set("synchronized", 30*time.Second)
			r.pass(2 * time.Minute)
			r.reported("lastReboot.state", "expired", "pendingOperations", "-")
			if r.machine.asked.Load() != 0 {
				r.Error("the machine was asked after notAfter")
			}
		}},
	})
}

// dropOutcome cuts the journal after its last begin, as a kill would.
func dropOutcome(r *rig, path string) {
	r.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		r.Fatal(err)
	}
	i := strings.LastIndex(string(body), `{"t":"end"`)
	if i < 0 {
		r.Fatal("there is no outcome in the journal")
	}
	if err := os.WriteFile(path, body[:i], 0o600); err != nil {
		r.Fatal(err)
	}
}

// breakJournal makes every further write to the journal fail as a full disk
// does: /dev/full takes the place of the agent's open descriptor.
func breakJournal(r *rig) {
	r.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		r.Fatal(err)
	}
	defer full.Close()
	journal := filepath.Join(r.dir, "state", "commands.journal")
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		r.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink("/proc/self/fd/" + fd.Name()); to == journal {
			n, _ := strconv.Atoi(fd.Name())
			if err := syscall.Dup3(int(full.Fd()), n, syscall.O_CLOEXEC); err != nil {
				r.Fatal(err)
			}
			return
		}
	}
	r.Fatal("the journal is not open")
}

func TestContractReboot(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"rebootDevice answers, the machine goes down, the receipt proves it", func(r *rig) {
			r.machine.slow = time.Second
			r.want(200, "rebootDevice", `{"commandId":"c1","reason":"sample"}`, "state", "rebooting", "operationId", "*")
			r.reported("lastReboot.state", "started", "lastReboot.commandId", "c1", "lastReboot.previousBootId", "boot-1", "lastReboot.bootId", "-")
			before := r.hub.twin()["rebootTime"]
			r.pass(10 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Fatalf("the machine was asked %d times", r.machine.asked.Load())
			}
			r.boot("boot-2")
			r.reported("lastReboot.state", "completed", "lastReboot.cause", "rebootDevice", "lastReboot.orderly", "true",
				"lastReboot.bootId", "boot-2", "lastReboot.previousBootId", "boot-1", "lastReboot.reason", "sample",
				"lastReboot.commandId", "c1", "lastReboot.downSeconds", "*", "lastReboot.error", "-")
			if r.hub.twin()["rebootTime"] == before {
				r.Error("rebootTime did not change")
			}
			r.want(200, "rebootDevice", `{"commandId":"c1","reason":"sample"}`, "replayed", "true")
			r.pass(2 * time.Minute)
			if r.machine.asked.Load() != 1 {
				r.Error("the repeat rebooted the machine")
			}
		}},
		{"the answer and the report go before the machine is asked, for 3 s at most", func(r *rig) {
			r.hub.disconnect()
			begin := time.Now()
			r.machine.deaf = true
			r.want(200, "rebootDevice", `{"delay":0}`)
			for r.machine.asked.Load() == 0 && time.Since(begin) < time.Minute {
				r.pass(100 * time.Millisecond)
			}
			if d := time.Since(begin); d < 2900*time.Millisecond || d > 3300*time.Millisecond {
				r.Errorf("asked after %s without a hub, want about 3 s", d)
			}
		}},
		{"a refusal of the machine is an error that the operator sees", func(r *rig) {
			r.machine.refusal = errors.New("inhibited by apt")
			r.want(200, "rebootDevice", `{}`)
			r.pass(10 * time.Second)
			r.reported("lastReboot.state", "failed")
			if e, _ := lookup(r.hub.twin(), "lastReboot.error"); !strings.Contains(fmt.Sprint(e), "inhibited by apt") {
				r.Errorf("lastReboot.error is %v", e)
			}
		}},
		{"a device that may not reboot itself says who forbids it", func(r *rig) {
			r.machine.forbid(errors.New("runs in a container"))
			a := r.want(503, "rebootDevice", `{}`)
			if !strings.Contains(fmt.Sprint(a.body["Response"]), "runs in a container") {
				r.Errorf("got %s", a)
			}
		}},
		{"still up after the guard time is failed, and a boot that comes after all corrects it", func(r *rig) {
			r.machine.deaf = true
			r.want(200, "rebootDevice", `{}`)
			r.pass(2*time.Minute + 10*time.Second)
			r.reported("lastReboot.state", "failed", "lastReboot.error", "*")
			if r.machine.asked.Load() != 1 {
				r.Errorf("asked %d times", r.machine.asked.Load())
			}
			r.machine.stopping.Store(true)
			r.stop()
			r.boot("boot-2")
			r.reported("lastReboot.state", "completed", "lastReboot.error", "-", "lastReboot.bootId", "boot-2", "lastReboot.orderly", "true")
		}},
		{"the guard time does not count once the machine is going down", func(r *rig) {
			r.machine.deaf = true
			r.want(200, "rebootDevice", `{}`)
			r.pass(time.Minute)
			r.machine.stopping.Store(true)
			r.pass(10 * time.Minute)
			r.reported("lastReboot.state", "started")
		}},
		{"killed before it was asked, in the same boot: it is taken up once", func(r *rig) {
			r.want(200, "rebootDevice", `{"delay":"8s"}`)
			r.pass(2 * time.Second)
			r.crash()
			r.pass(time.Second)
			r.crash() // the second time it is given up
			r.pass(time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Errorf("asked %d times", r.machine.asked.Load())
			}
			r.reported("lastReboot.state", "failed")
		}},
		{"killed before it was asked and taken up: it happens", func(r *rig) {
			r.want(200, "rebootDevice", `{"delay":"8s"}`)
			r.pass(2 * time.Second)
			r.crash()
			r.pass(20 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Errorf("asked %d times", r.machine.asked.Load())
			}
		}},
		{"from asked on it never asks twice", func(r *rig) {
			r.machine.deaf = true
			r.want(200, "rebootDevice", `{}`)
			r.pass(10 * time.Second)
			r.crash()
			r.pass(time.Minute)
			r.crash()
			r.pass(3 * time.Minute)
			if r.machine.asked.Load() != 1 {
				r.Errorf("asked %d times", r.machine.asked.Load())
			}
			r.reported("lastReboot.state", "failed")
		}},
		{"without the mark of an orderly shutdown the cause is as found", func(r *rig) {
			r.machine.deaf = true
			r.want(200, "rebootDevice", `{}`)
			r.pass(10 * time.Second)
			r.freeze()
			r.machine.deaf = false
			r.machine.boot("boot-2")
			r.machine.cause = "powerLoss"
			if err := os.RemoveAll(filepath.Join(r.dir, "run")); err != nil {
				r.Fatal(err)
			}
			r.start()
			r.reported("lastReboot.state", "completed", "lastReboot.orderly", "false", "lastReboot.cause", "powerLoss", "lastReboot.downSeconds", "-")
		}},
		{"a boot nobody asked for is reported too", func(r *rig) {
			r.pullPlug("boot-2")
			r.reported("lastReboot.state", "completed", "lastReboot.cause", "unknown", "lastReboot.orderly", "false",
				"lastReboot.operationId", "-", "lastReboot.bootId", "boot-2", "lastReboot.previousBootId", "boot-1")
		}},
		{"an orderly reboot that somebody else asked for is external", func(r *rig) {
			r.machine.stopping.Store(true)
			r.stop()
			r.boot("boot-2")
			r.reported("lastReboot.cause", "external", "lastReboot.orderly", "true", "lastReboot.operationId", "-")
		}},
		{"a scheduled operation survives somebody else's reboot", func(r *rig) {
			r.want(202, "rebootDevice", `{"delay":"30m"}`, "state", "scheduled", "notBefore", "*")
			r.pullPlug("boot-2")
			r.reported("lastReboot.cause", "unknown", "pendingOperations", "*")
			r.pass(31 * time.Minute)
			if r.machine.asked.Load() != 1 {
				r.Errorf("asked %d times", r.machine.asked.Load())
			}
		}},
		{"rebootTime is computed once per boot, and later clock steps do not move it", func(r *rig) {
			at := r.hub.twin()["rebootTime"]
			for _, step := range []time.Duration{10 * 365 * 24 * time.Hour, -10 * 365 * 24 * time.Hour, time.Hour} {
				r.clock.set("synchronized", step)
				r.agent.ClockChanged()
				r.pass(time.Minute)
				r.crash()
			}
			if now := r.hub.twin()["rebootTime"]; now != at {
				r.Errorf("rebootTime moved from %v to %v", at, now)
			}
		}},
		{"rebootTime waits for a clock that can be trusted", func(r *rig) {
			r.freeze()
			r.clock.set("unset", -50*365*24*time.Hour)
			r.boot("boot-2")
			r.hub.held = map[string]any{}
			r.hub.connect()
			r.reported("rebootTime", "-", "lastReboot.bootedAt", "-", "lastReboot.bootId", "boot-2")
			r.pass(time.Minute)
			r.clock.set("synchronized", 0)
			r.agent.ClockChanged()
			booted := r.machine.bootedAt.UTC().Format("2006-01-02T15:04:05.000Z")
			r.reported("rebootTime", booted, "lastReboot.bootedAt", booted, "lastReboot.downSeconds", "-")
		}},
		{"receipts queue: one is not replaced before the hub has it", func(r *rig) {
			for i, id := range []string{"boot-2", "boot-3", "boot-4"} {
				r.want(200, "rebootDevice", fmt.Sprintf(`{"commandId":"c%d"}`, i))
				r.hub.disconnect()
				r.pass(20 * time.Second)
				r.machine.boot(id)
				if err := os.RemoveAll(filepath.Join(r.dir, "run")); err != nil {
					r.Fatal(err)
				}
				// A start without its hub.
				r.startOffline()
			}
			seen := len(r.hub.writes)
			r.hub.connect()
			r.settle()
			var order []string
			for _, w := range r.hub.writes[seen:] {
				if id, ok := lookup(w, "lastReboot.commandId"); ok {
					order = append(order, fmt.Sprint(id))
				}
			}
			if got := strings.Join(order, " "); !strings.HasSuffix(got, "c1 c2") {
				r.Errorf("receipts came as %q", got)
			}
			r.reported("lastReboot.commandId", "c2", "lastReboot.state", "completed", "lastReboot.bootId", "boot-4")
		}},
		{"delay over 10 s is scheduled and shown as pending", func(r *rig) {
			a := r.want(202, "rebootDevice", `{"delay":"5m","reason":"later"}`, "state", "scheduled", "notBefore", "*")
			id := fmt.Sprint(a.body["operationId"])
			r.reported("pendingOperations."+id+".kind", "rebootDevice", "pendingOperations."+id+".state", "scheduled",
				"pendingOperations."+id+".reason", "later", "pendingOperations."+id+".notBefore", "*")
			r.pass(4 * time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("asked too early")
			}
			r.pass(90 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("not asked in time")
			}
		}},
		{"a second request joins the pending one, and force promotes it", func(r *rig) {
			a := r.want(202, "rebootDevice", `{"delay":"30m"}`)
			r.want(202, "rebootDevice", `{}`, "joined", "true", "operationId", fmt.Sprint(a.body["operationId"]))
			r.pass(time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("joining promoted it")
			}
			r.want(202, "rebootDevice", `{"force":true}`, "joined", "true")
			r.pass(10 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("force did not promote it")
			}
		}},
		{"a reboot that has started is 409", func(r *rig) {
			r.want(200, "rebootDevice", `{"delay":"10s"}`)
			r.want(409, "rebootDevice", `{}`, "state", "started")
			r.want(409, "rebootDevice", `{"force":true}`)
		}},
		{"a repeated deferred command answers with the operation's present state", func(r *rig) {
			a := r.want(202, "rebootDevice", `{"commandId":"c1","delay":"5m"}`)
			r.want(202, "rebootDevice", `{"commandId":"c1","delay":"5m"}`, "replayed", "true", "state", "scheduled")
			r.want(200, "cancelOperation", `{"operationId":"`+fmt.Sprint(a.body["operationId"])+`"}`)
			r.want(200, "rebootDevice", `{"commandId":"c1","delay":"5m"}`, "replayed", "true", "state", "cancelled")
		}},
		{"cancelOperation withdraws a pending one; unknown is 404, started is 409", func(r *rig) {
			a := r.want(202, "rebootDevice", `{"delay":"5m"}`)
			id := fmt.Sprint(a.body["operationId"])
			r.want(200, "cancelOperation", `{"operationId":"`+id+`"}`)
			r.reported("lastReboot.state", "cancelled", "pendingOperations", "-")
			r.want(404, "cancelOperation", `{"operationId":"op-0"}`)
			r.want(400, "cancelOperation", `{}`)
			r.pass(2 * time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("a cancelled reboot happened")
			}
			a = r.want(200, "rebootDevice", `{"delay":"10s"}`)
			r.want(409, "cancelOperation", `{"operationId":"`+fmt.Sprint(a.body["operationId"])+`"}`)
		}},
		{"a pending operation that cannot start expires after 7 days", func(r *rig) {
			r.want(202, "rebootDevice", `{"delay":"1m","commandId":"c1"}`)
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.pass(time.Minute)
			r.freeze() // so that nothing polls for a week
			time.Sleep(7*24*time.Hour - 5*time.Minute)
			r.start()
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.reported("pendingOperations", "*", "lastReboot", "-")
			r.pass(10 * time.Minute)
			r.reported("pendingOperations", "-", "lastReboot.state", "expired", "lastReboot.error", "*")
			r.want(200, "rebootDevice", `{"delay":"1m","commandId":"c1"}`, "replayed", "true", "state", "expired")
			if r.machine.asked.Load() != 0 {
				r.Error("it happened all the same")
			}
		}},
		{"a deferred operation waits for a clock that can judge its notAfter", func(r *rig) {
			end := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
			a := r.want(202, "rebootDevice", `{"delay":"20s","notAfter":"`+end+`"}`)
			r.clock.set("restored", 0)
			r.pass(time.Minute)
			r.reported("pendingOperations."+fmt.Sprint(a.body["operationId"])+".blockedBy", "clock")
			r.clock.set("synchronized", 0)
			r.agent.ClockChanged()
			r.pass(10 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("it did not go on with the clock")
			}
		}},
		{"a dry run says what would happen and does nothing", func(r *rig) {
			r.want(200, "rebootDevice", `{"dryRun":true,"commandId":"c1"}`, "wouldRun", "true", "blockers", "[]", "notBefore", "*")
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.want(200, "rebootDevice", `{"dryRun":true}`, "wouldRun", "false", "blockers", "[unlockRunning]")
			r.pass(time.Minute)
			r.reported("lastReboot", "-")
			if r.machine.asked.Load() != 0 {
				r.Error("a dry run rebooted")
			}
		}},
		{"the record cannot be written: the reboot is refused, and nothing happens", func(r *rig) {
			free := r.fillDisk()
			r.want(503, "rebootDevice", `{}`)
			free()
			r.pass(time.Minute)
			r.reported("lastReboot", "-")
			if r.machine.asked.Load() != 0 {
				r.Error("a reboot that was not recorded happened")
			}
		}},
		{"the disk fills after the answer: no reboot, no false receipt", func(r *rig) {
			r.want(200, "rebootDevice", `{"delay":"8s"}`)
			free := r.fillDisk()
			r.pass(time.Minute)
			if r.machine.asked.Load() != 0 {
				r.Error("asked without a record")
			}
			r.reported("lastReboot.state", "failed")
			free()
		}},
		{"a power cut at any moment leaves no false receipt", func(r *rig) {
			for i := range 24 {
				id := fmt.Sprintf("cut-%d", i)
				r.want(200, "rebootDevice", `{"commandId":"`+id+`","delay":0}`)
				r.machine.slow = 2 * time.Second
				r.pass(time.Duration(i) * 150 * time.Millisecond)
				stopped := r.machine.stopping.Load()
				r.pullPlug("boot-" + id)
				r.reported("lastReboot.commandId", id, "lastReboot.state", "completed", "lastReboot.bootId", "boot-"+id,
					"lastReboot.orderly", fmt.Sprint(stopped))
			}
		}},
	})
}

func TestContractDoorAndReboot(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"an unlock that runs forbids a reboot, unless force", func(r *rig) {
			r.want(200, "unlockDoor", `{"unlockTime":"30s"}`)
			r.want(409, "rebootDevice", `{}`, "blockers", "[unlockRunning]")
			r.want(200, "rebootDevice", `{"force":true}`)
			if !r.logged("although the door forbids it") {
				r.Error("the override is not in the log")
			}
		}},
		{"an open door forbids a reboot", func(r *rig) {
			r.input("contact", "open")
			r.want(409, "rebootDevice", `{}`)
			r.input("contact", "closed")
			r.want(200, "rebootDevice", `{}`)
		}},
		{"an unlock that begins after the answer holds the reboot back", func(r *rig) {
			r.want(200, "rebootDevice", `{"delay":"5s"}`)
			r.pass(4 * time.Second)
			r.want(200, "unlockDoor", `{"unlockTime":"20s"}`)
			r.pass(15 * time.Second)
			if r.machine.asked.Load() != 0 {
				r.Error("the reboot cut an unlock short")
			}
			r.pass(20 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("the reboot did not come after the unlock")
			}
		}},
		{"a pending reboot says what blocks it", func(r *rig) {
			a := r.want(202, "rebootDevice", `{"delay":"20s"}`)
			r.want(200, "unlockDoor", `{"hold":true}`)
			r.pass(time.Minute)
			r.reported("pendingOperations."+fmt.Sprint(a.body["operationId"])+".blockedBy", "unlockRunning")
			r.want(200, "lockDoor", `{}`)
			r.pass(10 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("it did not go on when the door was free")
			}
		}},
	})
	safe := plainDoor
	safe.FailMode = "safe"
	checkSentences(t, safe, []sentence{
		{"a lockdown of a fail-safe lock forbids a reboot", func(r *rig) {
			r.want(200, "lockDoor", `{"lockTime":"10m"}`)
			r.want(409, "rebootDevice", `{}`, "blockers", "[lockdown]")
		}},
	})
}
