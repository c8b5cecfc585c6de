package iothub

import (
	"encoding/json"
	"fmt"
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
	MaxTwinDepth   = 10      // objects within one another below the section
	MaxTwinKey     = 1 << 10 // bytes of UTF-8
	MaxTwinString  = 4 << 10 // bytes of UTF-8
	MinTwinInteger = -4503599627370496
	MaxTwinInteger = 4503599627370495
)

// CheckPatch tells what in a patch for tags, desired or reported a hub would
// refuse: the path and the rule. Sizes are checked on the merged section, by
// [CheckSize].
func CheckPatch(patch map[string]any) error { return checkObject(patch, "", 0) }

func checkObject(m map[string]any, path string, depth int) error {
	if depth > MaxTwinDepth {
		return fmt.Errorf("%s: nested deeper than %d objects", path, MaxTwinDepth)
	}
	for k, v := range m {
		at := k
		if path != "" {
			at = path + "." + k
		}
		if err := checkKey(k); err != nil {
			return fmt.Errorf("%s: %w", shorten(at), err)
		}
		if err := checkValue(v, shorten(at), depth); err != nil {
			return err
		}
	}
	return nil
}

func checkValue(v any, path string, depth int) error {
	switch v := v.(type) {
	case map[string]any:
		return checkObject(v, path, depth+1)
	case []any:
		for i, e := range v {
			if e == nil {
				return fmt.Errorf("%s[%d]: an array must not hold null", path, i)
			}
			if hasNull(e) {
				return fmt.Errorf("%s[%d]: an object in an array must not hold null", path, i)
			}
			if err := checkValue(e, fmt.Sprintf("%s[%d]", path, i), depth+1); err != nil {
				return err
			}
		}
		if depth+1 > MaxTwinDepth {
			return fmt.Errorf("%s: nested deeper than %d", path, MaxTwinDepth)
		}
	case string:
		if len(v) > MaxTwinString {
			return fmt.Errorf("%s: the string has %d bytes; at most %d are allowed", path, len(v), MaxTwinString)
		}
	case json.Number:
		return checkNumber(v, path)
	}
	return nil
}

func checkNumber(n json.Number, path string) error {
	if isInteger(n) {
		if i, err := strconv.ParseInt(string(n), 10, 64); err != nil || i < MinTwinInteger || i > MaxTwinInteger {
			return fmt.Errorf("%s: the integer is outside %d … %d", path, int64(MinTwinInteger), int64(MaxTwinInteger))
		}
		return nil
	}
	if _, err := strconv.ParseFloat(string(n), 64); err != nil {
		return fmt.Errorf("%s: the number does not fit a double", path)
	}
	return nil
}

func checkKey(k string) error {
	switch {
	case k == "":
		return fmt.Errorf("the key is empty")
	case len(k) > MaxTwinKey:
		return fmt.Errorf("the key has %d bytes; at most %d are allowed", len(k), MaxTwinKey)
	}
	for _, r := range k {
		if strings.ContainsRune(".$#", r) || unicode.IsSpace(r) || unicode.IsControl(r) {
			return fmt.Errorf("a key must not contain %q", r)
		}
	}
	return nil
}

func hasNull(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		for _, e := range v {
			if hasNull(e) {
				return true
			}
		}
	case []any:
		for _, e := range v {
			if hasNull(e) {
				return true
			}
		}
	}
	return false
}

func shorten(path string) string {
	const longest = 200
	if len(path) > longest {
		return strings.ToValidUTF8(path[:longest], "") + "…"
	}
	return path
}

// CheckSize tells whether a merged section is over its limit in bytes.
func CheckSize(section map[string]any, limit int) error {
	if n := Size(section); n > limit {
		return fmt.Errorf("the section would have %d bytes; at most %d are allowed", n, limit)
	}
	return nil
}

// Size counts a document the hub's way: keys and strings by their UTF-8 bytes
// without control characters, numbers 8, booleans 4, structure nothing.
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
