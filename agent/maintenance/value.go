package maintenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// An object is a JSON object with only known keys. A value of nil is as good as
// none: twins delete by null.
type object struct {
	at     string // its path
	values map[string]any
}

func (o object) path(key string) string { return o.at + "." + key }

// asObject takes a value for an object with these keys at most. what is the
// object in words.
func asObject(path, what string, value any, keys ...string) (object, error) {
	m, ok := value.(map[string]any)
	if !ok {
		return object{}, fmt.Errorf("%s: must be an object, not %s", path, show(value))
	}
	for _, key := range slices.Sorted(maps.Keys(m)) { // in order: the same fault, the same words
		if !slices.Contains(keys, key) {
			return object{}, fmt.Errorf("%s: is not a key of %s (%s)", path+"."+plain(key), what, strings.Join(keys, ", "))
		}
	}
	return object{path, m}, nil
}

func asList(path string, value any, most int) ([]any, error) {
	list, ok := value.([]any)
	if !ok {
		return nil, fmt.Errorf("%s: must be a list, not %s", path, show(value))
	}
	if len(list) > most {
		return nil, fmt.Errorf("%s: has %d entries; at most %d", path, len(list), most)
	}
	return list, nil
}

func asText(path string, value any) (string, error) {
	text, ok := value.(string)
	if !ok {
		return "", fmt.Errorf("%s: must be text, not %s", path, show(value))
	}
	return text, nil
}

// plain writes a key for a path: as it is where that is short and clear.
func plain(key string) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
	if key != "" && len(key) <= 40 && strings.Trim(key, letters) == "" {
		return key
	}
	return fmt.Sprintf("%.40q", key)
}

// show writes a value for a message, no longer than a message should be.
func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return fmt.Sprintf("%.40q", v)
	}
	return fmt.Sprintf("%.40s", fmt.Sprint(value))
}

// checkSize counts what a value takes as compact JSON. what is the value in
// words.
func checkSize(what string, value any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return fmt.Errorf("maintenance: %w", err)
	}
	if n := b.Len() - len("\n"); n > maxSize {
		return fmt.Errorf("maintenance: %s takes %d bytes as JSON; at most %d", what, n, maxSize)
	}
	return nil
}
