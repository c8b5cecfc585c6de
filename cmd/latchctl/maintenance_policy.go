package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"latchd/agent/maintenance"
	"latchd/iothub"
)

// The keys of a policy that need not be there, and those of the object policy
// in it: the levels at which a merge patch merges. (Windows and exclusions are
// arrays, which a patch replaces.)
var (
	policyKeys = []string{"timeZone", "windows", "exclusions", "spread", actionsKey}
	actionKeys = []string{"rebootDevice", "firmwareUpdate", "factoryReset"}
)

const actionsKey = "policy"

// policyFile reads and checks the file of a policy, by the rules that the
// devices have. The value is as the operator wrote it, without its nulls.
func (p *program) policyFile(name, zone string) (map[string]any, *maintenance.Policy, error) {
	value, err := p.policyValue(name)
	if err != nil {
		return nil, nil, err
	}
	policy, err := maintenance.Parse(value, maintenance.RebootTime)
	if err == nil && zone != "" { // in place of one that was right
		value["timeZone"] = zone
		policy, err = maintenance.Parse(value, maintenance.RebootTime)
	}
	if err != nil {
		return nil, nil, usagef("%s: %w", fileName(name), err)
	}
	return value, policy, nil
}

// fileName is the file for an error.
func fileName(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

// policyValue reads the value of maintenance.
func (p *program) policyValue(name string) (map[string]any, error) {
	if name == "" {
		return nil, usagef("--file is missing: it names the file of the policy, or - for stdin")
	}
	arg := "-"
	if name != "-" {
		arg = "@" + name
	}
	text, err := p.inputText("--file", arg)
	if err != nil {
		return nil, err
	}
	doc, err := iothub.DecodeObject(text)
	if err == nil {
		err = checkKeys(json.NewDecoder(bytes.NewReader(text)), "")
	}
	if err == nil {
		doc, err = unwrapped(doc)
	}
	if windows, has := doc["windows"]; err == nil && has && windows == nil {
		// To a twin null is absence, and without windows it is always open: the
		// opposite of what an empty value looks like.
		err = errors.New("windows is null: leave the key out for always open, or give [] for never")
	}
	if err != nil {
		return nil, usagef("%s: %w", fileName(name), err)
	}
	return withoutNulls(doc).(map[string]any), nil
}

// checkKeys reads one JSON value, known to be valid, and refuses an object that
// has a key twice. JSON lets the last one win: of two lists of exclusions the
// first would be lost without a word.
func checkKeys(d *json.Decoder, path string) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for i := 0; d.More(); i++ {
		inner := fmt.Sprintf("%s[%d]", path, i)
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name := fmt.Sprint(key)
			inner = strings.TrimPrefix(path+"."+name, ".")
			if seen[name] {
				return fmt.Errorf("%s stands there twice", inner)
			}
			seen[name] = true
		}
		if err := checkKeys(d, inner); err != nil {
			return err
		}
	}
	_, err = d.Token() // the end
	return err
}

// unwrapped takes the policy out of {"maintenance": …}, and out of the
// properties of a twin around it: both are how documents show a policy.
func unwrapped(doc map[string]any) (map[string]any, error) {
	path := ""
	for _, name := range []string{"properties", "desired", maintenanceKey} {
		inner, has := doc[name]
		if !has {
			continue
		}
		path = strings.TrimPrefix(path+"."+name, ".")
		if len(doc) > 1 {
			return nil, fmt.Errorf("beside %s there are other properties; the file must hold the value of maintenance alone", path)
		}
		object, ok := inner.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: must be an object (`latchctl maintenance clear` removes a policy)", path)
		}
		doc = object
	}
	if path != "" && !strings.HasSuffix(path, maintenanceKey) {
		return nil, fmt.Errorf("%s holds no maintenance", path)
	}
	return doc, nil
}

// withoutNulls leaves out the members that are null, which mean that there is
// none: a hub takes no null within an array.
func withoutNulls(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for key, member := range v {
			if member != nil {
				out[key] = withoutNulls(member)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = withoutNulls(element)
		}
		return out
	}
	return value
}

// replacing is the merge patch that leaves nothing of an old policy beside the
// new one. A twin merges objects: without explicit nulls the old exclusions, or
// the old windows of a policy that is to have none, would silently stay in
// force. The known keys are removed in any case, so that it holds also for
// devices whose twins were not read; those that only the old one has (a typo,
// for which the device refused it) where it is known.
func replacing(policy, old map[string]any) map[string]any {
	patch := replacingObject(policy, old, policyKeys)
	if actions, ok := policy[actionsKey].(map[string]any); ok {
		oldActions, _ := old[actionsKey].(map[string]any)
		patch[actionsKey] = replacingObject(actions, oldActions, actionKeys)
	}
	return patch
}

func replacingObject(object, old map[string]any, keys []string) map[string]any {
	patch := maps.Clone(object)
	for _, key := range slices.AppendSeq(slices.Clone(keys), maps.Keys(old)) {
		if _, has := object[key]; !has {
			patch[key] = nil
		}
	}
	return patch
}
