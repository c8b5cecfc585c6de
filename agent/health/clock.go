package health

import (
	"context"
	"strings"
)

func checkClock(_ context.Context, f *Facts) finding {
	if f.Clock == nil {
		return notHere("only the service judges the clock, and it does not run")
	}
	state, since := f.Clock()
	if state != "synchronized" && state != "corroborated" { // the contract's trusted states
		return faultClock.with(state, formatTime(f.now()))
	}
	if since.IsZero() {
		return fine("%s; it says %s", state, formatTime(f.now()))
	}
	return fine("%s since %s; it says %s", state, formatTime(since), formatTime(f.now()))
}

// zoneDirectory is where Go and everybody else look for time zones on Debian.
const zoneDirectory = "usr/share/zoneinfo/"

func checkZoneData(_ context.Context, f *Facts) finding {
	t := f.tree()
	if !t.exists(zoneDirectory + "Europe/Berlin") { // one for all
		return faultZoneData.with()
	}
	if version := t.text(zoneDirectory + "+VERSION"); version != "" {
		return fine("version %s", version)
	}
	// tzdata.zi begins with "# version 2026b".
	if version, ok := strings.CutPrefix(t.text(zoneDirectory+"tzdata.zi"), "# version "); ok {
		return fine("version %s", version)
	}
	return fine("there is one; it does not tell its version")
}
