package dtdl

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Interface is a model, or a component of one.
type Interface struct {
	ID       string
	Contents map[string]*Content
}

// Content is one thing that a device has or does.
type Content struct {
	Type     string // Property, Telemetry, Command or Component
	Writable bool   // of a Property
	Schema   *Schema

	// Of a Command; nil where it takes or answers nothing.
	Request, Response *Schema

	Component *Interface
}

// Schema is a type of values.
type Schema struct {
	Kind   string             // Object, Map, Array, Enum, or a primitive: "string", "double", ...
	Fields map[string]*Schema // of an Object
	Of     *Schema            // what an Array or a Map holds
	Values []any              // of an Enum: strings or float64
}

// Read reads an interface from a folder that is laid out as a device model
// repository: dtmi:latchd:Device;1 is in dtmi/latchd/device-1.json. The interfaces
// of its components are read too.
func Read(dir, id string) (*Interface, error) {
	name := strings.NewReplacer(":", "/", ";", "-").Replace(strings.ToLower(id)) + ".json"
	text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	read, err := parse(text, func(component string) (*Interface, error) { return Read(dir, component) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if read.ID != id {
		return nil, fmt.Errorf("%s holds %s", name, read.ID)
	}
	return read, nil
}

// maxInterface is how long the text of an interface may be, in bytes.
const maxInterface = 1 << 20

// parse gives the interface, or all that is wrong with it.
func parse(text []byte, component func(id string) (*Interface, error)) (*Interface, error) {
	if len(text) > maxInterface {
		return nil, fmt.Errorf("it has %d bytes; %d are allowed", len(text), maxInterface)
	}
	var doc map[string]any
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	p := &parser{schemas: map[string]any{}, component: component}
	read := p.parseInterface(doc)
	if err := errors.Join(p.errs...); err != nil {
		return nil, err
	}
	return read, nil
}

// parser collects the faults of one interface.
type parser struct {
	schemas   map[string]any // by id, as written
	component func(id string) (*Interface, error)
	errs      []error
}

func (p *parser) fault(path, format string, args ...any) {
	p.errs = append(p.errs, fmt.Errorf("%s: %s", path, fmt.Sprintf(format, args...)))
}

func (p *parser) parseInterface(doc map[string]any) *Interface {
	p.element(doc, "interface", "Interface")
	read := &Interface{Contents: map[string]*Content{}}
	read.ID, _ = doc["@id"].(string)
	// Interfaces of version 2 may be components; what was published long ago is not
	// written anew.
	if c := doc["@context"]; c != "dtmi:dtdl:context;3" && c != "dtmi:dtdl:context;2" {
		p.fault("interface", "@context is %v", c)
	}
	if len(read.ID) > 128 {
		p.fault("interface", "@id is longer than 128 characters")
	}
	for i, v := range list(doc["schemas"]) {
		path := fmt.Sprintf("schemas[%d]", i)
		s, _ := v.(map[string]any)
		id, isText := s["@id"].(string)
		if !isText {
			p.fault(path, "has no @id")
			continue
		}
		if p.schemas[id] != nil || id == read.ID {
			p.fault(path, "%s is there twice", id)
		}
		p.schemas[id] = s
	}
	for i, v := range list(doc["schemas"]) {
		p.schema(v, fmt.Sprintf("schemas[%d]", i), 0)
	}
	for i, v := range list(doc["contents"]) {
		c, _ := v.(map[string]any)
		name, _ := c["name"].(string)
		if read.Contents[name] != nil {
			p.fault(name, "is there twice")
		}
		read.Contents[name] = p.content(c, fmt.Sprintf("contents[%d] %s", i, name))
	}
	return read
}

func (p *parser) content(c map[string]any, path string) *Content {
	out := &Content{}
	out.Type, _ = c["@type"].(string)
	switch out.Type {
	case "Property", "Telemetry":
		p.element(c, path, out.Type)
		out.Writable, _ = c["writable"].(bool)
		out.Schema = p.schema(c["schema"], path, 0)
	case "Command":
		p.element(c, path, out.Type)
		out.Request = p.payload(c["request"], path+".request", "CommandRequest")
		out.Response = p.payload(c["response"], path+".response", "CommandResponse")
	case "Component":
		p.element(c, path, out.Type)
		id, _ := c["schema"].(string)
		component, err := p.component(id)
		if err != nil {
			p.fault(path, "%v", err)
			return out
		}
		for _, inner := range component.Contents {
			if inner.Type == "Component" {
				p.fault(path, "a component must not have components")
			}
		}
		out.Component = component
	default:
		p.fault(path, "is of @type %q", out.Type)
	}
	return out
}

func (p *parser) payload(v any, path, class string) *Schema {
	if v == nil {
		return nil
	}
	m, _ := v.(map[string]any)
	p.element(m, path, class)
	return p.schema(m["schema"], path, 0)
}

// maxDepth is how many steps a schema may be from the outermost one.
const maxDepth = 5

// schema reads a schema as written: a name, a reference, or the thing itself.
func (p *parser) schema(v any, path string, depth int) *Schema {
	if depth > maxDepth {
		p.fault(path, "is more than %d schemas deep", maxDepth)
		return &Schema{}
	}
	if name, isText := v.(string); isText {
		if primitives[name] != nil {
			return &Schema{Kind: name}
		}
		if v = p.schemas[name]; v == nil {
			p.fault(path, "there is no schema %q", name)
			return &Schema{}
		}
	}
	m, _ := v.(map[string]any)
	out := &Schema{}
	out.Kind, _ = m["@type"].(string)
	switch out.Kind {
	case "Object":
		p.element(m, path, out.Kind)
		out.Fields = map[string]*Schema{}
		for i, f := range list(m["fields"]) {
			field, _ := f.(map[string]any)
			name, _ := field["name"].(string)
			inner := fmt.Sprintf("%s.fields[%d] %s", path, i, name)
			if out.Fields[name] != nil {
				p.fault(inner, "is there twice")
			}
			p.element(field, inner, "Field")
			out.Fields[name] = p.schema(field["schema"], inner, depth+1)
		}
	case "Array":
		p.element(m, path, out.Kind)
		out.Of = p.schema(m["elementSchema"], path+"[]", depth+1)
	case "Map":
		p.element(m, path, out.Kind)
		key, _ := m["mapKey"].(map[string]any)
		p.element(key, path+".mapKey", "MapKey")
		if key["schema"] != "string" {
			p.fault(path, "the keys of a map must be strings")
		}
		value, _ := m["mapValue"].(map[string]any)
		p.element(value, path+".mapValue", "MapValue")
		out.Of = p.schema(value["schema"], path+".mapValue", depth+1)
	case "Enum":
		p.element(m, path, out.Kind)
		out.Values = p.enumValues(m, path)
	default:
		p.fault(path, "is no schema: %v", v)
	}
	return out
}

func (p *parser) enumValues(m map[string]any, path string) []any {
	if s := m["valueSchema"]; s != "string" && s != "integer" {
		p.fault(path, "valueSchema is %v", s)
	}
	names, values := map[any]bool{}, map[any]bool{}
	var out []any
	for i, v := range list(m["enumValues"]) {
		one, _ := v.(map[string]any)
		inner := fmt.Sprintf("%s.enumValues[%d]", path, i)
		p.element(one, inner, "EnumValue")
		value := one["enumValue"]
		switch value.(type) {
		case string, float64:
		default:
			p.fault(inner, "enumValue is %v", value)
			continue
		}
		_, isText := value.(string)
		if isText != (m["valueSchema"] == "string") {
			p.fault(inner, "enumValue %v is not of the valueSchema", value)
		}
		if names[one["name"]] || values[value] {
			p.fault(inner, "is there twice")
		}
		names[one["name"]], values[value] = true, true
		out = append(out, value)
	}
	return out
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}
