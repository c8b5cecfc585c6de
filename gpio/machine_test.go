package gpio

import (
	"slices"
	"testing"
	"time"
)

// bench is a machine on a bench: a perfect line, and a clock that is set by hand.
type bench struct {
	t      *testing.T
	m      machine
	now    time.Duration // since the bench was built
	broken bool          // the line cannot be set
	events []EventName   // since they were asked for
}

// benchStart is the boot-time reading at which a bench is built.
const benchStart = 100 * time.Second

func newBench(t *testing.T, p Policy) *bench {
	t.Helper()
	settings, err := Settings{Policy: p}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, m: machine{settings: settings, policy: settings.Policy, memory: freshMemory(benchStart)}}
	b.step(func(now time.Duration) { b.m.begin(now, CauseStart) })
	b.events = nil
	return b
}

func (b *bench) step(input func(now time.Duration)) {
	b.t.Helper()
	input(benchStart + b.now)
	for _, e := range b.m.driven(!b.broken) {
		b.events = append(b.events, e.Name)
	}
	if next := b.m.next(); next != 0 && next <= b.m.now {
		b.t.Fatalf("the next deadline %s is not after now %s", next, b.m.now)
	}
}

// pass lets time go by, stopping at each deadline as the driver does.
func (b *bench) pass(d time.Duration) {
	b.t.Helper()
	end := b.now + d
	for next := b.m.next(); next != 0 && next <= benchStart+end; next = b.m.next() {
		b.now = next - benchStart
		b.step(b.m.tick)
	}
	b.now = end
	b.step(b.m.tick)
}

func (b *bench) lock(lockTime ...time.Duration) {
	b.t.Helper()
	b.step(func(now time.Duration) {
		if len(lockTime) == 0 {
			b.m.lockDoor(now, nil)
		} else {
			b.m.lockDoor(now, &lockTime[0])
		}
	})
}

func (b *bench) unlock(d time.Duration) (accepted bool) {
	b.t.Helper()
	b.step(func(now time.Duration) { accepted = b.m.unlockDoor(now, d, false) })
	return accepted
}

func (b *bench) hold() (accepted bool) {
	b.t.Helper()
	b.step(func(now time.Duration) { accepted = b.m.unlockDoor(now, 0, true) })
	return accepted
}

func (b *bench) press() { b.t.Helper(); b.step(func(now time.Duration) { b.m.button(now, true) }) }

func (b *bench) release() { b.t.Helper(); b.step(func(now time.Duration) { b.m.button(now, false) }) }

func (b *bench) contact(c Contact) {
	b.t.Helper()
	b.step(func(now time.Duration) { b.m.contact(now, c) })
}

func (b *bench) bolt(s Signal) {
	b.t.Helper()
	b.step(func(now time.Duration) { b.m.bolt(now, s) })
}

func (b *bench) policy(p Policy) {
	b.t.Helper()
	b.step(func(now time.Duration) { b.m.setPolicy(now, p.withDefaults()) })
}

// is checks what would be reported.
func (b *bench) is(state State, mode Mode) {
	b.t.Helper()
	if b.m.State != state || b.m.Mode != mode {
		b.t.Errorf("after %s: %s, %s; want %s, %s", b.now, b.m.State, b.m.Mode, state, mode)
	}
}

func (b *bench) alarm(want Alarm) {
	b.t.Helper()
	if got := b.m.alarm(); got != want {
		b.t.Errorf("after %s: alarm %q, want %q", b.now, got, want)
	}
}

func (b *bench) assumed(want bool) {
	b.t.Helper()
	if got := b.m.assumed(); got != want {
		b.t.Errorf("after %s: assumed is %t", b.now, got)
	}
}

// ends checks how long the reported mode still lasts; zero: it does not end.
func (b *bench) ends(in time.Duration) {
	b.t.Helper()
	got := b.m.modeEnd()
	if got != 0 {
		got -= benchStart + b.now
	}
	if got != in {
		b.t.Errorf("after %s: the mode ends in %s, want %s", b.now, got, in)
	}
}

// heard checks the events since the last check.
func (b *bench) heard(want ...EventName) {
	b.t.Helper()
	if !slices.Equal(b.events, want) {
		b.t.Errorf("after %s: events %v, want %v", b.now, b.events, want)
	}
	b.events = nil
}

const (
	sec  = time.Second
	hour = time.Hour
)

