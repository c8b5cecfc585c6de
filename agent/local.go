package agent

func (l Local) complete() Local {
	if l.RebootDelay == 0 {
		l.RebootDelay = DefaultRebootDelay
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
