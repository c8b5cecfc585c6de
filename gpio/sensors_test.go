package gpio

import (
	"testing"
	"time"
)

// TestSensors has a row for what each sensor can prove.
func TestSensors(t *testing.T) {
	settle := DefaultSettleTime
	for _, row := range []struct {
		sentence string
		play     func(*bench)
	}{
		{"without a sensor the state is assumed", func(b *bench) {
			b.assumed(true)
			b.unlock(5 * sec)
			b.is(StateUnlocked, ModeMomentary)
			b.assumed(true)
		}},
		{"a bolt proves both states", func(b *bench) {
			b.bolt(Active)
			b.is(StateLocked, ModeResting)
			b.assumed(false)
			b.unlock(5 * sec)
			b.is(StateUnlocking, ModeMomentary)
			b.bolt(Inactive)
			b.is(StateUnlocked, ModeMomentary)
			b.assumed(false)
			b.heard(EventUnlocked)
			b.pass(5 * sec)
			b.is(StateLocking, ModeResting)
			b.heard()
			b.bolt(Active)
			b.is(StateLocked, ModeResting)
			b.heard(EventLocked)
		}},
		{"a bolt that does not follow is jammed after the settle time", func(b *bench) {
			b.bolt(Active)
			b.hold()
			b.pass(settle - 1)
			b.is(StateUnlocking, ModeHeldUnlocked)
			b.pass(1)
			b.is(StateJammed, ModeHeldUnlocked)
			b.heard(EventJammed)
			b.bolt(Inactive)
			b.is(StateUnlocked, ModeHeldUnlocked)
			b.heard(EventUnlocked)
		}},
		{"jammed clears by itself when the command changes to what is sensed", func(b *bench) {
			b.bolt(Active)
			b.hold()
			b.pass(settle)
			b.is(StateJammed, ModeHeldUnlocked)
			b.lock()
			b.is(StateLocked, ModeHeldLocked)
			b.heard(EventJammed, EventLocked)
		}},
		{"a new command gives the bolt its time again", func(b *bench) {
			b.bolt(Active)
			b.contact(ContactOpen) // so that locked is not true either
			b.pass(settle)
			b.is(StateJammed, ModeResting)
			b.hold()
			b.is(StateUnlocking, ModeHeldUnlocked)
			b.pass(settle)
			b.is(StateJammed, ModeHeldUnlocked)
		}},
		{"a bolt that moves by itself is told", func(b *bench) {
			b.bolt(Active)
			b.bolt(Inactive) // with a key
			b.is(StateLocking, ModeResting)
			b.pass(settle)
			b.is(StateJammed, ModeResting)
		}},
		{"a closed contact proves nothing about the bolt", func(b *bench) {
			b.contact(ContactClosed)
			b.is(StateLocked, ModeResting)
			b.assumed(true)
			b.unlock(5 * sec)
			b.is(StateUnlocked, ModeMomentary)
			b.assumed(true)
		}},
		{"an open door is not locked, whatever the line says", func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * sec)
			b.contact(ContactOpen)
			b.is(StateUnlocked, ModeMomentary)
			b.assumed(false)
			b.pass(5 * sec)
			b.is(StateLocking, ModeResting)
			b.assumed(false)
			b.pass(settle)
			b.is(StateJammed, ModeResting)
			b.contact(ContactClosed)
			b.is(StateLocked, ModeResting)
			b.heard(EventUnlocked, EventOpened, EventJammed, EventClosed, EventLocked)
		}},
		{"a bolt thrown beside an open leaf does not lock the door", func(b *bench) {
			b.bolt(Active)
			b.contact(ContactOpen)
			b.pass(settle)
			b.is(StateJammed, ModeResting)
		}},
		{"a line that cannot be set leaves the state unknown", func(b *bench) {
			b.broken = true
			b.unlock(5 * sec)
			b.is(StateUnknown, ModeMomentary)
			b.assumed(false)
			b.broken = false
			b.step(b.m.tick)
			b.is(StateUnlocked, ModeMomentary)
			b.heard(EventUnlocked)
		}},
	} {
		t.Run(row.sentence, func(t *testing.T) { row.play(newBench(t, Policy{})) })
	}
}