// TestModes has a row for each sentence of the contract about modes.
func TestModes(t *testing.T) {
	restUnlocked := Policy{Resting: RestUnlocked}
	for _, row := range []struct {
		sentence string
		policy   Policy
		play     func(*bench)
	}{
		{"a door rests locked by default", Policy{}, func(b *bench) {
			b.is(StateLocked, ModeResting)
			b.ends(0)
		}},
		{"a door may rest unlocked", restUnlocked, func(b *bench) {
			b.is(StateUnlocked, ModeResting)
			b.ends(0)
		}},
		{"momentary is an unlock that ends by itself", Policy{}, func(b *bench) {
			b.unlock(5 * sec)
			b.is(StateUnlocked, ModeMomentary)
			b.ends(5 * sec)
			b.pass(5*sec - 1)
			b.is(StateUnlocked, ModeMomentary)
			b.pass(1)
			b.is(StateLocked, ModeResting)
			b.heard(EventUnlocked, EventLocked)
		}},
		{"a second unlock extends from now", Policy{}, func(b *bench) {
			b.unlock(5 * sec)
			b.pass(3 * sec)
			b.unlock(5 * sec)
			b.ends(5 * sec)
			b.pass(4 * sec)
			b.is(StateUnlocked, ModeMomentary)
			b.pass(sec)
			b.is(StateLocked, ModeResting)
			b.heard(EventUnlocked, EventLocked)
		}},
		{"a second unlock never shortens the first", Policy{}, func(b *bench) {
			b.unlock(60 * sec)
			b.unlock(5 * sec)
			b.ends(60 * sec)
			b.press()
			b.ends(60 * sec)
		}},
		{"heldUnlocked lasts until a lockDoor", Policy{}, func(b *bench) {
			b.hold()
			b.pass(48 * hour)
			b.is(StateUnlocked, ModeHeldUnlocked)
			b.unlock(5 * sec)
			b.press()
			b.pass(hour)
			b.is(StateUnlocked, ModeHeldUnlocked)
			b.lock()
			b.is(StateLocked, ModeHeldLocked)
		}},
		{"a hold takes over a momentary unlock", Policy{}, func(b *bench) {
			b.unlock(5 * sec)
			b.hold()
			b.pass(hour)
			b.is(StateUnlocked, ModeHeldUnlocked)
			b.ends(0)
		}},
		{"heldLocked lasts until an unlockDoor; afterwards the door rests", restUnlocked, func(b *bench) {
			b.lock()
			b.pass(48 * hour)
			b.is(StateLocked, ModeHeldLocked)
			b.ends(0)
			b.unlock(5 * sec)
			b.is(StateUnlocked, ModeMomentary)
			b.pass(5 * sec)
			b.is(StateUnlocked, ModeResting)
		}},
		{"in lockdown an unlock is refused until it ends; then the door rests", restUnlocked, func(b *bench) {
			b.lock(10 * time.Minute)
			b.is(StateLocked, ModeLockdown)
			b.ends(10 * time.Minute)
			b.pass(10*time.Minute - 1)
			if b.unlock(5*sec) || b.hold() {
				b.t.Error("an unlock was accepted")
			}
			b.is(StateLocked, ModeLockdown)
			b.pass(1)
			b.is(StateUnlocked, ModeResting)
		}},
		{"at the very end of a lockdown an unlock is accepted", Policy{}, func(b *bench) {
			b.lock(time.Minute)
			b.now += time.Minute // the timer is late
			if !b.unlock(5 * sec) {
				b.t.Error("the unlock was refused")
			}
			b.is(StateUnlocked, ModeMomentary)
		}},
		{"a new lockTime replaces the end, also by an earlier one", Policy{}, func(b *bench) {
			b.lock(time.Hour)
			b.lock(2 * time.Hour)
			b.ends(2 * time.Hour)
			b.lock(time.Minute)
			b.ends(time.Minute)
		}},
		{"lockTime 0 ends a lockdown and leaves heldLocked", restUnlocked, func(b *bench) {
			b.lock(time.Hour)
			b.lock(0)
			b.is(StateLocked, ModeHeldLocked)
			if !b.unlock(5 * sec) {
				b.t.Error("the unlock was refused")
			}
		}},
		{"lockTime 0 without a lockdown holds locked", Policy{}, func(b *bench) {
			b.hold()
			b.lock(0)
			b.is(StateLocked, ModeHeldLocked)
		}},
		{"lockDoor without lockTime during a lockdown changes nothing", Policy{}, func(b *bench) {
			b.lock(time.Hour)
			b.heard(EventLockdownBegan)
			b.pass(time.Minute)
			b.lock()
			b.is(StateLocked, ModeLockdown)
			b.ends(59 * time.Minute)
			b.heard()
		}},
		{"a lockdown is told when it begins and when it ends", Policy{}, func(b *bench) {
			b.lock(time.Minute)
			b.heard(EventLockdownBegan)
			b.lock(time.Hour)
			b.heard()
			b.pass(time.Hour)
			b.heard(EventLockdownEnded)
			b.unlock(5 * sec)
			b.lock(time.Minute)
			b.heard(EventUnlocked, EventLockdownBegan, EventLocked)
			b.press()
			b.lock(0)
			b.heard(EventExit, EventUnlocked, EventLockdownEnded, EventLocked)
		}},
		{"an unlock and a lock in one burst are both told", Policy{}, func(b *bench) {
			b.unlock(5 * sec)
			b.press()
			b.lock()
			b.release()
			b.press()
			b.heard(EventUnlocked, EventExit, EventLocked, EventExit, EventUnlocked)
		}},
		{"lockDoor ends any unlock at once", Policy{}, func(b *bench) {
			for _, begin := range []func(){func() { b.unlock(60 * sec) }, func() { b.hold() }, b.press} {
				b.release()
				begin()
				b.is(b.m.State, b.m.Mode)
				if !b.m.Unlocked {
					b.t.Error("not unlocked")
				}
				b.lock()
				b.is(StateLocked, ModeHeldLocked)
				b.pass(hour)
				b.is(StateLocked, ModeHeldLocked)
			}
		}},
		{"a policy takes effect at once, and leaves a running unlock its end", Policy{}, func(b *bench) {
			b.policy(restUnlocked)
			b.is(StateUnlocked, ModeResting)
			b.unlock(10 * sec)
			b.policy(Policy{Resting: RestLocked})
			b.is(StateUnlocked, ModeMomentary)
			b.pass(10 * sec)
			b.is(StateLocked, ModeResting)
		}},
		{"a policy does not open a door that is held locked or in lockdown", Policy{}, func(b *bench) {
			b.lock()
			b.policy(restUnlocked)
			b.is(StateLocked, ModeHeldLocked)
			b.lock(time.Hour)
			b.is(StateLocked, ModeLockdown)
		}},
		{"an ordered stop ends any unlock and locks", restUnlocked, func(b *bench) {
			b.hold()
			b.step(b.m.stop)
			b.is(StateLocked, ModeResting)
			b.press() // egress is served to the last
			b.is(StateUnlocked, ModeMomentary)
			b.step(b.m.stop)
			b.is(StateLocked, ModeResting)
		}},
		{"a clock that steps back revives nothing", Policy{}, func(b *bench) {
			b.unlock(5 * sec)
			b.pass(5 * sec)
			b.now = 0
			b.step(b.m.tick)
			b.is(StateLocked, ModeResting)
			b.unlock(5 * sec)
			b.ends(10 * sec)
		}},
	} {
		t.Run(row.sentence, func(t *testing.T) { row.play(newBench(t, row.policy)) })
	}
}

