package agent

import "latchd/agent/maintenance"

func (l Local) complete() Local {
	if l.RebootDelay <= 0 {
		l.RebootDelay = DefaultRebootDelay
	}
	if l.RebootTime <= 0 {
		l.RebootTime = maintenance.RebootTime
	}
	if l.MaxPerHour <= 0 {
		l.MaxPerHour = DefaultMaxPerHour
	}
	if l.MaxPerDay <= 0 {
		l.MaxPerDay = DefaultMaxPerDay
	}
	return l
}

// local is what the device's own configuration says now.
func (a *Agent) local() Local {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.localNow
}

// Reload takes what the device's configuration says now that it was read again.
// What the hub desires is put in force anew on top of it.
func (a *Agent) Reload(l Local) {
	a.applying.Lock()
	a.mu.Lock()
	a.localNow = l.complete()
	a.mu.Unlock()
	if a.section != nil {
		a.takeAll(*a.section) // acknowledges too: it may not fit any more
	} else {
		a.restoreDesired()
	}
	a.applying.Unlock()
	a.report()
}
