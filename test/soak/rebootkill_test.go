package soak

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"latchd/test/site"
)

// killInReboot kills the agent between a rebootDevice and the next boot.
func (k *killer) killInReboot() {
	k.Helper()
	k.killOnTheWayDown("rebootDevice", map[string]any{
		"commandId": k.newID(), "force": true, "delay": float64(k.random.IntN(3)) * 0.1,
	})
}

// killOnTheWayDown kills the agent during a reboot that goes on at once or
// soon, repeats the command and waits for what comes of it: one reboot or, for
// a command that was interrupted, none.
func (k *killer) killOnTheWayDown(kind string, payload map[string]any) {
	k.Helper()
	id, _ := payload["commandId"].(string)
	what := fmt.Sprintf("kill in rebootDevice %v", payload)
	a, _ := k.duringCall(kind, "rebootDevice", payload)
	died := k.phase(id)
	// The machine was asked, is up, and has forgotten it with the process.
	stuck := (died == "asked" || died == "going-down") && k.boot().Boot.ID == k.bootID
	if a.status != 0 && a.status/100 != 2 {
		k.Fatalf("%s: %v", what, a)
	}
	k.start()
	repeat := k.repeatReboot(payload)
	recovery := time.Since(k.started)
	switch {
	case repeat.interrupted() && a.status == 0:
		o := k.observe()
		k.expect(what, o, nil, outcome{notBegun, k.door})
		k.figures.pass(recovery, "reboot: interrupted; the repeat says so, and nothing happens")
	case repeat.replayed() && repeat.status/100 == 2:
		k.figures.pass(recovery, "reboot: "+k.awaitReboot(what, id, stuck, a.sent)+"; the repeat is replayed")
	case repeat.status/100 == 2 && a.status == 0 && died == "":
		k.figures.pass(recovery, "reboot: not begun; the repeat is carried out: "+k.awaitReboot(what, id, false, repeat.sent))
	default:
		k.Fatalf("%s, first answered %v, found in phase %q: the repeat answers %v", what, a, died, repeat)
	}
}

// repeatReboot repeats the command until an agent that is not just stopping has
// answered.
func (k *killer) repeatReboot(payload map[string]any) answer {
	k.Helper()
	var a answer
	k.Await("the repeat is answered", func() bool {
		a = k.ask("rebootDevice", payload)
		return a.status != 503
	})
	return a
}

// awaitReboot waits for the receipt of an accepted reboot. From asked on, the
// agent waits for the machine and never asks again. A machine that is stuck
// therefore stays up; its power is cut after a while.
func (k *killer) awaitReboot(what, id string, stuck bool, sent time.Time) string {
	k.Helper()
	if stuck {
		time.Sleep(500 * time.Millisecond) // a machine that is asked is down much sooner
		if boot := k.boot().Boot.ID; boot != k.bootID {
			k.Fatalf("%s: the machine was asked twice: it is in boot %q", what, boot)
		}
		k.cutPower()
	}
	old, before := k.line, k.door
	var receipt any
	k.Await(what+": its receipt", func() bool {
		receipt = k.Reported(k.id, "lastReboot")
		return site.At(receipt, "commandId") == id && site.At(receipt, "state") != "started"
	})
	is := func(key string, want any) {
		if got := site.At(receipt, key); got != want {
			k.Fatalf("%s: %s is %v, want %v, in %v", what, key, got, want, receipt)
		}
	}
	is("state", "completed")
	is("previousBootId", k.bootID)
	is("bootId", k.boot().Boot.ID)
	is("orderly", !stuck)
	if (site.At(receipt, "cause") == "rebootDevice") == stuck {
		k.Fatalf("%s: the cause is wrong in %v", what, receipt)
	}
	edges := old.news(k.TB)
	stop := cause{what: "the ordered stop", from: sent, to: time.Now()}
	causes := append(before.timers(k.started), stop, stop)
	if before.restUnlocked { // a stop that the kill cut short, and a start
		causes = append(causes, cause{what: "the door rests unlocked", unlocks: true, from: sent, to: time.Now()})
	}
	if _, err := explain(edges, causes); err != nil {
		k.Fatalf("%s: before the machine went down: %v", what, err)
	}
	if all := old.all(k.TB); !stuck && all[len(all)-1].unlocked {
		k.Fatalf("%s: the machine went down in order with the door unlocked: %v", what, all)
	}
	k.afterBoot(what, before)
	if stuck {
		return "asked before the kill and never again, until the power was cut"
	}
	return "came to pass once"
}

// afterBoot looks at the door after a boot: locked first, and no unlock of the
// boot before.
func (k *killer) afterBoot(what string, before door) {
	k.Helper()
	k.awaitPolicy()
	o := k.observe()
	k.takeLine()
	edges := k.line.all(k.TB)
	causes := []cause{{what: "the hub confirms that the door rests unlocked", unlocks: true, from: k.line.booted, to: o.to}}
	if !edges[0].requested || edges[0].unlocked || !before.restUnlocked {
		causes = nil
	}
	if _, err := explain(edges[1:], append(causes, before.stopped().timers(time.Now())...)); err != nil || edges[0].unlocked {
		k.Fatalf("%s: the line after the boot: %v: %v", what, edges, err)
	}
	options := before.at(k.line.booted.Add(-time.Minute), o.from)
	if before.unlocked() && before.restUnlocked {
		// The stop that the kill cut short had locked, and not recorded it.
		options = append(options, door{base: heldLocked, restUnlocked: true})
	}
	for _, can := range options {
		if is, ok := can.stopped().seenAs(o); ok {
			k.door, k.bootID = is, o.bootID
			k.awaitRecord()
			return
		}
	}
	k.Fatalf("%s: the door was %v and is %v after the boot", what, before, o)
}