// TestEgress has a row for each sentence about the request-to-exit button.
func TestEgress(t *testing.T) {
	for _, row := range []struct {
		sentence string
		before   func(*bench)
		during   Mode  // while it is open
		after    State // when it has ended
		mode     Mode
	}{
		{"at rest it reads as momentary", func(*bench) {}, ModeMomentary, StateLocked, ModeResting},
		{"it opens a door that is held locked, which it stays", func(b *bench) { b.lock() }, ModeHeldLocked, StateLocked, ModeHeldLocked},
		{"it opens in lockdown, which goes on", func(b *bench) { b.lock(hour) }, ModeLockdown, StateLocked, ModeLockdown},
		{"it opens when a lockdown ends meanwhile", func(b *bench) { b.lock(2 * sec) }, ModeLockdown, StateLocked, ModeResting},
		{"it leaves heldUnlocked alone", func(b *bench) { b.hold() }, ModeHeldUnlocked, StateUnlocked, ModeHeldUnlocked},
		{"it opens a door that rests unlocked", func(b *bench) { b.policy(Policy{Resting: RestUnlocked}) }, ModeMomentary, StateUnlocked, ModeResting},
	} {
		t.Run(row.sentence, func(t *testing.T) {
			b := newBench(t, Policy{})
			row.before(b)
			b.events = nil
			b.press()
			b.is(StateUnlocked, row.during)
			if len(b.events) == 0 || b.events[0] != EventExit {
				t.Errorf("events %v", b.events)
			}
			b.pass(4 * sec)
			if b.m.State != StateUnlocked {
				t.Errorf("%s after 4 s", b.m.State)
			}
			b.pass(sec)
			b.is(row.after, row.mode)
		})
	}
	t.Run("it acts on the press edge only", func(t *testing.T) {
		b := newBench(t, Policy{})
		b.press()
		b.pass(5 * sec)
		b.is(StateLocked, ModeResting) // still held
		b.press()                      // the same press, said again
		b.is(StateLocked, ModeResting)
		b.release()
		b.is(StateLocked, ModeResting)
		b.press()
		b.is(StateUnlocked, ModeMomentary)
		b.heard(EventExit, EventUnlocked, EventLocked, EventExit, EventUnlocked)
	})
	t.Run("held longer than 30 s it is the alarm buttonStuck", func(t *testing.T) {
		b := newBench(t, Policy{})
		b.press()
		b.pass(30*sec - 1)
		b.alarm(AlarmNone)
		b.pass(1)
		b.alarm(AlarmButtonStuck)
		b.heard(EventExit, EventUnlocked, EventLocked, EventButtonStuck)
		b.pass(hour)
		b.heard()
		b.release()
		b.alarm(AlarmNone)
	})
}
