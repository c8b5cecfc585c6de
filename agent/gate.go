package agent

import (
	"fmt"
	"time"

	"latchd/agent/ledger"
	"latchd/agent/maintenance"
)

// gate is what the maintenance policy makes of an operation.
type gate struct {
	why       string    // why it may not start when its delay ends; "": it may
	notBefore time.Time // zero: not known, or never
	deferred  bool      // notBefore, or that there is none, is a policy's doing
	closes    time.Time // of the opening that notBefore is in; zero: not known
	reject    bool      // the policy wants it refused outside the windows
	version   int64     // of the policy
}

// blockedBy is why the operation waits, with the version of the policy: when that
// changes, so may the time.
func (g gate) blockedBy() string {
	if g.why == "" || g.version == 0 || g.why == maintenance.WhyClock {
		return clip(g.why)
	}
	return fmt.Sprintf("%s (maintenance version %d)", g.why, g.version)
}

// gate tells when an operation may start whose delay ends at earliest.
func (a *Agent) gate(op ledger.Operation, earliest time.Time) gate {
	now, isTrusted := a.now()
	p, version := a.policyAndVersion()
	switch {
	case op.Force:
		return gate{notBefore: earliest}
	case p.Policy == nil:
		return a.gateRemoved(op, now, isTrusted, earliest)
	case p.Action(op.Kind) == maintenance.Allow:
		return gate{notBefore: earliest}
	}
	g := gate{reject: p.Action(op.Kind) == maintenance.Reject, version: version}
	if !isTrusted {
		// What has a time keeps it until it can be told whether that is still right.
		g.why, g.notBefore, g.closes = maintenance.WhyClock, op.NotBefore, op.Closes
		g.deferred = op.Deferred || op.NotBefore.IsZero()
		return g
	}
	from, need := later(earliest, now), a.local().RebootTime
	// What comes while the window is open goes at once; what waited for the window
	// goes at the device's own moment in it.
	if at, in, ok := p.Slot(from, need, 0); ok && !op.Deferred && !at.After(from) {
		g.notBefore, g.closes = earliest, in.Closes
		return g
	}
	g.deferred = true
	at, in, ok := p.Slot(from, need, maintenance.Share(a.Device))
	if ok {
		g.notBefore, g.closes = later(ownMoment(op, at, in, now, need), earliest), in.Closes
	}
	if !ok || g.notBefore.After(from) {
		g.why = whyNot(p.At(from), in, ok)
	}
	return g
}

// ownMoment is when in an opening the device acts: at its slot, or, where that has
// gone by before the operation was planned for this opening, as much later than
// now. So a policy that opens in the middle of the day does not make a thousand
// devices act in one second.
func ownMoment(op ledger.Operation, slot time.Time, in maintenance.Opening, now time.Time, need time.Duration) time.Time {
	planned := op.NotBefore
	switch {
	case slot.After(now) || in.Opens.IsZero():
		return slot
	case op.Closes.Equal(in.Closes) && !planned.Before(in.Opens) && (in.Closes.IsZero() || !planned.Add(need).After(in.Closes)):
		return planned // for this opening
	}
	moment := now.Add(slot.Sub(in.Opens))
	if !in.Closes.IsZero() && moment.Add(need).After(in.Closes) {
		return now
	}
	return moment.Truncate(time.Millisecond)
}

// whyNot says why an operation waits for an opening, if there is one, although this
// is the state of the windows.
func whyNot(s maintenance.State, in maintenance.Opening, ok bool) string {
	switch {
	case s.Open && ok && s.In.Opens.Equal(in.Opens):
		return whySpread
	case s.Open:
		return maintenance.WhyOutside // what is left of the window is too short
	}
	return s.Why
}

// whySpread is for an operation that waits for the device's own moment within an
// open window.
const whySpread = "spread"

// gateRemoved is the gate where there is no policy. One that is gone never moves
// earlier what it had deferred, nor out of the opening that it was deferred to: a
// mistaken null must not reboot a fleet at noon.
func (a *Agent) gateRemoved(op ledger.Operation, now time.Time, isTrusted bool, earliest time.Time) gate {
	if !op.Deferred {
		return gate{notBefore: earliest}
	}
	g := gate{notBefore: op.NotBefore, deferred: true, closes: op.Closes}
	switch {
	case op.NotBefore.IsZero():
		g.why = "the maintenance policy that held it back was removed; force it, cancel it or set a policy"
	case !isTrusted:
		g.why = maintenance.WhyClock
	case op.NotBefore.After(now):
		g.why = "the maintenance policy that gave it this time was removed"
	case !op.Closes.IsZero() && now.Add(a.local().RebootTime-handover).After(op.Closes):
		g.why = "the maintenance policy was removed and the window that it gave it is over; force it, cancel it or set a policy"
	}
	return g
}

// handover is what may pass between the start of an operation and its act: the room
// in the window was looked at when it started.
const handover = 10 * time.Second

// inWindow tells whether the maintenance policy lets an operation act now that has
// started already; else why not.
func (a *Agent) inWindow(op ledger.Operation) (why string, ok bool) {
	p, version := a.policyAndVersion()
	now, isTrusted := a.now()
	switch {
	case op.Force:
		return "", true
	case p.Policy == nil:
		why = a.gateRemoved(op, now, isTrusted, now).why
		return why, why == ""
	case p.Action(op.Kind) == maintenance.Allow:
		return "", true
	case !isTrusted:
		return maintenance.WhyClock, false
	}
	s := p.At(now)
	if s.Open && !s.In.Closes.IsZero() && now.Add(a.local().RebootTime-handover).After(s.In.Closes) {
		s = maintenance.State{Why: maintenance.WhyOutside} // what is left of the window is too short
	}
	return gate{why: s.Why, version: version}.blockedBy(), s.Open
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
