package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"os"
	"strconv"

	"latchd/internal/atomicfile"
	"latchd/iothub"
)

// property is a desired property that the agent knows.
type property struct {
	// check reads a value; the result is what is acknowledged and kept. The
	// error says the path and the reason.
	check func(a *Agent, value any) (any, error)
	// apply puts an accepted value in force; nil is "no longer desired".
	// confirmed says that the hub confirmed it in this boot.
	apply func(a *Agent, accepted any, confirmed bool) error
	// recheck is check for what was accepted by an earlier run; nil: check.
	recheck func(a *Agent, accepted any) (any, error)
	// inForce is what apply makes of an accepted value; nil: all of it.
	inForce func(a *Agent, accepted any, confirmed bool) any
	// describe is for the acknowledgement of an accepted value; nil: nothing.
	describe func(a *Agent) string
	// lost is told that what the last run had in force, if anything, cannot be put
	// in force again.
	lost func(a *Agent)
}

var properties = map[string]property{
	"building":   {check: checkWhole("building")},
	"floor":      {check: checkWhole("floor")},
	"doorPolicy": {check: checkDoorPolicy, apply: applyDoorPolicy, inForce: doorPolicyInForce},
	"maintenance": {
		check: checkMaintenance, recheck: recheckMaintenance, apply: applyMaintenance,
		inForce: maintenanceInForce, describe: describeMaintenance, lost: loseMaintenance,
	},
}

// desiredState is what the hub wants of this device.
type desiredState struct {
	version  int64
	accepted map[string]any // the last accepted value of each property
	acks     map[string]any // reported acknowledgements; nil for a property that is gone

	// confirmed is the boot in which the hub last confirmed each accepted
	// value. One that the hub has replaced by a refused value stays in force,
	// and is confirmed no more often for that.
	confirmed map[string]string
	changed   map[string]int64 // the version that brought each accepted value
	unsaved   bool             // the disk did not take it yet
	lost      bool             // what earlier runs accepted cannot be read, and the hub has not put anything in its place
}

func noDesired() desiredState {
	return desiredState{accepted: map[string]any{}, acks: map[string]any{}, confirmed: map[string]string{}, changed: map[string]int64{}}
}

// desiredFormat is the version in the file of accepted properties.
const desiredFormat = 1

type desiredFile struct {
	Format    int               `json:"format"`
	Version   int64             `json:"version"`
	Accepted  map[string]any    `json:"accepted"`
	Confirmed map[string]string `json:"confirmed"`         // property → boot id
	Changed   map[string]int64  `json:"changed,omitempty"` // property → version
	Lost      bool              `json:"lost,omitempty"`
}

// loadDesired reads the file; without one nothing is desired. After an error
// the file must not be written.
func loadDesired(path string, log *slog.Logger) (desiredState, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return noDesired(), nil
	}
	none := noDesired()
	none.lost = true
	if err != nil {
		return none, fmt.Errorf("read the desired properties: %w", err)
	}
	s, why := decodeDesired(text)
	if why == "" {
		return s, nil
	}
	aside, err := atomicfile.SetAside(path, why)
	if err != nil {
		return none, fmt.Errorf("the file of desired properties cannot be used (%s): %w", why, err)
	}
	log.Warn("the file of desired properties cannot be used and was set aside", "why", why, "file", aside)
	return none, nil
}

// decodeDesired says why a file cannot be used; "" if it can.
func decodeDesired(text []byte) (s desiredState, why string) {
	// First alone, because a newer format may differ in all the rest.
	var header struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(text, &header) != nil || header.Format < 1 {
		return noDesired(), "damaged"
	}
	if header.Format > desiredFormat {
		return noDesired(), "newer-format"
	}
	var f desiredFile
	doc, err := iothub.DecodeObject(text)
	accepted, ok := doc["accepted"].(map[string]any) // numbers with all their digits
	if err != nil || !ok || json.Unmarshal(text, &f) != nil {
		return noDesired(), "damaged"
	}
	s = noDesired()
	s.version, s.accepted = f.Version, accepted
	maps.Copy(s.confirmed, f.Confirmed)
	maps.Copy(s.changed, f.Changed)
	s.lost = f.Lost
	return s, ""
}

// restoreDesired puts the properties of the last run in force again: a device
// without a network keeps what it was told.
func (a *Agent) restoreDesired() {
	a.mu.Lock()
	desired := a.desired
	a.mu.Unlock()
	for name, p := range properties {
		if desired.lost && p.lost != nil {
			p.lost(a)
		}
		value, ok := desired.accepted[name]
		if !ok || p.apply == nil {
			continue
		}
		check := p.check
		if p.recheck != nil {
			check = p.recheck
		}
		checked, err := check(a, value)
		if err == nil {
			err = p.apply(a, checked, desired.confirmed[name] == a.Boot.ID)
		}
		if err != nil {
			a.log.Warn("a desired property of the last run no longer applies", "property", name, "error", err)
			if p.lost != nil {
				p.lost(a)
			}
		}
	}
}

