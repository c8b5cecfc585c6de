package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strconv"
	"time"

	"latchd/internal/atomicfile"
	"latchd/internal/duration"
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
}

var properties = map[string]property{
	"building":   {check: checkWhole("building")},
	"floor":      {check: checkWhole("floor")},
	"doorPolicy": {check: checkDoorPolicy, apply: applyDoorPolicy},
}

// desiredState is what the hub wants of this device.
type desiredState struct {
	version  int64
	accepted map[string]any // the last accepted value of each property
	acks     map[string]any // reported acknowledgements; nil for a property that is gone
	bootID   string         // the boot in which the hub last confirmed accepted
}

// desiredFormat is the version in the file of accepted properties.
const desiredFormat = 1

type desiredFile struct {
	Format   int            `json:"format"`
	Version  int64          `json:"version"`
	BootID   string         `json:"bootId"`
	Accepted map[string]any `json:"accepted"`
}

func loadDesired(path string, log *slog.Logger) (desiredState, error) {
	s := desiredState{accepted: map[string]any{}, acks: map[string]any{}}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("read the desired properties: %w", err)
	}
	var f desiredFile
	why := ""
	doc, err := iothub.DecodeObject(text)
	if err != nil || json.Unmarshal(text, &f) != nil {
		why = "damaged"
	} else if f.Format > desiredFormat {
		why = "newer-format"
	}
	if why != "" {
		aside, err := atomicfile.SetAside(path, why)
		if err != nil {
			return s, err
		}
		log.Warn("the file of desired properties cannot be used and was set aside", "why", why, "file", aside)
		return s, nil
	}
	s.version, s.bootID = f.Version, f.BootID
	if accepted, ok := doc["accepted"].(map[string]any); ok {
		s.accepted = accepted // numbers with all their digits
	}
	return s, nil
}

// restoreDesired puts the properties of the last run in force again: a device
// without a network keeps what it was told.
func (a *Agent) restoreDesired() {
	confirmed := a.desired.bootID == a.Boot.ID
	for name, p := range properties {
		value, ok := a.desired.accepted[name]
		if !ok || p.apply == nil {
			continue
		}
		checked, err := p.check(a, value)
		if err == nil {
			err = p.apply(a, checked, confirmed)
		}
		if err != nil {
			a.log.Warn("a desired property of the last run no longer applies", "property", name, "error", err)
		}
	}
}

// Desired takes the complete desired section and acknowledges each property
// the agent knows: {value, ac, av, ad}. A refused value changes nothing and is
// never echoed.
func (a *Agent) Desired(s iothub.Section) {
	a.mu.Lock()
	before := a.desired
	a.mu.Unlock()
	after := desiredState{version: s.Version, accepted: map[string]any{}, acks: map[string]any{}, bootID: a.Boot.ID}
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
	if before.bootID != after.bootID || !iothub.Equal(before.accepted, after.accepted) {
		a.saveDesired(after)
	}
	a.report()
}

func (a *Agent) take(name string, p property, s iothub.Section, before desiredState, after *desiredState) {
	old, had := before.accepted[name]
	value, wanted := s.Properties[name]
	if !wanted {
		after.acks[name] = nil
		if had && p.apply != nil {
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
		inForce := any(map[string]any{})
		if had {
			after.accepted[name] = old
			inForce = old
		}
		after.acks[name] = map[string]any{"value": inForce, "ac": 400, "av": s.Version, "ad": clip(err.Error())}
		return
	}
	after.accepted[name] = checked
	after.acks[name] = map[string]any{"value": checked, "ac": 200, "av": s.Version}
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

func (a *Agent) saveDesired(s desiredState) {
	text, err := json.MarshalIndent(desiredFile{desiredFormat, s.version, s.bootID, s.accepted}, "", " ")
	if err == nil {
		err = atomicfile.WriteFile(a.desiredFile(), append(text, '\n'), 0o600)
	}
	if err != nil {
		a.log.Error("cannot keep the desired properties for the next start", "error", err)
	}
}

// checkWhole reads a whole number that fits 32 bits, as the device model says.
func checkWhole(name string) func(*Agent, any) (any, error) {
	return func(_ *Agent, value any) (any, error) {
		n, ok := value.(json.Number)
		if ok {
			if _, err := strconv.ParseInt(string(n), 10, 32); err == nil {
				return n, nil
			}
		}
		return nil, fmt.Errorf("%s: must be a whole number of at most 32 bits", name)
	}
}

// Bounds of a door policy. The longest unlock is the door's own.
const (
	minPolicyTime = time.Second
	maxHeldOpen   = 24 * time.Hour
)

// checkDoorPolicy completes the policy from the local configuration. A key it
// does not know refuses the whole: a typo must not change how a door behaves.
func checkDoorPolicy(a *Agent, value any) (any, error) {
	m, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("doorPolicy: must be an object")
	}
	if a.Door == nil {
		return nil, errors.New("doorPolicy: no lock is configured on this device")
	}
	policy := a.DoorPolicy
	for key, v := range m {
		var err error
		switch key {
		case "resting":
			policy.Resting, ok = v.(string)
			if !ok || policy.Resting != "locked" && policy.Resting != "unlocked" {
				err = errors.New(`must be "locked" or "unlocked"`)
			}
		case "unlockTime":
			policy.UnlockTime, err = policyTime(v, 0)
		case "heldOpenAfter":
			policy.HeldOpenAfter, err = policyTime(v, maxHeldOpen)
		default:
			err = errors.New("is not a key of doorPolicy (resting, unlockTime, heldOpenAfter)")
		}
		if err != nil {
			return nil, fmt.Errorf("doorPolicy.%s: %w", key, err)
		}
	}
	return iothub.ToDocument(map[string]any{
		"resting":       policy.Resting,
		"unlockTime":    policy.UnlockTime.Seconds(),
		"heldOpenAfter": policy.HeldOpenAfter.Seconds(),
	})
}

func policyTime(v any, longest time.Duration) (time.Duration, error) {
	d, err := duration.FromJSON(v)
	if err != nil {
		return 0, err
	}
	if d < minPolicyTime {
		return 0, fmt.Errorf("must be at least %s", minPolicyTime)
	}
	if longest > 0 && d > longest {
		return 0, fmt.Errorf("must be at most %s", longest)
	}
	return d, nil
}

// applyDoorPolicy puts an accepted policy in force. A door that rests unlocked
// by the hub's word does so only once the hub has confirmed it in this boot:
// until then it rests as the local configuration says.
func applyDoorPolicy(a *Agent, accepted any, confirmed bool) error {
	if a.Door == nil {
		return nil
	}
	policy := a.DoorPolicy
	if m, ok := accepted.(map[string]any); ok {
		policy.Resting, _ = m["resting"].(string)
		unlockTime, err1 := duration.FromJSON(m["unlockTime"])
		heldOpenAfter, err2 := duration.FromJSON(m["heldOpenAfter"])
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		policy.UnlockTime, policy.HeldOpenAfter, policy.FromHub = unlockTime, heldOpenAfter, confirmed
		if policy.Resting == "unlocked" && !confirmed && a.DoorPolicy.Resting != "unlocked" {
			policy.Resting = "locked"
		}
	}
	if err := a.Door.SetPolicy(policy); err != nil {
		return fmt.Errorf("doorPolicy: %w", err)
	}
	return nil
}
