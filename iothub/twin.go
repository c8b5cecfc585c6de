package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
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
	maps.Copy(out, s.Properties)
	out["$version"] = s.Version
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (s *Section) UnmarshalJSON(text []byte) error {
	m, err := DecodeObject(text)
	if err != nil {
		return err
	}
	*s, err = splitVersion(m)
	return err
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
	if t.Desired, err = sectionOf(doc, "desired"); err != nil {
		return Twin{}, fmt.Errorf("twin: %w", err)
	}
	if t.Reported, err = sectionOf(doc, "reported"); err != nil {
		return Twin{}, fmt.Errorf("twin: %w", err)
	}
	return t, nil
}

func sectionOf(doc map[string]any, name string) (Section, error) {
	m, ok := doc[name].(map[string]any)
	if !ok {
		return Section{}, fmt.Errorf("%s is missing or not an object", name)
	}
	s, err := splitVersion(m)
	if err != nil {
		return Section{}, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// ParseDesiredPatch reads a desired-properties notification: the merge patch
// and the version the section has with it.
func ParseDesiredPatch(body []byte) (Section, error) {
	var s Section
	if err := s.UnmarshalJSON(body); err != nil {
		return Section{}, fmt.Errorf("desired patch: %w", err)
	}
	return s, nil
}

// splitVersion takes the "$" keys ($version, $metadata) out of a section.
func splitVersion(m map[string]any) (Section, error) {
	n, ok := m["$version"].(json.Number)
	if !ok {
		return Section{}, errors.New("$version is missing or not a number")
	}
	version, err := strconv.ParseInt(string(n), 10, 64)
	if err != nil || version < 0 {
		return Section{}, errors.New("$version is not a version")
	}
	maps.DeleteFunc(m, func(k string, _ any) bool { return strings.HasPrefix(k, "$") })
	return Section{Version: version, Properties: m}, nil
}
