package gpio

import "time"

// driven closes a step: the line has been driven to what was wanted, or could
// not be. It works out the state, the alarms and the times, and returns the
// events of the step, oldest first.
func (m *machine) driven(ok bool) []Event {
	turned := m.noteLevel(ok)
	m.noteSensors(turned)
	m.noteAlarms()
	m.noteState()
	events := m.events
	m.events = nil
	return events
}

// noteLevel takes over the level that was driven, and tells whether it changed.
func (m *machine) noteLevel(ok bool) (turned bool) {
	m.faulty = !ok
	if !ok || m.Unlocked == m.wantsUnlocked() {
		return false
	}
	m.Unlocked = !m.Unlocked
	if !m.Unlocked {
		m.RelockedAt = m.now
	}
	return true
}

// noteSensors keeps the time that a disagreeing sensor has to come round. It
// begins with the disagreement, and again when the command changes.
func (m *machine) noteSensors(turned bool) {
	agrees, _ := m.sensed()
	switch {
	case agrees:
		m.SettleEnd = 0
	case turned || m.SettleEnd == 0:
		m.SettleEnd = m.now + m.settings.SettleTime
	}
}

// sensed compares the sensors with the level that is driven. proven says that a
// sensor shows it; a closed contact shows nothing, see Status.
func (m *machine) sensed() (agrees, proven bool) {
	if m.Unlocked {
		agrees = m.Bolt != Active
		proven = m.Bolt == Inactive || m.Bolt == Absent && m.Contact == ContactOpen
		return agrees, proven
	}
	agrees = m.Bolt != Inactive && m.Contact != ContactOpen
	return agrees, agrees && m.Bolt == Active
}

// noteAlarms raises and clears the alarms. Forced is raised and cleared where the
// contact changes.
func (m *machine) noteAlarms() {
	free := !m.stopping && (m.Base == ModeHeldUnlocked || m.Base == ModeResting && m.policy.Resting == RestUnlocked)
	if free != m.FreeToOpen {
		m.FreeToOpen, m.OpenSince = free, m.now
	}
	m.raise(&m.Held, due(m.heldOpenAt(), m.now), EventHeldOpen)
	m.raise(&m.Stuck, due(m.StuckAt, m.now), EventButtonStuck)
}

// heldOpenAt is when the door will have stood open for too long, or zero.
func (m *machine) heldOpenAt() time.Duration {
	if m.Contact != ContactOpen || m.FreeToOpen || m.Forced {
		return 0
	}
	return m.OpenSince + m.policy.HeldOpenAfter
}

func (m *machine) raise(alarm *bool, now bool, event EventName) {
	if now && !*alarm {
		m.emit(event)
	}
	*alarm = now
}

// noteState works out what is reported, and the events that follow from it.
func (m *machine) noteState() {
	state, mode := m.state(), m.mode()
	switch lockdown := mode == ModeLockdown; {
	case lockdown && m.Mode != ModeLockdown:
		m.emit(EventLockdownBegan)
	case !lockdown && m.Mode == ModeLockdown:
		m.emit(EventLockdownEnded)
	}
	if state != m.State || mode != m.Mode {
		m.State, m.Mode, m.Since = state, mode, m.now
	}
	if state == m.Settled {
		return
	}
	switch state {
	case StateLocked:
		m.emit(EventLocked)
	case StateUnlocked:
		m.emit(EventUnlocked)
	case StateJammed:
		m.emit(EventJammed)
	default: // on the way, or unknown: it will be said when it is known
		return
	}
	m.Settled = state
}

func (m *machine) state() State {
	agrees, _ := m.sensed()
	switch {
	case m.faulty:
		return StateUnknown
	case agrees && m.Unlocked:
		return StateUnlocked
	case agrees:
		return StateLocked
	case due(m.SettleEnd, m.now):
		return StateJammed
	case m.Unlocked:
		return StateUnlocking
	default:
		return StateLocking
	}
}

// mode is the base, except that an unlock in a door that rests is told as what it
// is. An exit by the button does not end heldLocked or lockdown.
func (m *machine) mode() Mode {
	if m.Base == ModeResting && m.UnlockEnd != 0 {
		return ModeMomentary
	}
	return m.Base
}

// assumed tells whether the state is a belief.
func (m *machine) assumed() bool {
	agrees, proven := m.sensed()
	return agrees && !proven && !m.faulty
}

// unlockRunning tells whether an unlock runs that a stop would end.
func (m *machine) unlockRunning() bool { return m.UnlockEnd != 0 || m.Base == ModeHeldUnlocked }

// alarm is the gravest one.
func (m *machine) alarm() Alarm {
	switch {
	case m.Forced:
		return AlarmForcedOpen
	case m.Held:
		return AlarmHeldOpen
	case m.Stuck:
		return AlarmButtonStuck
	default:
		return AlarmNone
	}
}

// modeEnd is when the reported mode ends by itself, or zero.
func (m *machine) modeEnd() time.Duration {
	switch m.mode() {
	case ModeLockdown:
		return m.LockdownEnd
	case ModeMomentary:
		return m.UnlockEnd
	default:
		return 0
	}
}

// next is when time alone will change something, or zero if it will not.
func (m *machine) next() time.Duration {
	var next time.Duration
	for _, deadline := range []time.Duration{m.UnlockEnd, m.LockdownEnd, m.SettleEnd, m.StuckAt, m.heldOpenAt()} {
		// What is past has been dealt with in the step that reached it.
		if deadline > m.now && (next == 0 || deadline < next) {
			next = deadline
		}
	}
	return next
}
