package dtdl

import (
	"regexp"
	"slices"
	"unicode/utf8"
)

// keys are the keys of each class of element beside those that all have. True is
// for required ones.
var keys = map[string]map[string]bool{
	"Interface":       {"@context": true, "@id": true, "@type": true, "contents": false, "schemas": false},
	"Property":        {"@type": true, "name": true, "schema": true, "writable": false},
	"Telemetry":       {"@type": true, "name": true, "schema": true},
	"Command":         {"@type": true, "name": true, "request": false, "response": false},
	"CommandRequest":  {"name": true, "schema": true},
	"CommandResponse": {"name": true, "schema": true},
	"Component":       {"@type": true, "name": true, "schema": true},
	"Array":           {"@type": true, "elementSchema": true},
	"Object":          {"@type": true, "fields": false},
	"Field":           {"name": true, "schema": true},
	"Map":             {"@type": true, "mapKey": true, "mapValue": true},
	"MapKey":          {"name": true, "schema": true},
	"MapValue":        {"name": true, "schema": true},
	"Enum":            {"@type": true, "valueSchema": true, "enumValues": false},
	"EnumValue":       {"name": true, "enumValue": true},
}

// common are the keys that every element may have.
var common = []string{"@id", "@type", "comment", "description", "displayName"}

// The longest text of keys that hold text, in characters; and the keys that hold lists.
var (
	longest = map[string]int{"comment": 512, "description": 512, "displayName": 64, "name": 64, "@id": 2048}
	lists   = map[string]bool{"contents": true, "schemas": true, "fields": true, "enumValues": true}
)

// A name begins with a letter and does not end with an underscore. A DTMI of a user
// has such segments, and a version of one or two parts, or none.
var (
	namePattern = regexp.MustCompile(`^[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?$`)
	dtmiPattern = regexp.MustCompile(`^dtmi:[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?(?::[A-Za-z](?:[A-Za-z0-9_]*[A-Za-z0-9])?)*(?:;[1-9][0-9]{0,8}(?:\.[1-9][0-9]{0,5})?)?$`)
	reserved    = regexp.MustCompile(`^dtmi:(?:dtdl|standard):`)
)

// element checks what all elements have in common: which keys there are, and the
// form of identifiers, names and texts.
func (p *parser) element(m map[string]any, path, class string) {
	for key, required := range keys[class] {
		if _, there := m[key]; required && !there {
			p.fault(path, "a %s must have %s", class, key)
		}
	}
	for key, v := range m {
		if _, own := keys[class][key]; !own && !slices.Contains(common, key) {
			p.fault(path, "a %s has no %s", class, key)
		}
		if limit, isText := longest[key]; isText {
			text, ok := v.(string)
			if !ok || utf8.RuneCountInString(text) > limit {
				p.fault(path, "%s must be a text of at most %d characters", key, limit)
			}
		}
		if _, ok := v.([]any); lists[key] && !ok {
			p.fault(path, "%s must be a list", key)
		}
	}
	if t, there := m["@type"]; there && t != class {
		p.fault(path, "@type is %v where a %s belongs", t, class)
	}
	if name, ok := m["name"].(string); ok && !namePattern.MatchString(name) {
		p.fault(path, "%q is no name", name)
	}
	if w, there := m["writable"]; there && w != true && w != false {
		p.fault(path, "writable is %v", w)
	}
	if id, ok := m["@id"].(string); ok {
		if !dtmiPattern.MatchString(id) || reserved.MatchString(id) {
			p.fault(path, "%q is no identifier", id)
		}
	}
}
