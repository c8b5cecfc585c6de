package soak

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// lockCommand is a command to the lock with what it does by contract.
type lockCommand struct {
	method  string
	payload map[string]any
	unlocks bool
	apply   func(d door, from, to time.Time) (after door, refused bool)
}

func (c lockCommand) cause(from, to time.Time) cause {
	return cause{what: c.method, unlocks: c.unlocks, from: from, to: to}
}

func (k *killer) randomLock() lockCommand {
	switch k.random.IntN(5) {
	case 0, 1:
		return lockFor(time.Duration(1000+k.random.IntN(1500)) * time.Millisecond)
	case 2:
		return lockFor(0)
	case 3:
		return lockFor(time.Duration(10+k.random.IntN(3600)) * time.Second)
	}
	return lockFor(-1)
}

// lockFor is a lockDoor; a lockTime below zero is none.
func lockFor(lockTime time.Duration) lockCommand {
	payload := map[string]any{}
	if lockTime >= 0 {
		payload["lockTime"] = lockTime.Seconds()
	}
	return lockCommand{"lockDoor", payload, false, func(d door, from, to time.Time) (door, bool) {
		return d.lockDoor(lockTime, from, to), false
	}}
}

func (k *killer) randomUnlock() lockCommand {
	payload := map[string]any{}
	unlockTime, hold := k.policyTime, false
	switch k.random.IntN(5) {
	case 0:
		payload["hold"], hold = true, true
	case 1, 2, 3:
		unlockTime = time.Duration(300+k.random.IntN(1500)) * time.Millisecond
		payload["unlockTime"] = unlockTime.Seconds()
	}
	return lockCommand{"unlockDoor", payload, true, func(d door, from, to time.Time) (door, bool) {
		return d.unlockDoor(unlockTime, hold, from, to)
	}}
}

// Names of outcomes.
const (
	notBegun  = "not begun"
	done      = "done"
	forgotten = "moved, and ended locked because that was not recorded"
)

// outcome is what a kill may leave behind.
type outcome struct {
	name string
	door door
}

// outcomes are what a kill in the middle of a lock command may leave behind:
// the door as it was, or as the command left it, or, if the line had moved and
// that was not recorded yet, a locked door. An answer that reached the operator
// leaves only what it says.
func (k *killer) outcomes(c lockCommand, a answer, dead time.Time) []outcome {
	var all []outcome
	for _, d := range k.door.at(a.sent, dead) {
		after, refused := c.apply(d, a.sent, dead)
		if refused && a.status != 200 {
			all = append(all, outcome{notBegun, d})
		}
		if refused || a.status == 423 {
			continue
		}
		all = append(all, outcome{done, after})
		if a.status != 0 {
			continue
		}
		all = append(all, outcome{notBegun, d})
		switch {
		case after.unlocked() && !d.unlocked():
			// The hold that the command ended may be off the record already.
			all = append(all, outcome{forgotten, d}, outcome{forgotten, d.rested()})
		case !after.unlocked() && d.unlocked():
			// Locked is what somebody wanted last: the door does not open again
			// by itself.
			all = append(all, outcome{forgotten, door{base: heldLocked, restUnlocked: d.restUnlocked}})
			if !d.restUnlocked {
				all = append(all, outcome{forgotten, d.rested()})
			}
		}
	}
	return all
}

// rested is the door when nothing holds it.
func (d door) rested() door { return door{base: resting, restUnlocked: d.restUnlocked} }

func (d door) end() window {
	if d.unlock.set() {
		return d.unlock
	}
	return d.lockdown
}

