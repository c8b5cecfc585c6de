package query

import (
	"database/sql/driver"
	"math"
	"strings"

	"modernc.org/sqlite"
)

// sqlName is the name of a function inside SQLite. The prefix keeps it apart from
// SQLite's own, which differ: lower() there knows only ASCII.
func sqlName(name string) string { return "iothub_" + strings.ToLower(name) }

const remainderName = "REMAINDER"

func init() {
	register(remainderName, function{params: []valueType{number, number}, run: remainder})
	for name, f := range functions {
		if f.run != nil {
			register(name, f)
		}
	}
}

// register makes a function known to every connection that the driver opens
// from now on. It happens once, when the package is loaded.
func register(name string, f function) {
	sqlite.MustRegisterFunction(sqlName(name), &sqlite.FunctionImpl{
		NArgs:         -1, // the parser has counted
		Deterministic: true,
		// Without this the driver ends a string at its first NUL character. The
		// price is that arguments live only as long as the call; none is kept.
		VolatileArgs: true,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) {
			return f.apply(args), nil
		},
	})
}

// apply runs a function on SQLite's values. An argument that is undefined or of
// another type makes the result undefined, and so does a result that is no JSON
// number.
func (f function) apply(args []driver.Value) driver.Value {
	values := make([]any, len(args))
	for i, arg := range args {
		if !hasType(arg, f.param(i)) {
			return nil
		}
		values[i] = arg
	}
	result := f.run(values)
	if x, ok := result.(float64); ok && (math.IsNaN(x) || math.IsInf(x, 0)) {
		return nil
	}
	return result
}

func hasType(value driver.Value, t valueType) bool {
	switch value.(type) {
	case int64, float64:
		return t == number || t == anyType
	case string:
		return t == text || t == anyType
	case []byte:
		return t == anyType
	}
	return false
}
