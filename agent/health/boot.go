package health

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"
)

// A boot loop is BootLoopBoots boots that nobody asked for within BootLoopWithin.
const (
	BootLoopBoots  = 5
	BootLoopWithin = 15 * time.Minute
)

func checkReboot(ctx context.Context, f *Facts) finding {
	if f.CanReboot == nil {
		return notHere("only the service's user can be asked about, and the service does not run")
	}
	if err := f.CanReboot(ctx); err != nil {
		return faultReboot.with(err)
	}
	return fine("the service may reboot this machine")
}

func checkInhibitors(ctx context.Context, f *Facts) finding {
	if f.Inhibitors == nil {
		return notHere("there is no systemd-logind")
	}
	holders, err := f.Inhibitors(ctx)
	switch {
	case err != nil:
		return fine("it cannot be told: %v", err) // the check rebootRight has the same trouble, as a fault
	case len(holders) > 0:
		return faultInhibited.with(strings.Join(holders, ", "))
	}
	return fine("no program forbids a reboot")
}

func checkBootLoop(_ context.Context, f *Facts) finding {
	if f.Boots == nil {
		return notHere("only the service counts, and it does not run")
	}
	n := f.Boots(BootLoopWithin)
	if n >= BootLoopBoots {
		return faultBootLoop.with(n)
	}
	return fine("boots within the last 15 minutes that nobody asked for: %d", n)
}

// rebootRequired is where packages ask for a reboot on Debian, with their names
// in the file beside it.
const rebootRequired = "run/reboot-required"

func checkRebootRequired(_ context.Context, f *Facts) finding {
	t := f.tree()
	if !t.exists(rebootRequired) {
		return fine("no package asks for one")
	}
	by := ""
	if names, err := t.read(rebootRequired + ".pkgs"); err == nil && strings.TrimSpace(names) != "" {
		by = " for " + strings.Join(strings.Fields(names), ", ")
	}
	return faultRebootRequired.with(by)
}

func checkWatchdog(ctx context.Context, f *Facts) finding {
	if f.Service.Simulated {
		return notHere("the machine is simulated")
	}
	t := f.tree()
	all := t.glob("sys/class/watchdog/watchdog*")
	if len(all) == 0 {
		return faultNoWatchdog.with()
	}
	idle := ""
	for _, dir := range all {
		name := path.Base(dir)
		if identity := t.text(dir + "/identity"); identity != "" {
			name = identity
		}
		if t.text(dir+"/state") == "active" {
			return fine("%s runs, with a time of %s s", name, t.text(dir+"/timeout"))
		}
		if idle == "" {
			idle = name
		}
	}
	// Kernels without CONFIG_WATCHDOG_SYSFS tell no state.
	if f.RuntimeWatchdog != nil && t.text(all[0]+"/state") == "" {
		if every, err := f.RuntimeWatchdog(ctx); err == nil && every > 0 {
			return fine("systemd feeds %s, which waits for %s", idle, every)
		}
	}
	return faultWatchdogIdle.with(fmt.Sprintf("(%s)", idle))
}
