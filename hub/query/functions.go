package query

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// function describes one function of the language. Its arguments have the given
// types; an argument of another type makes the result undefined, as an undefined
// one does.
//
// A function either looks at the type of its argument and becomes SQL (kinds), or
// it computes a value and runs as Go code inside SQLite (run).
type function struct {
	params   []valueType
	optional int  // how many of the last params may be left out
	variadic bool // the last param may be repeated
	pathOnly bool // the first argument must be a path
	result   valueType

	// kinds are the names, as json_type gives them, of the types for which a
	// test such as IS_NUMBER is true. A test is never undefined.
	kinds []string

	// run computes the result from arguments that are defined and have the
	// types of params: int64 or float64, string, and for anyType also a tag as
	// []byte. They live only as long as the call. A result of nil is undefined.
	run func(args []any) any
}

// otherSpellings maps a name to the one in the table. Twin queries of the cloud
// hub know STARTSWITH, message routing knows STARTS_WITH.
var otherSpellings = map[string]string{"STARTS_WITH": "STARTSWITH", "ENDS_WITH": "ENDSWITH"}

var functions = map[string]function{
	"IS_DEFINED":   test(true, "null", "true", "false", "integer", "real", "text", "array", "object"),
	"IS_NULL":      test(false, "null"),
	"IS_BOOL":      test(false, "true", "false"),
	"IS_NUMBER":    test(false, "integer", "real"),
	"IS_STRING":    test(false, "text"),
	"IS_ARRAY":     test(false, "array"),
	"IS_OBJECT":    test(false, "object"),
	"IS_PRIMITIVE": test(false, "null", "true", "false", "integer", "real", "text"),

	"ABS":     numeric(abs),
	"CEILING": numeric(func(x any) any { return rounded(x, math.Ceil) }),
	"FLOOR":   numeric(func(x any) any { return rounded(x, math.Floor) }),
	"SIGN":    numeric(func(x any) any { return int64(compareNumbers(x, int64(0))) }),
	"SQUARE":  numeric(func(x any) any { return double(x) * double(x) }),
	"SQRT":    numeric(func(x any) any { return math.Sqrt(double(x)) }),
	"EXP":     numeric(func(x any) any { return math.Exp(double(x)) }),
	"POWER": {
		params: []valueType{number, number}, result: number,
		run: func(a []any) any { return math.Pow(double(a[0]), double(a[1])) },
	},
	"AS_NUMBER": {params: []valueType{anyType}, result: number, run: asNumber},

	"LOWER":  {params: []valueType{text}, result: text, run: func(a []any) any { return strings.ToLower(a[0].(string)) }},
	"UPPER":  {params: []valueType{text}, result: text, run: func(a []any) any { return strings.ToUpper(a[0].(string)) }},
	"LENGTH": {params: []valueType{text}, result: number, run: func(a []any) any { return int64(utf8.RuneCountInString(a[0].(string))) }},
	"CONCAT": {params: []valueType{text, text}, variadic: true, result: text, run: concat},
	"SUBSTRING": {
		params: []valueType{text, number, number}, optional: 1, result: text, run: substring,
	},
	"INDEX_OF": {params: []valueType{text, text}, result: number, run: indexOf},

	"STARTSWITH": textTest(strings.HasPrefix),
	"ENDSWITH":   textTest(strings.HasSuffix),
	"CONTAINS":   textTest(strings.Contains),
	"ARRAY_CONTAINS": {
		params: []valueType{anyType, anyType}, pathOnly: true, result: boolean, run: arrayContains,
	},
}

func test(pathOnly bool, kinds ...string) function {
	return function{params: []valueType{anyType}, pathOnly: pathOnly, result: boolean, kinds: kinds}
}

func numeric(f func(any) any) function {
	return function{params: []valueType{number}, result: number, run: func(a []any) any { return f(a[0]) }}
}

func textTest(f func(s, part string) bool) function {
	return function{
		params: []valueType{text, text}, result: boolean,
		run: func(a []any) any { return f(a[0].(string), a[1].(string)) },
	}
}

// functionNames are all names, in order, for the message about an unknown one.
func functionNames() []string {
	return slices.Sorted(maps.Keys(functions))
}

// check says what is wrong with the arguments of a call.
func (f function) check(name string, args []expr) error {
	least, most := len(f.params)-f.optional, len(f.params)
	switch {
	case len(args) < least, len(args) > most && !f.variadic:
		wanted := strconv.Itoa(least)
		if f.variadic {
			wanted += " or more"
		} else if least < most {
			wanted += " or " + strconv.Itoa(most)
		}
		return fmt.Errorf("%s takes %s, not %d", name, wanted, len(args))
	case f.pathOnly:
		if _, ok := args[0].(path); !ok {
			return fmt.Errorf("%s takes a path first", name)
		}
	}
	return nil
}

// param is the type of argument i.
func (f function) param(i int) valueType { return f.params[min(i, len(f.params)-1)] }
