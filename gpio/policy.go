package gpio

import "time"

// Resting is what a door returns to by itself.
type Resting string

const (
	// RestLocked is the default: the door locks again after each unlock.
	RestLocked Resting = "locked"
	// RestUnlocked leaves the door open to all, as for a shop in its hours.
	RestUnlocked Resting = "unlocked"
)

// Policy is how the door behaves by itself. It may be changed while the lock
// runs, see [Lock.SetPolicy].
type Policy struct {
	// Resting is what the door returns to when no unlock runs and nothing holds it.
	Resting Resting `json:"resting"`
	// UnlockTime is how long the button, or an unlock command without a time,
	// opens: MinUnlockTime to the configured maximum.
	UnlockTime time.Duration `json:"unlockTime"`
	// HeldOpenAfter is how long the door may stand open after an unlock before it
	// is the alarm [AlarmHeldOpen]: 1 s to 24 h.
	HeldOpenAfter time.Duration `json:"heldOpenAfter"`
	// FromHub says that the hub confirmed this policy in this boot. Such a policy
	// goes on after a restart in the same boot, and is forgotten at a reboot.
	FromHub bool `json:"fromHub,omitzero"`
}

const (
	// DefaultUnlockTime is enough to open a door that was heard to unlock.
	DefaultUnlockTime = 5 * time.Second
	// DefaultHeldOpenAfter lets a person with a trolley pass without an alarm.
	DefaultHeldOpenAfter = 30 * time.Second
	// DefaultMaxUnlockTime bounds a single unlock; whoever needs the door open
	// for longer says so with a hold, which is reported as one.
	DefaultMaxUnlockTime = 5 * time.Minute
	// DefaultSettleTime covers a motor lock, the slowest to throw its bolt.
	DefaultSettleTime = 3 * time.Second

	// MinUnlockTime is the shortest pulse that an electric strike answers to.
	MinUnlockTime = 100 * time.Millisecond
	// MinLockTime and MaxLockTime bound a lockdown.
	MinLockTime = time.Second
	MaxLockTime = 24 * time.Hour

	minHeldOpenAfter = time.Second
	maxHeldOpenAfter = 24 * time.Hour
	minSettleTime    = 100 * time.Millisecond
	maxSettleTime    = time.Minute
	maxMaxUnlockTime = 24 * time.Hour
)

// withDefaults fills what a configuration left out.
func (p Policy) withDefaults() Policy {
	if p.Resting == "" {
		p.Resting = RestLocked
	}
	if p.UnlockTime == 0 {
		p.UnlockTime = DefaultUnlockTime
	}
	if p.HeldOpenAfter == 0 {
		p.HeldOpenAfter = DefaultHeldOpenAfter
	}
	return p
}

// Check tells whether every field is in its range, where an unlock may last
// maxUnlockTime at most. It fills in nothing: a zero is out of range. The error
// is a [*RangeError] or a [*ChoiceError].
func (p Policy) Check(maxUnlockTime time.Duration) error {
	if p.Resting != RestLocked && p.Resting != RestUnlocked {
		return &ChoiceError{Name: "resting", Value: string(p.Resting), Choices: []string{"locked", "unlocked"}}
	}
	if err := inRange("unlockTime", p.UnlockTime, MinUnlockTime, maxUnlockTime); err != nil {
		return err
	}
	return inRange("heldOpenAfter", p.HeldOpenAfter, minHeldOpenAfter, maxHeldOpenAfter)
}

// inRange returns a *RangeError unless value is in [lowest, highest].
func inRange(name string, value, lowest, highest time.Duration) error {
	if value < lowest || value > highest {
		return &RangeError{Name: name, Value: value, Min: lowest, Max: highest}
	}
	return nil
}
