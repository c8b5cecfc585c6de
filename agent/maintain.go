package agent

import (
	"time"

	"latchd/agent/maintenance"
	"latchd/internal/zone"
	"latchd/iothub"
)

// policyInForce is the maintenance policy that counts now. It does not change.
type policyInForce struct {
	*maintenance.Policy
	document map[string]any // as acknowledged; nil where there is none, or where it was lost
}

func checkMaintenance(a *Agent, value any) (any, error) {
	p, err := maintenance.Parse(value, a.local().RebootTime)
	if err != nil {
		return nil, err
	}
	return iothub.ToDocument(p.Document())
}

// recheckMaintenance takes a policy that was accepted once as it is: what was long
// enough then stays in force.
func recheckMaintenance(_ *Agent, accepted any) (any, error) {
	_, err := maintenance.Parse(accepted, 0)
	return accepted, err
}

// applyMaintenance puts an accepted policy in force; nil is none. The pending
// operations follow: the operations loop looks at them when it is poked.
func applyMaintenance(a *Agent, accepted any, _ bool) error {
	next := policyInForce{}
	if accepted != nil {
		p, err := maintenance.Parse(accepted, 0)
		if err != nil {
			return err
		}
		next.Policy = p
		next.document, _ = accepted.(map[string]any)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policyNow = next
	poke(a.wake)
	return nil
}

func maintenanceInForce(a *Agent, _ any, _ bool) any {
	if p := a.policy(); p.document != nil {
		return p.document
	}
	return map[string]any{}
}

func describeMaintenance(a *Agent) string {
	if p := a.policy(); p.Policy != nil {
		return p.Summary()
	}
	return ""
}

// loseMaintenance is for a stored policy that cannot be read any more. What it
// said is not known, so nothing is done by itself until the hub says it again.
func loseMaintenance(a *Agent) {
	never, err := maintenance.Parse(map[string]any{"windows": []any{}}, 0)
	if err != nil { // it is a constant
		panic(err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.policyNow = policyInForce{Policy: never}
}

// policy is the maintenance policy in force; its Policy is nil where there is
// none.
func (a *Agent) policy() policyInForce {
	p, _ := a.policyAndVersion()
	return p
}

// policyAndVersion gives the version of the desired properties too that brought
// the policy; 0: not known.
func (a *Agent) policyAndVersion() (policyInForce, int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.policyNow, a.desired.changed["maintenance"]
}

// renewZone takes up the rules of the policy's zone where they were renewed on
// disk meanwhile. It may wait for the disk, so it holds nothing.
func (a *Agent) renewZone() {
	was := a.policy()
	if was.document == nil {
		return
	}
	if now, _, err := zone.Load(was.Zone.String()); err != nil || now == was.Zone {
		return
	}
	renewed, err := maintenance.Parse(was.document, 0)
	if err != nil {
		return // what was in force stays
	}
	a.mu.Lock()
	if a.policyNow.Policy == was.Policy {
		a.policyNow.Policy = renewed
	}
	a.mu.Unlock()
	a.log.Info("the rules of the time zone were renewed", "zone", renewed.Zone.String(), "data", string(renewed.Data))
}

// nextOpenings is how many openings are reported.
const nextOpenings = 3

// maintenanceStatusLocked is what is reported of the windows.
func (a *Agent) maintenanceStatusLocked() map[string]any {
	p := a.policyNow
	if p.Policy == nil {
		return map[string]any{"open": true, "why": maintenance.WhyNoPolicy}
	}
	doc := map[string]any{"zoneData": string(p.Data)}
	now, isTrusted := a.now()
	if !isTrusted {
		doc["open"], doc["why"] = false, maintenance.WhyClock
		return doc
	}
	s := p.At(now)
	doc["open"], doc["why"] = s.Open, s.Why
	if s.Open && s.In.Name != "" {
		doc["window"] = s.In.Name
	}
	if s.Open && !s.In.Closes.IsZero() {
		doc["closesAt"] = formatTime(s.In.Closes)
	}
	next := []any{}
	for _, o := range p.Next(now, nextOpenings) {
		next = append(next, o.Document(p.Zone))
	}
	doc["next"] = next
	return doc
}

// lookAgain bounds how long a change of the windows' state may go unnoticed that
// is no opening and no closing: an excluded date that begins, a zone whose rules
// were renewed.
const lookAgain = time.Minute

// untilWindow is how long the state of the windows stays as it is at most; never
// where there is no policy.
func (a *Agent) untilWindow() time.Duration {
	p := a.policy()
	now, isTrusted := a.now()
	if p.Policy == nil || !isTrusted {
		return never
	}
	change := p.At(now).In.Closes
	if change.IsZero() {
		if next := p.Next(now, 1); len(next) > 0 {
			change = next[0].Opens
		}
	}
	if change.IsZero() {
		return lookAgain
	}
	return min(change.Sub(now), lookAgain)
}

// reportChanges reports what changes by the mere passing of time: the state of the
// windows, and the end of a boot loop.
func (a *Agent) reportChanges() {
	a.mu.Lock()
	status := a.maintenanceStatusLocked()
	status["bootLoop"] = a.inBootLoopLocked()
	changed := !iothub.Equal(a.toldStatus, status)
	a.toldStatus = status
	a.mu.Unlock()
	if changed {
		a.report()
	}
}

// Maintenance is what the device knows of its windows, for the person who stands
// before it: the policy in force as acknowledged, the reported status, and the
// pending operations.
func (a *Agent) Maintenance() map[string]any {
	a.mu.Lock()
	defer a.mu.Unlock()
	doc := map[string]any{"status": a.maintenanceStatusLocked(), "pending": a.pendingDocumentLocked()}
	if p := a.policyNow; p.document != nil {
		doc["policy"] = p.document
	}
	return doc
}