// expect finds the one of the outcomes that the device shows, and for each edge
// of the line a cause: one of those given, or the end of a timer. It gives the
// names of the outcomes that fit.
func (k *killer) expect(what string, o observation, causes []cause, options ...outcome) []string {
	k.Helper()
	edges := k.line.news(k.TB)
	timers := k.door.timers(k.started)
	var fits []string
	var is door
	for _, option := range options {
		timers = append(timers, option.door.timers(k.started)...)
		if seen, ok := option.door.seenAs(o); ok && !slices.Contains(fits, option.name) {
			if fits == nil {
				is = seen
			}
			fits = append(fits, option.name)
		}
	}
	used, err := explain(edges, append(slices.Clip(causes), timers...))
	if err == nil && (fits == nil || o.bootID != k.bootID || !k.line.shows(k.TB, o)) {
		err = fmt.Errorf("that is none of the allowed outcomes, or not what the line shows, or another boot than %s", k.bootID)
	}
	if err != nil {
		k.Fatalf("%s: the door was %v, is %v in boot %s\nallowed: %v\nedges: %v\n%v", what, k.door, o, o.bootID, options, edges, err)
	}
	for _, c := range used {
		if !c.deadline.IsZero() {
			k.figures.late(c.to.Sub(c.deadline))
		}
	}
	k.door = is
	return fits
}

// shows tells whether the line had the level that the device tells, at one
// moment of the observation.
func (l *line) shows(t testing.TB, o observation) bool {
	unlocked := o.state == "unlocked"
	ok := false
	for _, e := range l.all(t) {
		if !e.at.After(o.from.Add(clockSlack)) {
			ok = e.unlocked == unlocked
		} else if !e.at.After(o.to.Add(clockSlack)) {
			ok = ok || e.unlocked == unlocked
		}
	}
	return ok
}

func (k *killer) killInLock() { k.killIn(k.randomLock()) }

func (k *killer) killInUnlock() {
	if k.door.base == lockdown && k.random.IntN(4) > 0 { // or most unlocks would be refused
		k.carryOut(lockFor(0))
	}
	k.killIn(k.randomUnlock())
}

// killIn kills the agent in a lock command, looks at the door, and repeats the
// command as an operator does who got no answer.
func (k *killer) killIn(c lockCommand) {
	k.Helper()
	payload := k.withID(c.payload)
	a, dead := k.duringCall(c.method, c.method, payload)
	what := fmt.Sprintf("kill in %s %v", c.method, payload)
	options := k.outcomes(c, a, dead)
	o := k.comeBack()
	recovery := time.Since(k.started)
	causes := []cause{c.cause(a.sent, dead)}
	if a.status == 0 {
		causes = append(causes, cause{what: "the start", from: k.started, to: o.to})
	}
	fits := k.expect(what, o, causes, options...)
	repeat := k.ask(c.method, payload)
	how := k.judgeRepeat(what, c, a, repeat, fits)
	k.figures.pass(recovery, c.method+": "+strings.Join(fits, " or ")+"; "+how)
}

// judgeRepeat checks the answer to the repeat, and that the door does not move
// by it unless the command had not begun.
func (k *killer) judgeRepeat(what string, c lockCommand, a, repeat answer, fits []string) string {
	k.Helper()
	still := outcome{"", k.door}
	switch {
	case repeat.replayed() && repeat.status == 200 && slices.Contains(fits, done):
		k.expect(what+", repeated", k.observe(), nil, still)
		return "acknowledged: " + fmt.Sprint(a.status == 200) + ", the repeat is replayed"
	case repeat.interrupted() && a.status == 0:
		k.expect(what+", repeated", k.observe(), nil, still)
		return "the repeat says interrupted"
	case repeat.status == 423 && a.status != 200 && c.unlocks:
		k.expect(what+", repeated", k.observe(), nil, still)
		return "the repeat is refused in lockdown"
	case repeat.status == 200 && !repeat.replayed() && a.status != 200 && slices.Contains(fits, notBegun):
		options := []outcome{}
		for _, d := range k.door.at(repeat.sent, repeat.done) {
			after, _ := c.apply(d, repeat.sent, repeat.done)
			options = append(options, outcome{"", after})
		}
		k.expect(what+", carried out by the repeat", k.observe(), []cause{c.cause(repeat.sent, repeat.done)}, options...)
		return "the repeat is carried out"
	}
	k.Fatalf("%s, first answered %v: the outcome is %v, and the repeat answers %v", what, a, fits, repeat)
	return ""
}

// fileStamp tells one content of a file from another.
func fileStamp(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return ""
	}
	return fmt.Sprint(info.Size(), info.ModTime().UnixNano())
}
