package iothub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// DecodeJSON reads one JSON value and nothing after it. Numbers stay
// [json.Number], so that no digit of a big integer is lost. Text that is not
// UTF-8 is refused instead of mended: what was signed off by an operator must
// be what the device sees.
func DecodeJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not valid UTF-8")
	}
	v, err := decode(text)
	if err == nil && hasLoneSurrogate(text) {
		return nil, errors.New(`not valid Unicode: half of a surrogate pair in a \u escape`)
	}
	return v, err
}

// decode reads one JSON value as encoding/json does, which puts U+FFFD where
// there is no character.
func decode(text []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("no JSON value")
		}
		return nil, fmt.Errorf("not valid JSON: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("not valid JSON: something follows the value")
	}
	return v, nil
}

// hasLoneSurrogate tells whether JSON text, known to be valid, escapes half of
// a surrogate pair.
func hasLoneSurrogate(text []byte) bool {
	for {
		i := bytes.IndexByte(text, '\\')
		if i < 0 {
			return false
		}
		r, size := escaped(text[i:])
		text = text[i+size:]
		if utf16.IsSurrogate(r) {
			low, size := escaped(text)
			if utf16.DecodeRune(r, low) == utf8.RuneError {
				return true
			}
			text = text[size:]
		}
	}
}

// escaped gives the number of the \u escape that text begins with, and how
// long it is; 0 and the length of any other escape where there is none.
func escaped(text []byte) (r rune, size int) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, 2
	}
	n, _ := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), 6
}

// DecodeObject is DecodeJSON for a text that must be an object.
func DecodeObject(text []byte) (map[string]any, error) {
	v, err := DecodeJSON(text)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("must be a JSON object, not %s", kindOf(v))
	}
	return m, nil
}

// MaxJSONDepth is how deep objects and arrays may nest in JSON that is passed on
// as it is. A twin nests to ten. SQLite reads a thousand levels and Python's
// decoder not quite as many, so that one deeper value would spoil a whole page
// of others for whoever reads it.
const MaxJSONDepth = 100

// CheckJSON tells what is wrong with JSON that is passed on as it is: it must be
// one value, in UTF-8, that nests to [MaxJSONDepth] at most.
func CheckJSON(text []byte) error {
	switch {
	case !utf8.Valid(text):
		return errors.New("not valid UTF-8")
	case !json.Valid(text):
		return errors.New("not valid JSON")
	case nesting(text) > MaxJSONDepth:
		return fmt.Errorf("nested deeper than %d levels", MaxJSONDepth)
	}
	return nil
}

// nesting counts the levels of valid JSON; a number has none.
func nesting(text []byte) int {
	depth, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // whatever is escaped, a quote too
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// ToDocument turns a Go value that marshals to a JSON object into a document
// of this package: maps, slices, strings, bools, nil and json.Number.
func ToDocument(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return DecodeObject(text)
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "an object"
	case []any:
		return "an array"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case json.Number:
		return "a number"
	}
	return fmt.Sprintf("a %T", v)
}

// Equal tells whether two documents mean the same: numbers by value (1.0 is
// 1), all else exactly.
func Equal(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			w, ok := b[k]
			if !ok || !Equal(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !Equal(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && equalNumbers(a, b)
	}
	return reflect.DeepEqual(a, b) // never panics, whatever Go value a caller slips in
}

// equalNumbers compares two integers by their digits and anything else as
// float64, which is how a hub keeps it.
func equalNumbers(a, b json.Number) bool {
	if a == b {
		return true
	}
	if isInteger(a) && isInteger(b) { // JSON has one spelling for an integer, but for zero
		return isZero(a) && isZero(b)
	}
	x, err1 := strconv.ParseFloat(string(a), 64)
	y, err2 := strconv.ParseFloat(string(b), 64)
	return err1 == nil && err2 == nil && x == y
}

func isZero(n json.Number) bool { return n == "0" || n == "-0" }

func isInteger(n json.Number) bool {
	for i, r := range string(n) {
		if (r < '0' || r > '9') && (i > 0 || r != '-') {
			return false
		}
	}
	return n != ""
}
