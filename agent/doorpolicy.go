package agent

import (
	"errors"
	"fmt"
	"time"

	"latchd/internal/duration"
	"latchd/iothub"
)

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
	policy := a.local().DoorPolicy
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
	return policyDocument(policy)
}

func policyDocument(policy DoorPolicy) (map[string]any, error) {
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

// applyDoorPolicy puts an accepted policy in force.
func applyDoorPolicy(a *Agent, accepted any, confirmed bool) error {
	if a.Door == nil {
		return nil
	}
	policy, err := doorPolicyOf(a, accepted, confirmed)
	if err != nil {
		return err
	}
	if err := a.Door.SetPolicy(policy); err != nil {
		return fmt.Errorf("doorPolicy: %w", err)
	}
	return nil
}

func doorPolicyInForce(a *Agent, accepted any, confirmed bool) any {
	policy, err := doorPolicyOf(a, accepted, confirmed)
	if err != nil {
		return map[string]any{}
	}
	doc, err := policyDocument(policy)
	if err != nil { // only texts and numbers are in it
		return map[string]any{}
	}
	return doc
}

// doorPolicyOf makes a policy of an accepted value; nil is the local one. A
// door that rests unlocked by the hub's word does so only once the hub has
// confirmed it in this boot: until then it rests locked, unless the local
// configuration says otherwise.
func doorPolicyOf(a *Agent, accepted any, confirmed bool) (DoorPolicy, error) {
	policy := a.local().DoorPolicy
	m, ok := accepted.(map[string]any)
	if !ok {
		return policy, nil
	}
	policy.Resting, _ = m["resting"].(string)
	unlockTime, err1 := duration.FromJSON(m["unlockTime"])
	heldOpenAfter, err2 := duration.FromJSON(m["heldOpenAfter"])
	if err := errors.Join(err1, err2); err != nil {
		return policy, err
	}
	policy.UnlockTime, policy.HeldOpenAfter, policy.FromHub = unlockTime, heldOpenAfter, confirmed
	if policy.Resting == "unlocked" && !confirmed && a.local().DoorPolicy.Resting != "unlocked" {
		policy.Resting = "locked"
	}
	return policy, nil
}
