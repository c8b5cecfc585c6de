package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// Section is one half of a twin: its properties, without "$" keys, and the
// version that each accepted write raises by one.
type Section struct {
	Version    int64
	Properties map[string]any
}

// MarshalJSON writes the properties with "$version" among them, as the device
// sees a section.
func (s Section) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(s.Properties)+1)
	for k, v := range s.Properties {
		out[k] = v
	}
	out["$version"] = s.Version
	return json.Marshal(out)
}

// Twin is what the device sees of its twin: two sections, no tags, no
// metadata.
type Twin struct {
	Desired  Section `json:"desired"`
	Reported Section `json:"reported"`
}

// ParseTwin reads the answer to a twin GET.
func ParseTwin(body []byte) (Twin, error) {
	doc, err := DecodeObject(body)
	if err != nil {
		return Twin{}, fmt.Errorf("twin: %w", err)
	}
	var t Twin
	for name, section := range map[string]*Section{"desired": &t.Desired, "reported": &t.Reported} {
		m, ok := doc[name].(map[string]any)
		if !ok {
			return Twin{}, fmt.Errorf("twin: %s is missing or not an object", name)
		}
		if *section, err = splitVersion(m); err != nil {
			return Twin{}, fmt.Errorf("twin: %s: %w", name, err)
		}
	}
	return t, nil
}

// ParseDesiredPatch reads a desired-properties notification: the merge patch
// and the version the section has with it.
func ParseDesiredPatch(body []byte) (Section, error) {
	m, err := DecodeObject(body)
	if err != nil {
		return Section{}, fmt.Errorf("desired patch: %w", err)
	}
	s, err := splitVersion(m)
	if err != nil {
		return Section{}, fmt.Errorf("desired patch: %w", err)
	}
	return s, nil
}

// splitVersion takes the "$" keys out of a section.
func splitVersion(m map[string]any) (Section, error) {
	n, ok := m["$version"].(json.Number)
	if !ok {
		return Section{}, errors.New("$version is missing or not a number")
	}
	version, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || version < 0 {
		return Section{}, errors.New("$version is not a version")
	}
	delete(m, "$version")
	delete(m, "$metadata")
	return Section{Version: version, Properties: m}, nil
}
