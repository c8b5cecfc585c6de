package gpio

import (
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"
)

// script turns bytes into inputs of a machine, two bytes each: what, and how much.
// Whatever the bytes, the invariants hold after every step.
func script(t *testing.T, data []byte) {
	b := newBench(t, Policy{})
	var lastPress time.Duration = -1
	for len(data) >= 2 {
		what, how := data[0], data[1]
		data = data[2:]
		long := time.Duration(how) * time.Second / 4
		before := b.m
		switch what % 14 {
		case 0:
			b.pass(time.Duration(how) * time.Millisecond)
		case 1:
			b.pass(time.Duration(how) * time.Minute)
		case 2: // time goes by, and no timer fired
			b.now += time.Duration(how) * time.Second
			continue
		case 3, 4, 5:
			times := [][]time.Duration{{}, {long}, {min(MaxLockTime, time.Duration(how+1)*10*time.Minute)}}
			b.lock(times[what%14-3]...)
			lastPress = -1 // a lock ends what a press began
		case 6:
			accepted := b.unlock(MinUnlockTime + long)
			checkUnlock(t, b, before, accepted)
		case 7:
			checkUnlock(t, b, before, b.hold())
		case 8:
			down := b.m.StuckAt != 0
			b.press()
			if !down {
				lastPress = b.m.now
				if !b.broken && !b.m.Unlocked {
					t.Fatalf("a press does not open in %s", b.m.Mode)
				}
			}
		case 9:
			b.release()
		case 10:
			b.contact([]Contact{ContactNone, ContactOpen, ContactClosed}[how%3])
		case 11:
			b.bolt(Signal(how % 3))
		case 12:
			b.policy(Policy{Resting: []Resting{RestLocked, RestUnlocked}[how%2], UnlockTime: MinUnlockTime + long})
		case 13:
			if how%4 == 0 {
				b.broken = !b.broken
				b.step(b.m.tick)
				break
			}
			restart(t, b)
		}
		checkInvariants(t, b, lastPress)
	}
	checkEnds(t, b)
}

func checkUnlock(t *testing.T, b *bench, before machine, accepted bool) {
	lockdown := before.Base == ModeLockdown && b.m.now < before.LockdownEnd
	if accepted == lockdown {
		t.Fatalf("in %s an unlock was accepted: %t", before.Base, accepted)
	}
	if accepted && !b.broken && !b.m.Unlocked {
		t.Fatal("an accepted unlock did not unlock")
	}
}

// restart puts the memory through its file, as a restart in the same boot does,
// with some of the rest of the boot gone by.
func restart(t *testing.T, b *bench) {
	record := runtimeRecord{Version: runtimeVersion, BootID: "b", At: b.m.now, Memory: b.m.memory}
	back, err := decodeRuntime(encode(record))
	if err != nil {
		t.Fatalf("%+v: %v", record, err)
	}
	if back.Memory != b.m.memory {
		t.Fatalf("wrote %+v, read %+v", b.m.memory, back.Memory)
	}
	before := b.m
	s := adopt(instant{boot: b.m.now}, "b", records{runtime: &back}, b.m.settings)
	b.m.memory = s.memory
	b.step(b.m.tick)
	if before.Base == ModeLockdown && b.m.now < before.LockdownEnd && b.m.LockdownEnd != before.LockdownEnd {
		t.Fatalf("a restart moved the end of a lockdown from %s to %s", before.LockdownEnd, b.m.LockdownEnd)
	}
	if b.now+benchStart == before.now && b.m.Unlocked != before.Unlocked && b.broken == before.faulty {
		t.Fatalf("a restart made an edge: %+v", before)
	}
}

func checkInvariants(t *testing.T, b *bench, lastPress time.Duration) {
	m := &b.m
	if err := m.memory.check(m.now); err != nil {
		t.Fatalf("would not be read back: %v: %+v", err, m.memory)
	}
	if m.UnlockEnd != 0 && (m.UnlockEnd <= m.now || m.UnlockEnd > m.now+m.settings.MaxUnlockTime) {
		t.Fatalf("at %s an unlock ends at %s", m.now, m.UnlockEnd)
	}
	if m.Base == ModeLockdown && (m.LockdownEnd <= m.now || m.LockdownEnd > m.now+MaxLockTime) {
		t.Fatalf("at %s a lockdown ends at %s", m.now, m.LockdownEnd)
	}
	if b.broken {
		if m.State != StateUnknown {
			t.Fatalf("the line is broken and the state %s", m.State)
		}
		return
	}
	if m.Unlocked != m.wantsUnlocked() {
		t.Fatal("the line is not where it should be")
	}
	exit := lastPress >= 0 && m.now < lastPress+m.settings.MaxUnlockTime
	if m.Unlocked && (m.Base == ModeLockdown || m.Base == ModeHeldLocked) && (m.UnlockEnd == 0 || !exit) {
		t.Fatalf("unlocked in %s without the button", m.Base)
	}
	open := m.Contact == ContactOpen
	if m.State == StateLocked && (m.Unlocked || open || m.Bolt == Inactive) {
		t.Fatalf("locked is not true: %+v", m.memory)
	}
	if m.State == StateUnlocked && (!m.Unlocked || m.Bolt == Active) {
		t.Fatalf("unlocked is not true: %+v", m.memory)
	}
	if m.assumed() && m.Bolt != Absent {
		t.Fatalf("assumed beside a bolt sensor: %+v", m.memory)
	}
	if (m.Mode == ModeMomentary) != (m.Base == ModeResting && m.UnlockEnd != 0) {
		t.Fatalf("mode %s with base %s", m.Mode, m.Base)
	}
	if m.Held && !open || m.Stuck && m.StuckAt == 0 {
		t.Fatalf("an alarm without its cause: %+v", m.memory)
	}
}

