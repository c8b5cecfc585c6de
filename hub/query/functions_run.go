package query

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The functions that run in Go. Numbers are int64 or float64, as SQLite stores
// them.

func double(x any) float64 {
	if n, ok := x.(int64); ok {
		return float64(n)
	}
	return x.(float64)
}

// compareNumbers compares by value, exactly: a double cannot hold every int64.
func compareNumbers(a, b any) int {
	m, ok := a.(int64)
	n, ok2 := b.(int64)
	if ok && ok2 {
		return new(big.Int).Sub(big.NewInt(m), big.NewInt(n)).Sign()
	}
	return exact(a).Cmp(exact(b))
}

func exact(x any) *big.Float {
	if n, ok := x.(int64); ok {
		return new(big.Float).SetInt64(n)
	}
	return big.NewFloat(x.(float64))
}

func abs(x any) any {
	n, whole := x.(int64)
	switch {
	case !whole:
		return math.Abs(x.(float64))
	case n == math.MinInt64: // its positive is no int64
		return -float64(n)
	case n < 0:
		return -n
	}
	return n
}

func rounded(x any, round func(float64) float64) any {
	if f, ok := x.(float64); ok {
		return round(f)
	}
	return x
}

// remainder is the operator %, with the sign of the dividend as in C# and Go.
// SQLite's own cuts fractions off first.
func remainder(args []any) any {
	m, ok := args[0].(int64)
	n, ok2 := args[1].(int64)
	if ok && ok2 {
		if n == 0 {
			return nil
		}
		return m % n
	}
	return math.Mod(double(args[0]), double(args[1]))
}

// asNumber gives a number as it is and reads a string that is a JSON number.
func asNumber(args []any) any {
	switch v := args[0].(type) {
	case int64, float64:
		return v
	case string:
		return jsonNumber(v)
	}
	return nil
}

// jsonNumber reads a JSON number as SQLite does; nil if s is none.
func jsonNumber(s string) any {
	if s == "" || strings.Trim(s, "0123456789.eE+-") != "" || !json.Valid([]byte(s)) {
		return nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return f
}

func concat(args []any) any {
	var b strings.Builder
	for _, a := range args {
		b.WriteString(a.(string))
	}
	return b.String()
}

// substring counts characters from 0. A start or length that is negative or not
// whole is undefined; one beyond the end gives what there is.
func substring(args []any) any {
	characters := []rune(args[0].(string))
	start, ok := count(args[1])
	if !ok {
		return nil
	}
	start = min(start, len(characters))
	length := len(characters) - start
	if len(args) > 2 {
		wanted, ok := count(args[2])
		if !ok {
			return nil
		}
		length = min(length, wanted)
	}
	return string(characters[start : start+length])
}

// count gives x as a number of characters.
func count(x any) (int, bool) {
	f := double(x)
	if f < 0 || f != math.Trunc(f) {
		return 0, false
	}
	return int(min(f, math.MaxInt32)), true
}

// indexOf gives the place of a part in characters from 0, or -1.
func indexOf(args []any) any {
	s := args[0].(string)
	i := strings.Index(s, args[1].(string))
	if i < 0 {
		return int64(-1)
	}
	return int64(utf8.RuneCountInString(s[:i]))
}

// arrayContains looks for a primitive value in an array, given as JSON text.
func arrayContains(args []any) any {
	document, ok := args[0].(string)
	if !ok {
		return nil
	}
	var items []json.RawMessage
	if err := json.Unmarshal([]byte(document), &items); err != nil || items == nil {
		return nil // not an array: undefined
	}
	for _, item := range items {
		if sameValue(item, args[1]) {
			return true
		}
	}
	return false
}

// sameValue compares an item of a JSON array with a tagged value.
func sameValue(item json.RawMessage, want any) bool {
	switch want := want.(type) {
	case string:
		var s string
		return len(item) > 0 && item[0] == '"' && json.Unmarshal(item, &s) == nil && s == want
	case []byte:
		return string(want) == tagOfWord(string(item))
	}
	n := jsonNumber(string(item))
	return n != nil && compareNumbers(n, want) == 0
}
