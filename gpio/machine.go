package gpio

import "time"

const (
	// stuckAfter is how long a button is held by nobody: taped down, or a broken
	// wire. It is public interface.
	stuckAfter = 30 * time.Second
	// relockGrace is how soon after a relock an opening still belongs to the
	// unlock: the leaf was already moving, and the contact is debounced.
	relockGrace = time.Second
)

// machine decides what the door does. It is pure: every method is told the time,
// nothing blocks, and a copy of the value is a full copy.
//
// Each step has three parts. An input method (lockDoor, press, contact, ...)
// changes what is wanted; the caller drives the line to wantsUnlocked and tells
// the result with driven; driven works out what is now true and returns the
// events since the last step.
//
// Times are readings of the boot-time clock. Deadlines of zero mean none, which
// is unambiguous because a deadline is a reading plus a positive duration.
type machine struct {
	settings Settings
	policy   Policy
	memory

	faulty   bool // the line could not be set: its level is not known
	stopping bool // an ordered stop has begun: locked, whatever the policy rests in
	now      time.Duration
	cause    Cause // of what happens in this step
	events   []Event
}

// memory is the part of the machine that outlives the process within one boot.
// It is comparable.
type memory struct {
	// Base is what the door was told to do, apart from an unlock that ends by
	// itself: ModeResting, ModeHeldUnlocked, ModeHeldLocked or ModeLockdown.
	Base        Mode          `json:"base"`
	LockdownEnd time.Duration `json:"lockdownEnd,omitzero"` // with ModeLockdown only
	UnlockEnd   time.Duration `json:"unlockEnd,omitzero"`   // of the unlock that ends by itself

	Unlocked   bool          `json:"unlocked,omitzero"`   // the level driven last
	RelockedAt time.Duration `json:"relockedAt,omitzero"` // zero: never

	Contact   Contact       `json:"contact,omitzero"`
	Bolt      Signal        `json:"bolt,omitzero"`
	SettleEnd time.Duration `json:"settleEnd,omitzero"` // zero: no sensor disagrees
	StuckAt   time.Duration `json:"stuckAt,omitzero"`   // when the press counts as stuck; zero: released

	// FreeToOpen says that the door may stand open for as long as anybody likes;
	// OpenSince is from when an open door counts towards heldOpen.
	FreeToOpen bool          `json:"freeToOpen,omitzero"`
	OpenSince  time.Duration `json:"openSince,omitzero"`

	Forced bool `json:"forced,omitzero"` // the three alarms
	Held   bool `json:"held,omitzero"`
	Stuck  bool `json:"stuck,omitzero"`

	State   State         `json:"state"` // as reported last
	Mode    Mode          `json:"mode"`
	Since   time.Duration `json:"since"`   // when State or Mode changed
	Settled State         `json:"settled"` // the last of locked, unlocked and jammed
}

// freshMemory is a door after a boot: locked, and nothing known of the sensors.
func freshMemory(now time.Duration) memory {
	return memory{Base: ModeResting, State: StateLocked, Mode: ModeResting, Settled: StateLocked, Since: now}
}

// begin opens a step: it moves the time on and ends what has run out.
func (m *machine) begin(now time.Duration, cause Cause) {
	m.now = max(m.now, now) // a clock that seems to go back must not revive a deadline
	m.cause = cause
	if due(m.UnlockEnd, m.now) {
		m.UnlockEnd = 0
	}
	if due(m.LockdownEnd, m.now) {
		m.Base, m.LockdownEnd = ModeResting, 0
	}
}

func due(deadline, now time.Duration) bool { return deadline != 0 && now >= deadline }

// tick lets time pass.
func (m *machine) tick(now time.Duration) { m.begin(now, CauseTime) }

// lockDoor holds the door locked, or puts it in lockdown for a lockTime above
// zero. It ends any unlock, also one by the button.
func (m *machine) lockDoor(now time.Duration, lockTime *time.Duration) {
	m.begin(now, CauseCommand)
	m.UnlockEnd = 0
	switch {
	case lockTime != nil && *lockTime > 0:
		m.Base, m.LockdownEnd = ModeLockdown, m.now+*lockTime
	case lockTime == nil && m.Base == ModeLockdown: // the lockdown goes on
	default:
		m.Base, m.LockdownEnd = ModeHeldLocked, 0
	}
}

// unlockDoor unlocks for the given time, or for as long as nobody locks. It
// returns false, and does nothing, during a lockdown.
func (m *machine) unlockDoor(now, unlockTime time.Duration, hold bool) bool {
	m.begin(now, CauseCommand)
	switch {
	case m.Base == ModeLockdown:
		return false
	case hold:
		m.Base, m.UnlockEnd = ModeHeldUnlocked, 0
	case m.Base == ModeHeldLocked:
		m.Base = ModeResting
	}
	m.open(unlockTime)
	return true
}

