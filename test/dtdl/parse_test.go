package dtdl

import (
	"errors"
	"strings"
	"testing"
)

// sound is a model with every kind of element that this package reads.
const sound = `{
"@context": "dtmi:dtdl:context;3", "@id": "dtmi:example:Door;1", "@type": "Interface", "displayName": "Door",
"contents": [
 {"@type": "Property", "name": "since", "schema": "dateTime"},
 {"@type": "Property", "name": "policy", "writable": true, "schema": "dtmi:example:Door:policy;1"},
 {"@type": "Telemetry", "name": "seq", "schema": "long"},
 {"@type": "Command", "name": "open", "request": {"name": "payload", "schema": {"@type": "Object", "fields": [
  {"name": "seconds", "schema": "double"}, {"name": "force", "schema": "boolean"}]}}, "response": {"name": "answer", "schema": "string"}},
 {"@type": "Component", "name": "part", "schema": "dtmi:example:Part;1"}],
"schemas": [
 {"@id": "dtmi:example:Door:policy;1", "@type": "Object", "description": "p", "fields": [
  {"name": "modes", "schema": {"@type": "Array", "elementSchema": {"@type": "Enum", "valueSchema": "string", "enumValues": [
   {"name": "on", "enumValue": "ON"}, {"name": "off", "enumValue": "OFF"}]}}},
  {"name": "by", "schema": {"@type": "Map", "mapKey": {"name": "id", "schema": "string"}, "mapValue": {"name": "n", "schema": "integer"}}}]}]}`

func parseText(text string) (*Interface, error) {
	return parse([]byte(text), func(id string) (*Interface, error) {
		if id != "dtmi:example:Part;1" {
			return nil, errors.New("no such component")
		}
		return &Interface{ID: id}, nil
	})
}

func TestRules(t *testing.T) {
	if _, err := parseText(sound); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another language":            {"context;3", "context;4"},
		"no id":                       {`"@id": "dtmi:example:Door;1", `, ``},
		"a dot in an id":              {"dtmi:example:Door;1", "dtmi:example.com:Door;1"},
		"an id with version 0":        {"dtmi:example:Door;1", "dtmi:example:Door;0"},
		"an id of the system":         {"dtmi:example:Door;1", "dtmi:_example:Door;1"},
		"a reserved id":               {"dtmi:example:Door;1", "dtmi:dtdl:Door;1"},
		"an id that is too long":      {"dtmi:example:Door;1", "dtmi:" + strings.Repeat("a", 128) + ";1"},
		"an unknown type":             {`"@type": "Telemetry"`, `"@type": "Signal"`},
		"an unknown key":              {`"writable": true`, `"writeable": true`},
		"writable that is no boolean": {`"writable": true`, `"writable": "yes"`},
		"no name":                     {`"name": "seq", `, ``},
		"a name with a dash":          {`"name": "seq"`, `"name": "seq-no"`},
		"a name with _ at its end":    {`"name": "seq"`, `"name": "seq_"`},
		"a name with _ at its front":  {`"name": "seq"`, `"name": "__t"`},
		"a name that is too long":     {`"name": "seq"`, `"name": "` + strings.Repeat("a", 65) + `"`},
		"a name twice":                {`"name": "seq"`, `"name": "since"`},
		"no schema":                   {`"name": "seq", "schema": "long"`, `"name": "seq"`},
		"an unknown primitive":        {`"schema": "long"`, `"schema": "int64"`},
		"a reference to nothing":      {`"schema": "dtmi:example:Door:policy;1"`, `"schema": "dtmi:example:Door:polity;1"`},
		"a schema without id":         {`{"@id": "dtmi:example:Door:policy;1", "@type"`, `{"@type"`},
		"a description too long":      {`"description": "p"`, `"description": "` + strings.Repeat("a", 513) + `"`},
		"a field twice":               {`"name": "force"`, `"name": "seconds"`},
		"fields that are no list":     {`"fields": [`, `"fields": {"a": [`},
		"an enum of doubles":          {`"valueSchema": "string"`, `"valueSchema": "double"`},
		"enum values of another type": {`"valueSchema": "string"`, `"valueSchema": "integer"`},
		"an enum value twice":         {`"enumValue": "OFF"`, `"enumValue": "ON"`},
		"an enum name twice":          {`"name": "off"`, `"name": "on"`},
		"an enum without valueSchema": {`"valueSchema": "string", `, ``},
		"a map with numbers as keys":  {`"name": "id", "schema": "string"`, `"name": "id", "schema": "integer"`},
		"a map without values":        {`, "mapValue": {"name": "n", "schema": "integer"}`, ``},
		"an array of nothing":         {`"elementSchema"`, `"elements"`},
		"an unknown component":        {`dtmi:example:Part;1`, `dtmi:example:Parts;1`},
		"a request without a name":    {`"request": {"name": "payload", `, `"request": {`},
		"a schema that holds itself":  {`"name": "n", "schema": "integer"`, `"name": "n", "schema": "dtmi:example:Door:policy;1"`},
		"six schemas deep":            {`"schema": "long"`, `"schema": ` + nested(6)},
		"no JSON":                     {`"contents"`, `contents`},
	} {
		broken := strings.Replace(sound, change[0], change[1], 1)
		if broken == sound {
			t.Fatalf("%s: nothing was changed", name)
		}
		if _, err := parseText(broken); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	if _, err := parseText(strings.Replace(sound, `"schema": "long"`, `"schema": `+nested(5), 1)); err != nil {
		t.Errorf("five schemas deep: %v", err)
	}
}

func nested(n int) string {
	return strings.Repeat(`{"@type": "Array", "elementSchema": `, n) + `"string"` + strings.Repeat("}", n)
}

func TestCheck(t *testing.T) {
	read, err := parseText(sound)
	if err != nil {
		t.Fatal(err)
	}
	policy := read.Contents["policy"].Schema
	type object = map[string]any
	for _, c := range []struct {
		schema *Schema
		value  any
		ok     bool
	}{
		{policy, object{}, true},
		{policy, object{"modes": []any{"ON", "OFF"}, "by": object{"a": 1}}, true},
		{policy, object{"modes": []any{"on"}}, false},
		{policy, object{"modes": "ON"}, false},
		{policy, object{"mode": nil}, false},
		{policy, object{"by": object{"a": 1.5}}, false},
		{policy, object{"by": object{"a": 1 << 31}}, false},
		{policy, "text", false},
		{&Schema{Kind: "dateTime"}, "2026-11-22T02:31:07.120Z", true},
		{&Schema{Kind: "dateTime"}, "2026-11-22", false},
		{&Schema{Kind: "date"}, "2026-11-22", true},
		{&Schema{Kind: "double"}, 1, true},
		{&Schema{Kind: "double"}, "1", false},
		{&Schema{Kind: "long"}, 1 << 31, true},
		{&Schema{Kind: "boolean"}, 1, false},
		{&Schema{Kind: "duration"}, "PT10M", true},
		{&Schema{Kind: "duration"}, "10m", false},
	} {
		if err := c.schema.Check(c.value, "v", nil); (err == nil) != c.ok {
			t.Errorf("%v as %s: %v", c.value, c.schema.Kind, err)
		}
	}
}