// checkEnds leaves the door alone: what has an end must end.
func checkEnds(t *testing.T, b *bench) {
	b.broken = false
	b.step(b.m.tick) // as the driver's retry
	b.pass(MaxLockTime + b.m.settings.MaxUnlockTime)
	if b.m.UnlockEnd != 0 || b.m.Base == ModeLockdown {
		t.Fatalf("does not end: %+v", b.m.memory)
	}
	if next := b.m.next(); next != 0 {
		t.Fatalf("nothing goes on, and yet there is a deadline at %s: %s, %+v", next, b.m.now, b.m.memory)
	}
	if b.m.Unlocked && b.m.Base != ModeHeldUnlocked && b.m.policy.Resting != RestUnlocked {
		t.Fatalf("still unlocked: %+v", b.m.memory)
	}
}

func FuzzMachine(f *testing.F) {
	f.Add([]byte{5, 10, 8, 0, 1, 1})                       // press in lockdown
	f.Add([]byte{6, 40, 8, 0, 3, 0, 9, 0, 8, 0})           // press, lock, press
	f.Add([]byte{7, 0, 4, 20, 2, 9, 6, 1, 1, 5})           // a late timer
	f.Add([]byte{10, 2, 10, 1, 13, 1, 1, 9, 10, 2})        // forced open across a restart
	f.Add([]byte{11, 2, 6, 200, 13, 3, 0, 255, 11, 1})     // a slow bolt
	f.Add([]byte{12, 1, 5, 1, 1, 30, 12, 0, 13, 0, 7, 0})  // policies and a broken line
	f.Add([]byte{13, 0, 8, 0, 13, 0, 9, 0, 13, 0, 6, 255}) // the line comes and goes
	f.Fuzz(script)
}

func TestMachineKeepsItsInvariants(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		data := make([]byte, 2+2*r.IntN(60))
		for i := range data {
			data[i] = byte(r.Uint32())
		}
		script(t, data)
		if t.Failed() {
			t.Fatalf("script %v", data)
		}
	}
}

func FuzzStateRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"bootId":"a","at":5,"hold":"lockdown","lockdownEnd":60000000005,"remaining":60000000000,"endsAt":"2026-11-22T10:00:00Z"}`))
	f.Add([]byte(`{"version":1,"bootId":"a","at":5,"hold":"heldLocked"}`))
	f.Add([]byte(`{"version":1,"bootId":"a","at":5}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"bootId":"a","at":9223372036854775807,"hold":"lockdown","lockdownEnd":9223372036854775807}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		st, err := decodeState(data)
		if err != nil {
			return
		}
		if again, err := decodeState(encode(st)); err != nil || again != st {
			t.Fatalf("%+v came back as %+v, %v", st, again, err)
		}
		settings, _ := Settings{}.Complete()
		for _, boot := range []string{st.BootID, "another"} {
			now := instant{boot: time.Minute, wall: time.Unix(1.8e9, 0), trusted: len(data)%2 == 0}
			s := adopt(now, boot, records{state: &st}, settings)
			if s.memory.Base == ModeHeldUnlocked || s.memory.UnlockEnd != 0 {
				t.Fatalf("a state record unlocked the door: %+v", s.memory)
			}
			if err := s.memory.check(max(now.boot, st.At)); err != nil {
				t.Fatalf("%+v adopted as %+v: %v", st, s.memory, err)
			}
		}
	})
}

func FuzzRuntimeRecord(f *testing.F) {
	f.Add([]byte(`{"version":1,"bootId":"a","at":5,"memory":{"base":"resting","state":"locked","mode":"resting","since":1,"settled":"locked"}}`))
	f.Add([]byte(`{"version":1,"bootId":"a","at":5,"memory":{"base":"resting","unlockEnd":60000000000,"unlocked":true,"state":"unlocked","mode":"momentary","since":1,"settled":"unlocked"},"policy":{"resting":"unlocked"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		rt, err := decodeRuntime(data)
		if err != nil {
			return
		}
		settings, _ := Settings{}.Complete()
		now := instant{boot: time.Minute}
		s := adopt(now, rt.BootID, records{runtime: &rt}, settings)
		m := machine{settings: settings, policy: s.policy, memory: s.memory}
		m.tick(now.boot)
		m.driven(true)
		if m.UnlockEnd > now.boot+settings.MaxUnlockTime || m.LockdownEnd > now.boot+MaxLockTime {
			t.Fatalf("%s: %+v", data, m.memory)
		}
		if err := s.policy.Check(settings.MaxUnlockTime); err != nil {
			t.Fatalf("%s: %v", data, err)
		}
	})
}

// The records are read by later versions: their fields are an interface.
func TestRecordFormat(t *testing.T) {
	st := stateRecord{
		Version: 1, BootID: "b", At: 1, Hold: ModeLockdown, LockdownEnd: 3, Remaining: 2,
		EndsAt: time.Unix(1.8e9, 0).UTC(), AwaitsClock: true,
	}
	const want = `{"version":1,"bootId":"b","at":1,"hold":"lockdown","lockdownEnd":3,"remaining":2,"endsAt":"2027-01-15T08:00:00Z","awaitsClock":true}` + "\n"
	if got := string(encode(st)); got != want {
		t.Errorf("state record %s", got)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(encode(runtimeRecord{Version: 1, Policy: &Policy{}}), &fields); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"version", "bootId", "at", "policy", "memory", "marks"} {
		if fields[name] == nil {
			t.Errorf("the runtime record has no %q", name)
		}
	}
}