// TestAlarms has a row for each way into and out of the alarms of the contact.
func TestAlarms(t *testing.T) {
	held := DefaultHeldOpenAfter
	for _, row := range []struct {
		sentence string
		policy   Policy
		play     func(*bench)
	}{
		{"forced open: opened while locked, without unlock or exit", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.contact(ContactOpen)
			b.alarm(AlarmForcedOpen)
			b.heard(EventOpened, EventForcedOpen)
			b.pass(hour)
			b.alarm(AlarmForcedOpen)
			b.heard(EventJammed) // one alarm about one open door
			b.unlock(5 * sec)
			b.alarm(AlarmForcedOpen) // nobody has seen it closed
			b.contact(ContactNone)
			b.alarm(AlarmForcedOpen)
			b.contact(ContactClosed)
			b.alarm(AlarmNone)
		}},
		{"forced open in lockdown and when held locked", Policy{}, func(b *bench) {
			for _, lockTime := range []time.Duration{0, hour} {
				b.contact(ContactClosed)
				b.pass(2 * relockGrace)
				b.lock(lockTime)
				b.contact(ContactOpen)
				b.alarm(AlarmForcedOpen)
			}
		}},
		{"opening during an unlock is not forced", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * sec)
			b.contact(ContactOpen)
			b.alarm(AlarmNone)
		}},
		{"opening after a press is not forced, in lockdown too", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.lock(hour)
			b.press()
			b.contact(ContactOpen)
			b.alarm(AlarmNone)
		}},
		{"opening just after the relock is not forced, later it is", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * sec)
			b.pass(5*sec + relockGrace - 1)
			b.contact(ContactOpen)
			b.alarm(AlarmNone)
			b.contact(ContactClosed)
			b.pass(1)
			b.contact(ContactOpen)
			b.alarm(AlarmForcedOpen)
		}},
		{"a late timer does not make an opening forced", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * sec)
			b.now += 6 * sec // no tick: the contact comes first
			b.contact(ContactOpen)
			b.alarm(AlarmNone)
		}},
		{"standing open at the relock is held open, not forced", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * sec)
			b.contact(ContactOpen)
			b.pass(held - 1)
			b.alarm(AlarmNone)
			b.pass(1)
			b.alarm(AlarmHeldOpen)
			b.contact(ContactClosed)
			b.alarm(AlarmNone)
			b.heard(EventUnlocked, EventOpened, EventJammed, EventHeldOpen, EventClosed, EventLocked)
		}},
		{"held open counts from the newest unlock", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * sec)
			b.contact(ContactOpen)
			b.pass(held - sec)
			b.press()
			b.pass(held - 1)
			b.alarm(AlarmNone)
			b.pass(1)
			b.alarm(AlarmHeldOpen)
			b.release()
			b.press()
			b.alarm(AlarmNone)
		}},
		{"held open is told also while a long unlock still runs", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.unlock(5 * time.Minute)
			b.contact(ContactOpen)
			b.pass(held)
			b.alarm(AlarmHeldOpen)
		}},
		{"no held open while held unlocked; from its end it counts", Policy{}, func(b *bench) {
			b.contact(ContactClosed)
			b.hold()
			b.contact(ContactOpen)
			b.pass(hour)
			b.alarm(AlarmNone)
			b.lock()
			b.pass(held - 1)
			b.alarm(AlarmNone)
			b.pass(1)
			b.alarm(AlarmHeldOpen)
		}},
		{"no held open while the door rests unlocked", Policy{Resting: RestUnlocked}, func(b *bench) {
			b.contact(ContactClosed)
			b.contact(ContactOpen)
			b.pass(hour)
			b.alarm(AlarmNone)
			b.policy(Policy{})
			b.pass(held)
			b.alarm(AlarmHeldOpen)
		}},
		{"a door found open is not forced, and in time held open", Policy{}, func(b *bench) {
			b.contact(ContactOpen)
			b.alarm(AlarmNone)
			b.pass(held)
			b.alarm(AlarmHeldOpen)
			b.heard(EventJammed, EventHeldOpen)
		}},
		{"another heldOpenAfter applies at once", Policy{}, func(b *bench) {
			b.contact(ContactOpen)
			b.pass(10 * sec)
			b.policy(Policy{HeldOpenAfter: 10 * sec})
			b.alarm(AlarmHeldOpen)
			b.policy(Policy{HeldOpenAfter: 20 * sec})
			b.alarm(AlarmNone)
		}},
		{"the gravest alarm is told", Policy{}, func(b *bench) {
			b.press()
			b.pass(stuckAfter)
			b.alarm(AlarmButtonStuck)
			b.contact(ContactOpen)
			b.pass(held)
			b.alarm(AlarmHeldOpen)
			b.contact(ContactClosed)
			b.contact(ContactOpen)
			b.alarm(AlarmForcedOpen)
			b.contact(ContactClosed)
			b.alarm(AlarmButtonStuck)
		}},
	} {
		t.Run(row.sentence, func(t *testing.T) { row.play(newBench(t, row.policy)) })
	}
}

func TestLevelOfALock(t *testing.T) {
	for _, row := range []struct {
		mode      FailMode
		activeLow bool
		locked    Level
	}{
		{FailSecure, false, Low}, // no power: locked
		{FailSecure, true, High},
		{FailSafe, false, High}, // power: locked
		{FailSafe, true, Low},
		{"", false, Low},
	} {
		s := Settings{FailMode: row.mode, ActiveLow: row.activeLow}
		if s.Level(true) != row.locked || s.Level(false) == row.locked {
			t.Errorf("%+v: locked is %s, unlocked is %s", row, s.Level(true), s.Level(false))
		}
	}
}

func TestRebootBlockers(t *testing.T) {
	for _, row := range []struct {
		name   string
		status Status
		want   []Blocker
	}{
		{"a door at rest", Status{Mode: ModeResting, FailMode: FailSafe}, nil},
		{"an unlock runs", Status{Mode: ModeMomentary, UnlockRunning: true}, []Blocker{BlockUnlockRunning}},
		{"lockdown of a fail-safe lock", Status{Mode: ModeLockdown, FailMode: FailSafe}, []Blocker{BlockLockdown}},
		{"lockdown of a fail-secure lock", Status{Mode: ModeLockdown, FailMode: FailSecure}, nil},
		{"held locked, fail-safe", Status{Mode: ModeHeldLocked, FailMode: FailSafe}, nil},
		{
			"exit in lockdown with the door open",
			Status{Mode: ModeLockdown, FailMode: FailSafe, UnlockRunning: true, Contact: ContactOpen},
			[]Blocker{BlockUnlockRunning, BlockLockdown, BlockDoorOpen},
		},
	} {
		got := row.status.RebootBlockers()
		if len(got) != len(row.want) {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
			continue
		}
		for i := range got {
			if got[i] != row.want[i] {
				t.Errorf("%s: %v, want %v", row.name, got, row.want)
			}
		}
	}
}