// Desired takes the complete desired section and acknowledges each property
// the agent knows: {value, ac, av, ad}. A refused value changes nothing and is
// never echoed.
func (a *Agent) Desired(s iothub.Section) {
	a.applying.Lock()
	defer a.applying.Unlock()
	a.section = &s
	a.takeAll(s)
}

func (a *Agent) takeAll(s iothub.Section) {
	a.mu.Lock()
	before, stopping := a.desired, a.stopping
	a.mu.Unlock()
	if stopping {
		return // the door may be closed already; the next start is told again
	}
	after := noDesired()
	after.version = s.Version
	for name, p := range properties {
		a.take(name, p, s, before, &after)
	}
	for name := range s.Properties {
		if _, known := properties[name]; !known && s.Version != before.version {
			a.log.Info("leaving an unknown desired property alone", "property", strconv.Quote(name), "version", s.Version)
		}
	}
	a.mu.Lock()
	a.desired = after
	a.mu.Unlock()
	poke(a.wake)
	if before.unsaved || before.lost || !maps.Equal(before.confirmed, after.confirmed) || !iothub.Equal(before.accepted, after.accepted) {
		a.saveDesired()
	}
	a.report()
}

func (a *Agent) take(name string, p property, s iothub.Section, before desiredState, after *desiredState) {
	old, had := before.accepted[name]
	value, wanted := s.Properties[name]
	if !wanted {
		after.acks[name] = nil
		if (had || before.lost) && p.apply != nil {
			if err := p.apply(a, nil, true); err != nil {
				a.log.Warn("cannot go back to the local setting", "property", name, "error", err)
			}
		}
		return
	}
	checked, err := p.check(a, value)
	if err == nil && p.apply != nil {
		err = p.apply(a, checked, true)
	}
	if err != nil {
		if s.Version != before.version {
			a.log.Warn("refusing a desired property", "property", name, "version", s.Version, "error", err)
		}
		if p.lost != nil && !had {
			after.lost = before.lost // a refusal puts nothing in the place of what was lost
		}
		inForce := any(map[string]any{})
		if had && !iothub.Equal(old, checked) { // what was in force until now may be what is refused now

			after.accepted[name], after.confirmed[name], after.changed[name] = old, before.confirmed[name], before.changed[name]
			inForce = old
			if p.inForce != nil {
				inForce = p.inForce(a, old, before.confirmed[name] == a.Boot.ID)
			}
		}
		after.acks[name] = map[string]any{"value": inForce, "ac": 400, "av": s.Version, "ad": clip(err.Error())}
		return
	}
	after.accepted[name], after.confirmed[name], after.changed[name] = checked, a.Boot.ID, s.Version
	if before.changed[name] > 0 && iothub.Equal(old, checked) {
		after.changed[name] = before.changed[name]
	}
	ack := map[string]any{"value": checked, "ac": 200, "av": s.Version}
	if p.describe != nil {
		ack["ad"] = clip(p.describe(a))
	}
	after.acks[name] = ack
	if !had || !iothub.Equal(old, checked) {
		a.log.Info("desired property applied", "property", name, "version", s.Version)
	}
}

// clip keeps a description within the contract's 512 characters.
func clip(text string) string {
	const longest = 512
	if r := []rune(text); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return text
}

// saveDesired keeps the accepted properties for the next start. What the disk
// does not take is tried again.
func (a *Agent) saveDesired() {
	a.changing.lock() // not two at once: the older one might win
	defer a.changing.unlock()
	a.mu.Lock()
	s := a.desired
	a.mu.Unlock()
	text, err := json.MarshalIndent(desiredFile{desiredFormat, s.version, s.accepted, s.confirmed, s.changed, s.lost}, "", " ")
	if err == nil {
		err = a.desiredLost
	}
	if err == nil {
		err = atomicfile.WriteFile(a.desiredFile(), append(text, '\n'), 0o600)
	}
	a.mu.Lock()
	again := a.desired.unsaved
	a.desired.unsaved = err != nil && a.desiredLost == nil
	a.mu.Unlock()
	if err != nil && !again {
		a.log.Error("cannot keep the desired properties for the next start", "error", err)
		poke(a.wake)
	}
}

// checkWhole reads a whole number that fits 32 bits, as the device model says.
// It may come as text: the public Node sample writes "43".
func checkWhole(name string) func(*Agent, any) (any, error) {
	return func(_ *Agent, value any) (any, error) {
		text, isText := value.(string)
		if n, ok := value.(json.Number); ok {
			text, isText = string(n), true
		}
		f, err := strconv.ParseFloat(text, 64)
		if !isText || err != nil || f != math.Trunc(f) || math.Abs(f) > math.MaxInt32 {
			return nil, fmt.Errorf("%s: must be a whole number of at most 32 bits", name)
		}
		return json.Number(strconv.FormatInt(int64(f), 10)), nil
	}
}