// cutPower takes the power from the simulated machine: its memory is lost.
func (k *killer) cutPower() {
	k.Helper()
	k.kill()
	names, err := filepath.Glob(k.Path(k.id + ".run/*")) // without its hidden mark
	if err != nil {
		k.Fatal(err)
	}
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			k.Fatal(err)
		}
	}
	k.start()
}

// schedule is a reboot for later.
func (k *killer) schedule(delay string) map[string]any {
	return map[string]any{"commandId": k.newID(), "force": true, "delay": delay}
}

// killInSchedule kills the agent while it accepts a reboot for later. In the
// long run some of them are waited for.
func (k *killer) killInSchedule() {
	k.Helper()
	if site.IsSoak() && k.random.IntN(3) == 0 {
		k.killBeforeItsTime()
		return
	}
	payload := k.schedule("30m")
	id, _ := payload["commandId"].(string)
	a, _ := k.duringCall("scheduled reboot", "rebootDevice", payload)
	died := k.phase(id)
	o := k.comeBack()
	recovery := time.Since(k.started)
	k.expect("kill in a scheduled reboot", o, nil, outcome{"", k.door})
	repeat := k.ask("rebootDevice", payload)
	scheduled := repeat.status == 202 && k.phase(id) == "scheduled"
	switch {
	case repeat.interrupted() && died == "" && a.status == 0 && k.phase(id) == "":
		k.figures.pass(recovery, "scheduled reboot: interrupted; the repeat says so, and nothing is scheduled")
		return
	case scheduled && repeat.replayed() && died == "scheduled":
		k.figures.pass(recovery, "scheduled reboot: kept; the repeat is replayed")
	case scheduled && !repeat.replayed() && died == "" && a.status == 0:
		k.figures.pass(recovery, "scheduled reboot: not begun; the repeat is carried out")
	default:
		k.Fatalf("kill in a scheduled reboot, first answered %v, found in phase %q: the repeat answers %v", a, died, repeat)
	}
	if c := k.ask("cancelOperation", map[string]any{"operationId": repeat.body["operationId"]}); c.status != 200 {
		k.Fatalf("cancel: %v", c)
	}
}

// killBeforeItsTime kills the agent while a reboot waits for its time.
func (k *killer) killBeforeItsTime() {
	k.Helper()
	const delay = 11 * time.Second // beyond what counts as "at once"
	payload := k.schedule(delay.String())
	a := k.ask("rebootDevice", payload)
	if a.status != 202 {
		k.Fatalf("schedule: %v", a)
	}
	due := a.sent.Add(delay)
	time.Sleep(time.Duration(k.random.Int64N(int64(delay - 2*time.Second))))
	k.kill()
	k.checkFiles()
	o := k.comeBack()
	recovery := time.Since(k.started)
	k.expect("kill before a scheduled reboot", o, nil, outcome{"", k.door})
	id, _ := payload["commandId"].(string)
	how := k.awaitReboot("kill before a scheduled reboot", id, false, due)
	k.figures.late(k.line.booted.Sub(a.done.Add(delay)))
	if k.line.booted.Before(due) {
		k.Fatalf("a reboot due at %s came at %s", clock(due), clock(k.line.booted))
	}
	k.figures.pass(recovery, "scheduled reboot: kept until its time, "+how)
}

// killInCancel kills the agent while it cancels a scheduled reboot.
func (k *killer) killInCancel() {
	k.Helper()
	payload := k.schedule("20m")
	scheduled := k.ask("rebootDevice", payload)
	operation, _ := scheduled.body["operationId"].(string)
	if scheduled.status != 202 || !strings.HasPrefix(operation, "op-") {
		k.Fatalf("schedule: %v", scheduled)
	}
	cancel := map[string]any{"operationId": operation}
	a, _ := k.duringCall("cancelOperation", "cancelOperation", cancel)
	id, _ := payload["commandId"].(string)
	died := k.phase(id)
	if a.status != 0 && a.status != 200 || a.status == 200 && died != "" {
		k.Fatalf("cancel answered %v, found in phase %q", a, died)
	}
	o := k.comeBack()
	recovery := time.Since(k.started)
	k.expect("kill in a cancel", o, nil, outcome{"", k.door})
	if again := k.ask("cancelOperation", cancel); again.status != 200 || k.phase(id) != "" {
		k.Fatalf("cancel again: %v, found in phase %q", again, k.phase(id))
	}
	if died == "" {
		k.figures.pass(recovery, "cancel: done")
	} else {
		k.figures.pass(recovery, "cancel: not begun; the repeat is carried out")
	}
}
