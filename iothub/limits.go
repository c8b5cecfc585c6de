package iothub

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// Limits of a twin (Learn, "Device twins"; the finer rules from the edge
// hub's validator).
const (
	MaxReported    = 32 << 10 // bytes, counted by Size
	MaxDesired     = 32 << 10
	MaxTags        = 8 << 10
	MaxTwinDepth   = 10      // objects and arrays within one another below the section
	MaxTwinKey     = 1 << 10 // bytes of UTF-8
	MaxTwinString  = 4 << 10 // bytes of UTF-8
	MinTwinInteger = -4503599627370496
	MaxTwinInteger = 4503599627370495
)

// CheckPatch tells what in a patch for tags, desired or reported a hub would
// refuse: the path and the rule. Of several faults it names the first in the
// order of the keys. Sizes are checked on the merged section, by [CheckSize].
func CheckPatch(patch map[string]any) error {
	if f := checkObject(patch, 0, false); f != nil {
		return errors.New(f.path + ": " + f.rule)
	}
	return nil
}

func checkObject(m map[string]any, depth int, inArray bool) *fault {
	if depth > MaxTwinDepth {
		return tooDeep
	}
	keys := slices.AppendSeq(make([]string, 0, len(m)), maps.Keys(m))
	slices.Sort(keys)
	for _, k := range keys {
		v := m[k]
		f := checkKey(k)
		switch {
		case f != nil:
		case v == nil && inArray:
			f = faultf("an object in an array must not hold null")
		default:
			f = checkValue(v, depth, inArray)
		}
		if f != nil {
			return f.inMember(k)
		}
	}
	return nil
}

// checkArray counts an array as a level of its own, as a hub does.
func checkArray(list []any, depth int) *fault {
	if depth > MaxTwinDepth {
		return tooDeep
	}
	for i, v := range list {
		f := checkValue(v, depth, true)
		if v == nil {
			f = faultf("an array must not hold null")
		}
		if f != nil {
			return f.inElement(i)
		}
	}
	return nil
}

func checkValue(v any, depth int, inArray bool) *fault {
	switch v := v.(type) {
	case map[string]any:
		return checkObject(v, depth+1, inArray)
	case []any:
		return checkArray(v, depth+1)
	case string:
		if len(v) > MaxTwinString {
			return faultf("the string has %d bytes; at most %d are allowed", len(v), MaxTwinString)
		}
	case json.Number:
		return checkNumber(v)
	}
	return nil
}

var tooDeep = faultf("nested deeper than %d objects", MaxTwinDepth)

func checkNumber(n json.Number) *fault {
	if isInteger(n) {
		if i, err := strconv.ParseInt(string(n), 10, 64); err != nil || i < MinTwinInteger || i > MaxTwinInteger {
			return faultf("the integer is outside %d … %d", int64(MinTwinInteger), int64(MaxTwinInteger))
		}
		return nil
	}
	if _, err := strconv.ParseFloat(string(n), 64); err != nil {
		return faultf("the number does not fit a double")
	}
	return nil
}

func checkKey(k string) *fault {
	switch {
	case k == "":
		return faultf("a key must not be empty")
	case len(k) > MaxTwinKey:
		return faultf("the key has %d bytes; at most %d are allowed", len(k), MaxTwinKey)
	}
	for _, r := range k {
		if strings.ContainsRune(".$#", r) || unicode.IsSpace(r) || unicode.IsControl(r) {
			return faultf("a key must not contain %q", r)
		}
	}
	return nil
}

// CheckSize tells whether a merged section is over its limit in bytes.
func CheckSize(section map[string]any, limit int) error {
	if n := Size(section); n > limit {
		return fmt.Errorf("the section would have %d bytes; at most %d are allowed", n, limit)
	}
	return nil
}

// Size counts a document the hub's way: keys and strings by their UTF-8 bytes
// without control characters, numbers 8, booleans 4, null and structure
// nothing.
func Size(v any) int {
	switch v := v.(type) {
	case map[string]any:
		n := 0
		for k, e := range v {
			n += textSize(k) + Size(e)
		}
		return n
	case []any:
		n := 0
		for _, e := range v {
			n += Size(e)
		}
		return n
	case string:
		return textSize(v)
	case bool:
		return 4
	case nil:
		return 0
	}
	return 8
}

func textSize(s string) int {
	n := len(s)
	for _, r := range s {
		if unicode.IsControl(r) {
			n -= len(string(r))
		}
	}
	return n
}
