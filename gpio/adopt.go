package gpio

import (
	"errors"
	"fmt"
	"time"

	"latchd/internal/atomicfile"
)

// start is what a lock begins with.
type start struct {
	memory memory
	policy Policy
	marks  marks
}

// records is what a start found on disk.
type records struct {
	runtime *runtimeRecord // nil if there is none that can be used
	state   *stateRecord
	// runtimeLost and stateLost say that there was one that cannot be used.
	runtimeLost, stateLost bool
}

// adopt decides how a lock begins: as the process before it left off in the same
// boot, or as a boot leaves a door. It is pure.
func adopt(now instant, bootID string, found records, settings Settings) start {
	s := start{memory: freshMemory(now.boot), policy: settings.Policy}
	rt, st := found.runtime, found.state
	if rt != nil && rt.BootID == bootID && rt.At > now.boot {
		rt, found.runtimeLost = nil, true // from the future: it cannot be believed
	}
	if rt != nil && rt.BootID != bootID {
		rt = nil // the directory should have been emptied by the reboot
	}
	if rt != nil {
		s.resume(*rt, now, settings)
	}
	if st != nil && (rt == nil || st.BootID == bootID && st.At > rt.At && st.At <= now.boot) {
		s.holdOn(*st, now, bootID)
	}
	if found.runtimeLost || found.stateLost && rt == nil {
		s.lockUnlessHeld()
	}
	return s
}

// resume goes on in the same boot. Deadlines that have passed meanwhile are dealt
// with by the machine's first step.
func (s *start) resume(rt runtimeRecord, now instant, settings Settings) {
	s.memory, s.marks = rt.Memory, rt.Marks
	if s.memory.UnlockEnd != 0 {
		s.memory.UnlockEnd = min(s.memory.UnlockEnd, now.boot+settings.MaxUnlockTime)
	}
	if rt.Policy != nil && rt.Policy.Check(settings.MaxUnlockTime) == nil {
		s.policy = *rt.Policy
		s.policy.FromHub = true
	}
}

// holdOn takes heldLocked and lockdown from the durable record: after a boot, or
// in the same boot when the runtime record is missing or is the older of the two.
// Whatever that one knew of an unlock is then out of date.
func (s *start) holdOn(st stateRecord, now instant, bootID string) {
	s.memory.UnlockEnd, s.memory.LockdownEnd = 0, 0
	s.memory.Base = ModeResting
	switch {
	case st.Hold == ModeHeldLocked:
		s.memory.Base = ModeHeldLocked
	case st.Hold != ModeLockdown:
	case st.BootID == bootID && st.At <= now.boot:
		s.lockdown(st.LockdownEnd, st.EndsAt, st.AwaitsClock)
	default:
		remaining, awaits := remainingAfterBoot(st, now)
		if remaining > 0 {
			s.lockdown(now.boot+remaining, st.EndsAt, awaits)
		}
	}
}

// remainingAfterBoot is how long a lockdown goes on after a boot: to its end by
// the wall clock, if that was known before and is known now, else for the time it
// had left when it was recorded. That is too long by what passed since, and never
// too short. awaits says that a trusted clock will tell better.
func remainingAfterBoot(st stateRecord, now instant) (remaining time.Duration, awaits bool) {
	switch {
	case st.EndsAt.IsZero():
		return st.Remaining, false
	case !now.trusted:
		return st.Remaining, true
	default:
		return untilWall(st.EndsAt, now), false
	}
}

// untilWall is the time from now to a wall-clock end, from zero to the longest
// lockdown that can be ordered.
func untilWall(end time.Time, now instant) time.Duration {
	return min(max(end.Sub(now.wall), 0), MaxLockTime)
}

func (s *start) lockdown(end time.Duration, endsAt time.Time, awaitsClock bool) {
	s.memory.Base, s.memory.LockdownEnd = ModeLockdown, end
	s.marks.Until = stamp{Boot: end, Wall: endsAt}
	s.marks.AwaitsClock = awaitsClock
}

// lockUnlessHeld is for a start that lost a record: nobody knows what the door was
// told, so it starts locked. A door that rests unlocked is held locked for that,
// until somebody who knows unlocks it.
func (s *start) lockUnlessHeld() {
	s.memory.UnlockEnd = 0
	if s.memory.Base == ModeResting || s.memory.Base == ModeHeldUnlocked {
		s.memory.Base = ModeResting
		if s.policy.Resting == RestUnlocked {
			s.memory.Base = ModeHeldLocked
		}
	}
}

// findRecords reads both records. One that cannot be used is set aside under
// another name, never deleted, and told in warnings. A record that cannot even be
// moved is left to its recorder, which must not write over it.
func findRecords(runtime, state *recorder) (found records, warnings []string) {
	usable := func(r *recorder, decode func([]byte) error) (lost bool) {
		data, err := readRecord(r.path)
		if err == nil && data == nil {
			return false
		}
		if err == nil {
			if err = decode(data); err == nil {
				return false
			}
		}
		warnings = append(warnings, setAside(r, err))
		return true
	}
	found.runtimeLost = usable(runtime, func(data []byte) error {
		rt, err := decodeRuntime(data)
		if err == nil {
			found.runtime = &rt
		}
		return err
	})
	found.stateLost = usable(state, func(data []byte) error {
		st, err := decodeState(data)
		if err == nil {
			found.state = &st
		}
		return err
	})
	return found, warnings
}

func setAside(r *recorder, cause error) (warning string) {
	why := "damaged"
	if errors.Is(cause, errNewerFormat) {
		why = "newer"
	}
	path, err := atomicfile.SetAside(r.path, why)
	if path == "" {
		r.keepOld(why)
		return fmt.Sprintf("%s cannot be used (%v) and not be set aside: %v", r.path, cause, err)
	}
	return fmt.Sprintf("%s cannot be used (%v); it was set aside as %s", r.path, cause, path)
}