// open begins or extends the unlock that ends by itself. "Extends" is meant: a
// short press does not cut a longer unlock that somebody else was given.
func (m *machine) open(unlockTime time.Duration) {
	m.OpenSince = m.now // whoever was let in anew has the full time to pass
	if m.Base != ModeHeldUnlocked {
		m.UnlockEnd = max(m.UnlockEnd, m.now+unlockTime)
	}
}

// button takes what the request-to-exit button says. The press opens in every
// mode; the release only clears the alarm.
func (m *machine) button(now time.Duration, pressed bool) {
	m.begin(now, CauseButton)
	switch {
	case pressed && m.StuckAt == 0:
		m.StuckAt = m.now + stuckAfter
		m.emit(EventExit)
		m.open(m.policy.UnlockTime)
	case !pressed:
		m.StuckAt = 0
	}
}

// contact takes what the door's contact says. Only closed-to-open is an opening:
// a contact that was just fitted, or just became readable, has seen nothing.
func (m *machine) contact(now time.Duration, c Contact) {
	m.begin(now, CauseSensor)
	was := m.Contact
	m.Contact = c
	switch {
	case c == ContactOpen && was != ContactOpen:
		m.OpenSince = m.now
		if was == ContactClosed {
			m.emit(EventOpened)
			m.judgeOpening()
		}
	case c == ContactClosed && was == ContactOpen:
		m.emit(EventClosed)
	}
	if c == ContactClosed {
		m.Forced = false
	}
}

// judgeOpening raises the alarm if nobody was allowed to open the door. Unlocked
// is the level that was driven until now: an unlock whose deadline passed in this
// very step still counts.
func (m *machine) judgeOpening() {
	justRelocked := m.RelockedAt != 0 && m.now < m.RelockedAt+relockGrace
	if !m.Unlocked && !justRelocked && !m.faulty {
		m.Forced = true
		m.emit(EventForcedOpen)
	}
}

// bolt takes what the bolt sensor says: Active is thrown.
func (m *machine) bolt(now time.Duration, s Signal) {
	m.begin(now, CauseSensor)
	m.Bolt = s
}

// setPolicy puts another policy in force. An unlock that runs keeps its end.
func (m *machine) setPolicy(now time.Duration, p Policy) {
	m.begin(now, CausePolicy)
	m.policy = p
}

// setSettings takes settings of which the hardware's part is the same. An unlock
// that runs keeps its end, and a policy of the hub's stays if it is within the new
// bounds.
func (m *machine) setSettings(now time.Duration, s Settings) {
	m.begin(now, CausePolicy)
	m.settings = s
	if !m.policy.FromHub || m.policy.Check(s.MaxUnlockTime) != nil {
		m.policy = s.Policy
	}
}

// moveLockdownEnd sets another end for a lockdown that goes on, when a better
// clock becomes available. An end that has passed ends it.
func (m *machine) moveLockdownEnd(now, end time.Duration) {
	m.begin(now, CauseTime)
	if m.Base == ModeLockdown {
		m.LockdownEnd = end
		m.begin(now, CauseTime)
	}
}

// stop ends every unlock for good and locks. The button still opens.
func (m *machine) stop(now time.Duration) {
	m.begin(now, CauseStop)
	m.stopping = true
	m.endUnlocks()
}

// distrust is for a start that finds the line locked although the memory says
// that the door is open. The line is right. The local policy replaces one from
// the hub, which the hub will confirm again.
//
// wasUnlocked says that the memory has the line unlocked: then somebody locked,
// and could not record it. A door that rests unlocked is held locked for that,
// or it would open again as soon as a policy says so.
func (m *machine) distrust(local Policy, wasUnlocked bool) {
	restsUnlocked := m.policy.Resting == RestUnlocked || local.Resting == RestUnlocked
	m.policy = local
	m.endUnlocks()
	if wasUnlocked && restsUnlocked && m.Base == ModeResting {
		m.Base = ModeHeldLocked
	}
}

func (m *machine) endUnlocks() {
	m.UnlockEnd = 0
	if m.Base == ModeHeldUnlocked {
		m.Base = ModeResting
	}
}

// wantsUnlocked is what the line should do now.
func (m *machine) wantsUnlocked() bool {
	switch {
	case m.UnlockEnd != 0:
		return true
	case m.stopping:
		return false
	case m.Base == ModeResting:
		return m.policy.Resting == RestUnlocked
	default:
		return m.Base == ModeHeldUnlocked
	}
}

func (m *machine) emit(name EventName) {
	m.events = append(m.events, Event{Name: name, Cause: m.cause, At: m.now})
}
