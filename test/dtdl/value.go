package dtdl

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"
)

// primitives tell whether a value, as encoding/json decodes it, is of the schema.
var primitives = map[string]func(v any) bool{
	"boolean":  func(v any) bool { _, ok := v.(bool); return ok },
	"string":   func(v any) bool { _, ok := v.(string); return ok },
	"double":   func(v any) bool { _, ok := v.(float64); return ok },
	"float":    func(v any) bool { f, ok := v.(float64); return ok && math.Abs(f) <= math.MaxFloat32 },
	"integer":  func(v any) bool { return whole(v, math.MinInt32, math.MaxInt32) },
	"long":     func(v any) bool { return whole(v, math.MinInt64, math.MaxInt64) },
	"date":     func(v any) bool { return inLayout(v, time.DateOnly) },
	"dateTime": func(v any) bool { return inLayout(v, time.RFC3339Nano) },
	"time":     func(v any) bool { return inLayout(v, "15:04:05.999999999Z07:00") },
	"duration": func(v any) bool { s, ok := v.(string); return ok && isoDuration.MatchString(s) },
}

var isoDuration = regexp.MustCompile(`^-?P(?:\d+[YMWD])*(?:T(?:\d+(?:\.\d+)?[HMS])+)?$`)

func whole(v any, least, most float64) bool {
	f, ok := v.(float64)
	return ok && f == math.Trunc(f) && f >= least && f <= most
}

func inLayout(v any, layout string) bool {
	s, ok := v.(string)
	_, err := time.Parse(layout, s)
	return ok && err == nil
}

// Check tells what in a value is not as the schema says, with the path to it. A
// field may be absent; one that the schema does not know is a fault. If seen is not
// nil, it is called with the path of each field that is there, "a.b".
func (s *Schema) Check(v any, path string, seen func(path string)) error {
	normal, err := json.Marshal(v)
	if err != nil {
		return err
	}
	var decoded any
	if err := json.Unmarshal(normal, &decoded); err != nil {
		return err
	}
	return s.check(decoded, path, seen)
}

func (s *Schema) check(v any, path string, seen func(string)) error {
	if seen != nil {
		seen(path)
	}
	switch s.Kind {
	case "Object":
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %v is no object", path, v)
		}
		for name, value := range m {
			field := s.Fields[name]
			if field == nil {
				return fmt.Errorf("%s: the model has no %s", path, name)
			}
			if err := field.check(value, path+"."+name, seen); err != nil {
				return err
			}
		}
	case "Map":
		m, ok := v.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %v is no map", path, v)
		}
		for _, value := range m {
			if err := s.Of.check(value, path+".*", seen); err != nil {
				return err
			}
		}
	case "Array":
		l, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s: %v is no list", path, v)
		}
		for _, value := range l {
			if err := s.Of.check(value, path+".*", seen); err != nil {
				return err
			}
		}
	case "Enum":
		if !slices.Contains(s.Values, v) {
			return fmt.Errorf("%s: %v is none of %v", path, v, s.Values)
		}
	default:
		if !primitives[s.Kind](v) {
			return fmt.Errorf("%s: %v is no %s", path, v, s.Kind)
		}
	}
	return nil
}

// Paths lists the schema and all that it may hold, as Check names them.
func (s *Schema) Paths(path string) []string {
	out := []string{path}
	for name, field := range s.Fields {
		out = append(out, field.Paths(path+"."+name)...)
	}
	if s.Of != nil {
		out = append(out, s.Of.Paths(path+".*")...)
	}
	return out
}

// Wrong gives values of each JSON type that the schema is not.
func (s *Schema) Wrong() []any {
	var out []any
	for _, v := range []any{true, 7.0, "no such thing", map[string]any{"a": 1.0}, []any{1.0}} {
		if s.check(v, "", nil) != nil {
			out = append(out, v)
		}
	}
	return out
}
