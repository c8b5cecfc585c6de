package gpio

import "time"

// LockDoor locks, and ends any unlock at once, also one that the button began.
//
//   - Without a lockTime the door is held locked until an unlock, or stays in the
//     lockdown it is in.
//   - A lockTime of MinLockTime to MaxLockTime puts it in lockdown for that time
//     from now; it replaces the end of one that runs.
//   - A lockTime of zero ends a lockdown and leaves the door held locked.
//
// It returns when the line is driven and its record was tried; what a sensor says
// later comes as a [Change]. It acts also if nothing can be recorded, and says so
// in NotRecorded. Errors: a [*RangeError], before anything happened; a
// [*HardwareError], after which the line is tried again until it locks; ErrClosed.
func (l *Lock) LockDoor(lockTime *time.Duration) (Status, error) {
	if lockTime != nil && *lockTime != 0 {
		if err := inRange("lockTime", *lockTime, MinLockTime, MaxLockTime); err != nil {
			return l.Status(), err
		}
	}
	return l.command(func(d *driver) error {
		return d.step(func(now time.Duration) { d.m.lockDoor(now, lockTime) })
	})
}

// UnlockDoor unlocks for the given time (nil: the policy's; MinUnlockTime to the
// configured maximum), or, with hold, until a LockDoor. It ends heldLocked:
// afterwards the door rests. While the door is held unlocked, an unlock with a
// time changes nothing. A second unlock extends the first one from now, and never
// shortens it.
//
// It returns when the line is driven and its record was tried. An unlock that
// could not be recorded (NotRecorded) stands; only a restart before its end would
// lock early, because its end would not be known.
//
// Errors: a [*RangeError] or ErrTimeAndHold, before anything happened; a
// [*LockdownError]; a [*HardwareError], after which the unlock is taken back and
// does not happen later; ErrClosed.
func (l *Lock) UnlockDoor(unlockTime *time.Duration, hold bool) (Status, error) {
	if unlockTime != nil {
		if hold {
			return l.Status(), ErrTimeAndHold
		}
		if err := inRange("unlockTime", *unlockTime, MinUnlockTime, l.Settings().MaxUnlockTime); err != nil {
			return l.Status(), err
		}
	}
	asked := l.d.cfg.BootTime()
	return l.command(func(d *driver) error {
		t := d.m.policy.UnlockTime
		if unlockTime != nil {
			t = *unlockTime
		}
		return d.unlock(asked, t, hold)
	})
}

// SetPolicy puts another policy in force at once. Every field must be in its range
// (see [Policy.Check]). A policy from the hub is set only after the hub confirmed
// it in this boot, and says so in FromHub: it then goes on after a restart in the
// same boot, and Policy tells so.
//
// Errors: a [*RangeError] or [*ChoiceError], before anything happened; ErrClosed;
// a [*HardwareError] if the line hangs. A line that cannot be driven is no error
// of the policy, which is in force: the Status tells, and the line is tried again.
func (l *Lock) SetPolicy(p Policy) error {
	if err := p.Check(l.Settings().MaxUnlockTime); err != nil {
		return err
	}
	return l.adjust(func(d *driver) {
		_ = d.step(func(now time.Duration) { d.m.setPolicy(now, p) })
	})
}

// SetSettings takes settings of a configuration that was read again, and records
// them as the last good ones. Those of the hardware (lines, active level, fail mode)
// take a new Open, because the line must be requested anew: a change of one is a
// [*RestartError], before anything happened. A policy that the hub confirmed stays
// in force. The other errors are those of SetPolicy, and of [Settings.Complete].
func (l *Lock) SetSettings(s Settings) error {
	s, err := s.Complete()
	if err != nil {
		return err
	}
	now := l.Settings()
	if s == now {
		return nil
	}
	if what := now.otherHardware(s); what != "" {
		return &RestartError{What: what}
	}
	err = l.adjust(func(d *driver) {
		d.cfg.Settings = s
		_ = d.step(func(now time.Duration) { d.m.setSettings(now, s) })
	})
	if err != nil {
		return err
	}
	l.inForce.Store(&s)
	l.settings.record(encodeSettings(s))
	return nil
}

// Settings are those in force.
func (l *Lock) Settings() Settings { return *l.inForce.Load() }

// Policy returns the policy in force.
func (l *Lock) Policy() Policy { return l.d.published.Load().policy }

// WallClockChanged is to be called when the wall clock becomes trusted: the times
// in the status become known, and a lockdown from before the boot gets its true
// end. Its errors are those of SetPolicy after the checks.
func (l *Lock) WallClockChanged() error {
	return l.adjust(func(d *driver) { _ = d.followClock() })
}

// adjust changes what the door does by itself.
func (l *Lock) adjust(change func(*driver)) error {
	_, err := l.do(func(d *driver) error {
		if d.closing {
			return ErrClosed
		}
		change(d)
		return nil
	}, false)
	return err
}
