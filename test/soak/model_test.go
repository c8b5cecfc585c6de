package soak

import (
	"fmt"
	"time"
)

// The modes of a door.
const (
	resting      = "resting"
	momentary    = "momentary"
	heldUnlocked = "heldUnlocked"
	heldLocked   = "heldLocked"
	lockdown     = "lockdown"
)

// patience is how late a timer may be on a machine that is busy with something
// else. How late the worst one was is in the figures.
const patience = 3 * time.Second

// window is when a timer ends: at one moment between the two.
type window struct{ from, to time.Time }

func (w window) set() bool { return !w.to.IsZero() }

func (w window) String() string { return clock(w.from) + "…" + clock(w.to) }

// after is the window of a timer that was started at one moment between the
// two.
func after(from, to time.Time, d time.Duration) window { return window{from.Add(d), to.Add(d)} }

// door is a lock as the device's public interface describes it, without
// sensors and without a button.
type door struct {
	base         string // resting, heldUnlocked, heldLocked or lockdown
	unlock       window // when the unlock that runs ends
	lockdown     window // with the base lockdown: when it ends
	restUnlocked bool   // what it returns to by itself
}

func (d door) mode() string {
	if d.unlock.set() {
		return momentary
	}
	return d.base
}

func (d door) unlocked() bool {
	switch d.mode() {
	case momentary, heldUnlocked:
		return true
	case resting:
		return d.restUnlocked
	}
	return false
}

func (d door) String() string {
	return fmt.Sprintf("{%s, unlock ends %v, lockdown ends %v, rests unlocked: %t}", d.mode(), d.unlock, d.lockdown, d.restUnlocked)
}

// lockDoor takes a lockDoor that was carried out between the two moments. A
// lockTime below zero is none.
func (d door) lockDoor(lockTime time.Duration, from, to time.Time) door {
	d.unlock = window{}
	switch {
	case lockTime > 0:
		d.base, d.lockdown = lockdown, after(from, to, lockTime)
	case lockTime < 0 && d.base == lockdown: // nothing changes
	default:
		d.base, d.lockdown = heldLocked, window{}
	}
	return d
}

// unlockDoor takes an unlockDoor; it is refused in a lockdown.
func (d door) unlockDoor(unlockTime time.Duration, hold bool, from, to time.Time) (after door, refused bool) {
	switch {
	case d.base == lockdown:
		return d, true
	case hold:
		d.base, d.unlock = heldUnlocked, window{}
		return d, false
	case d.base == heldUnlocked:
		return d, false
	}
	d.base = resting
	end := window{from.Add(unlockTime), to.Add(unlockTime)}
	if d.unlock.set() && d.unlock.to.After(end.to) { // it extends, and never cuts short
		end = d.unlock
	}
	d.unlock = end
	return d, false
}

// stopped is the door after an ordered stop: any unlock has ended.
func (d door) stopped() door {
	d.unlock = window{}
	if d.base == heldUnlocked {
		d.base = resting
	}
	return d
}

// at gives what the door can be at a moment between the two: around its end a
// timer may have ended, or not yet.
func (d door) at(from, to time.Time) []door {
	var can []door
	ended := d
	switch {
	case d.unlock.set():
		if from.Before(d.unlock.to.Add(patience)) {
			can = append(can, d)
		}
		ended.unlock = window{}
		if !to.Before(d.unlock.from) {
			can = append(can, ended)
		}
	case d.base == lockdown:
		if from.Before(d.lockdown.to.Add(patience)) {
			can = append(can, d)
		}
		ended.base, ended.lockdown = resting, window{}
		if !to.Before(d.lockdown.from) {
			can = append(can, ended)
		}
	default:
		can = append(can, d)
	}
	return can
}

// untilSlack is for the milliseconds in which until is reported, and a clock
// that is slewed.
const untilSlack = 5 * time.Millisecond

// seenAs gives the door in the light of what the device says of itself; false
// if the device says something else. A timer's end is known exactly then.
func (d door) seenAs(o observation) (door, bool) {
	for _, can := range d.at(o.from, o.to) {
		if can.mode() != o.mode || can.unlocked() != (o.state == "unlocked") {
			continue
		}
		exact := window{o.until, o.until}
		switch end := can.unlock; {
		case can.base == lockdown:
			if !can.lockdown.holds(o.until) {
				continue
			}
			can.lockdown = exact
		case end.set():
			if !end.holds(o.until) {
				continue
			}
			can.unlock = exact
		}
		return can, true
	}
	return d, false
}

func (w window) holds(t time.Time) bool {
	return !t.Before(w.from.Add(-untilSlack)) && !t.After(w.to.Add(untilSlack))
}

// timers are what may move the line without a command. A timer that ends while
// the agent is dead moves it when the agent has come back.
func (d door) timers(back time.Time) []cause {
	end, unlocks := d.unlock, d.restUnlocked
	if d.base == lockdown && !end.set() {
		end = d.lockdown
	}
	if !end.set() || unlocks == d.unlocked() {
		return nil
	}
	latest := later(end.to, back)
	return []cause{{what: "the end of " + d.mode(), unlocks: unlocks, from: end.from, to: latest.Add(patience), deadline: latest}}
}
