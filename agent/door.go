package agent

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Bounds of a lockdown; 0 ends one.
const (
	minLockTime = time.Second
	maxLockTime = 24 * time.Hour
)

func parseLockDoor(a *Agent, p *params) action {
	lockTime := p.duration("lockTime", func(d time.Duration) error {
		if d != 0 && (d < minLockTime || d > maxLockTime) {
			return fmt.Errorf("must be 0 or from %s to %s", minLockTime, maxLockTime)
		}
		return nil
	})
	return func(_ context.Context, cmd command) answer {
		return a.moveDoor("lockDoor", cmd, func() (DoorStatus, error) { return a.Door.LockDoor(lockTime) })
	}
}

func parseUnlockDoor(a *Agent, p *params) action {
	unlockTime := p.duration("unlockTime", nil) // the door knows its maximum
	hold := p.boolean("hold")
	if hold && unlockTime != nil {
		p.fail("hold", "and unlockTime exclude each other")
	}
	return func(_ context.Context, cmd command) answer {
		return a.moveDoor("unlockDoor", cmd, func() (DoorStatus, error) { return a.Door.UnlockDoor(unlockTime, hold) })
	}
}

// moveDoor answers when the level is set.
func (a *Agent) moveDoor(name string, cmd command, move func() (DoorStatus, error)) answer {
	if a.Door == nil {
		return reply(503, "no lock is configured on this device: set [door] line in its configuration")
	}
	if !cmd.begin() {
		return notBegun()
	}
	a.doorCommands.begin(cmd.id, a.Machine.Uptime())
	status, err := move()
	a.doorCommands.end(a.Machine.Uptime())
	var (
		lockdown    *LockdownError
		outOfRange  *RangeError
		unavailable *UnavailableError
	)
	switch {
	case errors.As(err, &unavailable):
		return reply(503, "the lock cannot be used: "+unavailable.Error()).with("door", a.doorDocument())
	case errors.As(err, &outOfRange):
		return reply(400, outOfRange.Error())
	case errors.As(err, &lockdown):
		ans := reply(423, lockdown.Error()).with("door", a.doorDocument())
		if !lockdown.Until.IsZero() {
			ans = ans.with("until", formatTime(lockdown.Until))
		}
		return ans
	case err != nil:
		ans := reply(503, "the lock's hardware failed: "+err.Error()).with("door", a.doorDocument())
		ans.acted = true
		return ans
	}
	ans := reply(200, name+" called successfully").with("door", doorDocument(status))
	if status.Unsaved != "" {
		ans = ans.with("recorded", false)
	}
	return ans
}

// doorDocument is the door as it is reported; nil where there is none.
func (a *Agent) doorDocument() any {
	if a.Door == nil {
		return nil
	}
	return doorDocument(a.Door.Status())
}

func doorDocument(s DoorStatus) map[string]any {
	d := map[string]any{"state": s.State, "mode": s.Mode}
	if s.Assumed {
		d["assumed"] = true
	}
	if !s.Since.IsZero() {
		d["since"] = formatTime(s.Since)
	}
	if !s.Until.IsZero() {
		d["until"] = formatTime(s.Until)
	}
	if s.Contact != "" {
		d["contact"] = s.Contact
	}
	if s.Alarm != "" {
		d["alarm"] = s.Alarm
	}
	if s.Fault != "" {
		d["fault"] = clip(s.Fault)
	}
	return d
}

// doorBlockers names what a reboot would do to people at the door: it ends an
// unlock, and lets a fail-safe lock go for as long as the machine is down.
func (a *Agent) doorBlockers() []string {
	if a.Door == nil {
		return nil
	}
	return a.Door.Status().Blockers
}
