package query

import (
	"database/sql/driver"
	"math"
	"testing"
)

// TestApply has the values that conditions over ordinary twins do not reach:
// the ends of the number range, and values of a type that the schema denies.
func TestApply(t *testing.T) {
	const least, most = int64(math.MinInt64), int64(math.MaxInt64)
	for _, test := range []struct {
		name string
		args []driver.Value
		want driver.Value
	}{
		{"ABS", []driver.Value{least}, -float64(least)},
		{"ABS", []driver.Value{-most}, most},
		{"FLOOR", []driver.Value{most}, most},
		{"SIGN", []driver.Value{least}, int64(-1)},
		{"SIGN", []driver.Value{0.0}, int64(0)},
		{"SQUARE", []driver.Value{1e200}, nil},
		{"SQRT", []driver.Value{-1.0}, nil},
		{"POWER", []driver.Value{0.0, -1.0}, nil},
		{"EXP", []driver.Value{1000.0}, nil},
		{"AS_NUMBER", []driver.Value{"-1.5e3"}, -1500.0},
		{"AS_NUMBER", []driver.Value{"9223372036854775807"}, most},
		{"AS_NUMBER", []driver.Value{"9223372036854775808"}, 9223372036854775808.0},
		{"AS_NUMBER", []driver.Value{"1e999"}, nil},
		{"AS_NUMBER", []driver.Value{"Infinity"}, nil},
		{"AS_NUMBER", []driver.Value{" 1"}, nil},
		{"AS_NUMBER", []driver.Value{"01"}, nil},
		{"AS_NUMBER", []driver.Value{"0x10"}, nil},
		{"AS_NUMBER", []driver.Value{[]byte(tagTrue)}, nil},
		{"SUBSTRING", []driver.Value{"abc", 1e300}, ""},
		{"SUBSTRING", []driver.Value{"abc", int64(1), 1e300}, "bc"},
		{"SUBSTRING", []driver.Value{"abc", 0.5}, nil},
		{"SUBSTRING", []driver.Value{"abc", int64(1), most}, "bc"},
		{"ARRAY_CONTAINS", []driver.Value{"[9007199254740993]", 9007199254740992.0}, false},
		{"ARRAY_CONTAINS", []driver.Value{"[9007199254740993]", int64(9007199254740993)}, true},
		{"ARRAY_CONTAINS", []driver.Value{"[true]", []byte(tagTrue)}, true},
		{"ARRAY_CONTAINS", []driver.Value{"[]", "x"}, false},
		{"ARRAY_CONTAINS", []driver.Value{"null", "x"}, nil},
		{"ARRAY_CONTAINS", []driver.Value{`{"x":1}`, "x"}, nil},
		{"LOWER", []driver.Value{int64(1)}, nil},
		{"LOWER", []driver.Value{nil}, nil},
		{"CONCAT", []driver.Value{"a", "b", int64(1)}, nil},
	} {
		if got := functions[test.name].apply(test.args); got != test.want {
			t.Errorf("%s%v: got %v, want %v", test.name, test.args, got, test.want)
		}
	}
}
