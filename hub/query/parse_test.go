package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"", "Line 1:1 Unexpected end of input, expected 'SELECT'"},
		{"SELEKT * FRUM devices", "Line 1:1 Unexpected character at input 'SELEKT', expected 'SELECT'"},
		{"SELECT", "Line 1:7 Unexpected end of input, expected '*', a path or an aggregate"},
		{"SELECT * FROM", "Line 1:14 Unexpected end of input, expected devices or devices.jobs"},
		{"SELECT * FROM c", "Line 1:15 Unexpected character at input 'c', expected devices or devices.jobs"},
		{"SELECT * FROM devices.modules WHERE moduleId = 'm'", "Line 1:15 Unexpected character at input 'devices.modules', modules are not supported"},
		{"SELECT * FROM devices d", "Line 1:23 Unexpected character at input 'd', expected an operator or the end"},
		{"SELECT * FROM devices;", "Line 1:22 Unexpected character at input ';'"},
		{"SELECT * FROM devices WHERE", "Line 1:28 Unexpected end of input, expected a path, a value or a function"},
		{"SELECT *\nFROM devices\nWHERE tags.a ==1", "Line 3:15 Unexpected character at input '=', expected a path, a value or a function"},
		{"SELECT *, deviceId FROM devices", "Line 1:9 Unexpected character at input ',', expected 'FROM'"},
		{"SELECT TOP 0 * FROM devices", "Line 1:12 Unexpected character at input '0', expected a whole number of at least 1"},
		{"SELECT TOP 1.5 * FROM devices", "Line 1:12 Unexpected character at input '1.5', expected a whole number of at least 1"},
		{"SELECT TOP 'x' * FROM devices", "Line 1:12 Unexpected character at input ''x'', expected a whole number of at least 1"},
		{"SELECT COUNT(*) FROM devices", "Line 1:14 Unexpected character at input '*', expected ')', because COUNT() takes no argument"},
		{"SELECT LOWER(tags.a) FROM devices", "Line 1:8 Unexpected character at input 'LOWER', expected COUNT, AVG, SUM, MIN or MAX; no other function can be selected"},
		{"SELECT 1 FROM devices", "Line 1:8 Unexpected character at input '1', expected '*', a path or an aggregate"},
		{"SELECT deviceId AS FROM devices", "Line 1:20 Unexpected character at input 'FROM', expected a name after AS"},
		{"SELECT * FROM devices GROUP BY tags.a", "Line 1:23 Unexpected character at input 'GROUP', SELECT * cannot be grouped"},
		{"SELECT jobId FROM devices.jobs", "Line 1:8 Unexpected column, devices.jobs supports only SELECT *"},

		// Words of other dialects.
		{"SELECT * FROM devices ORDER BY deviceId", "Line 1:23 Unexpected character at input 'ORDER', ORDER BY is not supported, results come in the order of their keys"},
		{"SELECT DISTINCT tags.a FROM devices", "Line 1:17 Unexpected character at input 'tags', DISTINCT is not supported, use GROUP BY"},
		{"SELECT * FROM devices WHERE deviceId LIKE 'a%'", "Line 1:38 Unexpected character at input 'LIKE', LIKE is not supported, use STARTSWITH, ENDSWITH or CONTAINS"},
		{"SELECT * FROM devices WHERE tags.a IS NULL", "Line 1:36 Unexpected character at input 'IS', IS is not supported, use IS_DEFINED(path) or IS_NULL(path)"},
		{"SELECT * FROM devices JOIN devices.modules", "Line 1:23 Unexpected character at input 'JOIN', JOIN is not supported"},
		{"SELECT COUNT() AS n FROM devices GROUP BY tags.a HAVING n > 1", "Line 1:50 Unexpected character at input 'HAVING', HAVING is not supported"},
		{"SELECT * FROM devices WHERE deviceId NOT IN ['a']", "Line 1:38 Unexpected character at input 'NOT', expected an operator; NOT IN is written NIN"},
	} {
		q, err := Parse(test.query)
		check(t, test.query, q, err, test.want)
	}
}

func TestConditionErrors(t *testing.T) {
	for _, test := range []struct{ condition, want string }{
		// The text of the cloud hub, to the letter.
		{"SELECT * FROM devices WHERE deviceId = 'a'", "Line 1:29 Unexpected character at input 'SELECT'"},
		{"select * from devices", "Line 1:29 Unexpected character at input 'SELECT'"},
		{"FROM devices.modules WHERE moduleId = 'm'", "Line 1:29 Unexpected character at input 'FROM', modules are not supported; a condition over devices is only what follows WHERE"},
		{"* AND true", "Line 1:31 Unexpected character at input 'AND', expected an operator or the end"},
		{"deviceId = 'a' GROUP BY deviceId", "Line 1:44 Unexpected character at input 'GROUP', expected an operator or the end"},
		{"deviceId = 'a' 'b'", "Line 1:44 Unexpected character at input ''b'', expected an operator or the end"},
		{"deviceId = 'it''s'", "Line 1:44 Unexpected character at input ''s'', expected an operator or the end"},
		{"deviceId =\n\n  =", "Line 3:3 Unexpected character at input '=', expected a path, a value or a function"},
		{"(true", "Line 1:34 Unexpected end of input, expected ')'"},
		{"true)", "Line 1:33 Unexpected character at input ')', expected an operator or the end"},
		{"tags.a AND", "Line 1:39 Unexpected end of input, expected a path, a value or a function"},
		{"NOT", "Line 1:32 Unexpected end of input, expected a path, a value or a function"},
		{"WHERE true", "Line 1:29 Unexpected character at input 'WHERE', expected a path, a value or a function"},

		// Names.
		{"tags.", "Line 1:34 Unexpected end of input, expected a name"},
		{"tags.group = 'x'", "Line 1:34 Unexpected character at input 'group', expected a name; a reserved word is written [[group]]"},
		{"tags.3d = 1", "Line 1:34 Unexpected character at input '3d', it is not a number; a name that begins with a digit is written [[3d]]"},
		{"tags.'a' = 1", "Line 1:34 Unexpected character at input ''a'', expected a name"},
		{"tags.[[a = 1", "Line 1:34 Unexpected end of input, expected ]] after the name that begins here"},
		{"tags.[[]] = 1", "Line 1:34 Unexpected empty name [[]]"},
		{"[[tags]].a = 1", "Line 1:29 Unexpected character at input '[[tags]]', expected a path, a value or a function"},
		{"tags.list[0] = 1", "Line 1:38 Unexpected character at input '[', expected an operator or the end"},
		{"tags.a = #", "Line 1:38 Unexpected character at input '#'"},
		{"tags.a = ?", "Line 1:38 Unexpected character at input '?'"},
		{"tags.a = \x00", "Line 1:38 Unexpected character at input '\uFFFD'"},
		{"tags.a = '\xff'", "Line 1:29 Unexpected character, the text is not UTF-8"},

		// Literals.
		{"tags.a = 'x", "Line 1:38 Unexpected end of input, expected ' after the string that begins here"},
		{`tags.a = "x'`, "Line 1:38 Unexpected end of input, expected \" after the string that begins here"},
		{`tags.a = '\'`, "Line 1:38 Unexpected end of input, expected ' after the string that begins here"},
		{`tags.a = '\x41'`, `Line 1:38 Unexpected escape in a string, expected one of \' \" \\ \/ \b \f \n \r \t \uXXXX`},
		{`tags.a = '\u00'`, `Line 1:38 Unexpected escape in a string, expected one of \' \" \\ \/ \b \f \n \r \t \uXXXX`},
		{`tags.a = '\ud83d'`, `Line 1:38 Unexpected escape in a string, expected one of \' \" \\ \/ \b \f \n \r \t \uXXXX`},
		{"tags.a = 1.2.3", "Line 1:41 Unexpected character at input '.', expected an operator or the end"},
		{"tags.a = 1e999", "Line 1:38 Unexpected character at input '1e999', the number is too large"},
		{"tags.a = 0x", "Line 1:38 Unexpected character at input '0x', it is not a hexadecimal number of at most 64 bits"},
		{"tags.a = 0x10000000000000000", "Line 1:38 Unexpected character at input '0x10000000000000000', it is not a hexadecimal number of at most 64 bits"},
		{"tags.a = 1_000", "Line 1:38 Unexpected character at input '1_000', it is not a number; a name that begins with a digit is written [[1_000]]"},

		// Lists.
		{"deviceId IN 'a'", "Line 1:41 Unexpected character at input ''a'', expected a list of constants in brackets"},
		{"deviceId IN []", "Line 1:42 Unexpected character at input ']', expected a constant"},
		{"deviceId IN ['a',]", "Line 1:46 Unexpected character at input ']', expected a constant"},
		{"deviceId IN ['a'", "Line 1:45 Unexpected end of input, expected ']'"},
		{"deviceId IN ['a')", "Line 1:45 Unexpected character at input ')', expected ']'"},
		{"deviceId IN [tags.a]", "Line 1:42 Unexpected character at input 'tags', expected a constant"},
		{"deviceId IN [-'a']", "Line 1:43 Unexpected character at input ''a'', expected a constant"},
		{"tags.a = ['a']", "Line 1:38 Unexpected character at input '[', expected a value; a list stands only after IN and NIN"},

		// Functions.
		{
			"SOUNDEX(tags.a) = 'x'",
			"Line 1:29 Unexpected function at input 'SOUNDEX', expected one of ABS, ARRAY_CONTAINS, AS_NUMBER, CEILING, CONCAT, CONTAINS, " +
				"ENDSWITH, EXP, FLOOR, INDEX_OF, IS_ARRAY, IS_BOOL, IS_DEFINED, IS_NULL, IS_NUMBER, IS_OBJECT, IS_PRIMITIVE, IS_STRING, " +
				"LENGTH, LOWER, POWER, SIGN, SQRT, SQUARE, STARTSWITH, SUBSTRING, UPPER",
		},
		{"COUNT() = 1", "Line 1:29 Unexpected aggregate at input 'COUNT', it can only be selected"},
		{"IS_DEFINED()", "Line 1:29 Unexpected arguments at input 'IS_DEFINED', IS_DEFINED takes 1, not 0"},
		{"IS_DEFINED('tags.a')", "Line 1:29 Unexpected arguments at input 'IS_DEFINED', IS_DEFINED takes a path first"},
		{"starts_with(tags.a)", "Line 1:29 Unexpected arguments at input 'starts_with', STARTSWITH takes 2, not 1"},
		{"SUBSTRING('a') = 'a'", "Line 1:29 Unexpected arguments at input 'SUBSTRING', SUBSTRING takes 2 or 3, not 1"},
		{"CONCAT('a') = 'a'", "Line 1:29 Unexpected arguments at input 'CONCAT', CONCAT takes 2 or more, not 1"},
		{"LOWER(tags.a tags.b)", "Line 1:42 Unexpected character at input 'tags', expected ',' or ')'"},
		{"LOWER(tags.a", "Line 1:41 Unexpected end of input, expected ',' or ')'"},
		{"LOWER(tags.a,)", "Line 1:42 Unexpected character at input ')', expected a path, a value or a function"},
	} {
		q, err := ParseCondition(test.condition)
		check(t, test.condition, q, err, test.want)
	}
}

func check(t *testing.T, text string, q *Query, err error, want string) {
	t.Helper()
	var mistake *SyntaxError
	if q != nil || !errors.As(err, &mistake) || err.Error() != parseFailed+want {
		t.Errorf("%q\ngot  %v\nwant %s%s", text, err, parseFailed, want)
	}
}

// TestLimits goes to the limits of the parser and a step beyond. What it accepts
// SQLite must be able to run, what it refuses must not harm it.
func TestLimits(t *testing.T) {
	t.Parallel()
	db := openDatabase(t)
	addTagged(t, db, "a", `{"a":1,"b":true}`)
	many := func(n int, s, separator string) string {
		return strings.Repeat(s+separator, n-1) + s
	}
	nest := func(n int, before, inner, after string) string {
		return strings.Repeat(before, n) + inner + strings.Repeat(after, n)
	}
	// Deep on one side and long on the other, within the length.
	var staircase strings.Builder
	staircase.WriteString(strings.Repeat("(", maxDepth-2) + "tags.b")
	for range maxDepth - 2 {
		staircase.WriteString(" = (" + many(12, "tags.b", " OR ") + "))")
	}
	ids := make([]string, 0, 1200)
	for i := range cap(ids) {
		ids = append(ids, fmt.Sprintf("%d", i))
	}
	for _, test := range []struct {
		name, condition string
		ok              bool
	}{
		{"longest text", "true " + strings.Repeat(" ", MaxLength-5), true},
		{"length counts characters", "true OR '" + strings.Repeat("ö", MaxLength-16) + "' = 'x'", true},
		{"too long", "true " + strings.Repeat(" ", MaxLength-4), false},
		{"parentheses", nest(maxDepth, "(", "true", ")"), true},
		{"too many parentheses", nest(maxDepth+1, "(", "true", ")"), false},
		{"parenthesis bomb", strings.Repeat("(", MaxLength), false},
		{"NOT", strings.Repeat("NOT ", maxDepth-2) + "tags.b", true},
		{"too many NOT", strings.Repeat("NOT ", maxDepth) + "tags.b", false},
		{"NOT bomb", strings.Repeat("NOT ", MaxLength/4), false},
		{"minus bomb", strings.Repeat("-", MaxLength-1) + "1", false},
		{"function bomb", nest(1000, "LOWER(", "'x'", ")"), false},
		{"functions", "'x' = " + nest(maxDepth-2, "LOWER(", "'x'", ")"), true},
		{"a long OR", many(681, "tags.a=1", " OR "), true},
		{"a long AND", many(630, "tags.b=1", " AND "), true},
		{"a list", "tags.a IN [" + strings.Join(ids, ",") + "]", true},
		{"the longest list", "tags.a IN [" + many((MaxLength-12)/2, "1", ",") + "]", true},
		{"a long sum", many(maxDepth-2, "1", "+") + " = 62", true},
		{"too long a sum", many(maxDepth+1, "1", "+") + " = 65", false},
		{"a chain of comparisons", "true" + strings.Repeat(" = true", maxDepth-1), true},
		{"too long a chain of comparisons", "true" + strings.Repeat(" = true", maxDepth), false},
		{"a chain of IN", "tags.b" + strings.Repeat(" IN [true]", maxDepth-1), true},
		{"nested pairs", nest(maxDepth/2-1, "tags.a < (tags.a + ", "1", ")"), true},
		{"deep comparisons", nest(maxDepth-3, "(", "tags.b", " = tags.b)"), true},
		{"a staircase", staircase.String(), true},
		{"a deep path", "IS_DEFINED(tags" + strings.Repeat(".a", 4000) + ") OR true", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			q, err := ParseCondition(test.condition)
			if (err == nil) != test.ok {
				t.Fatalf("%d characters: error %v", len([]rune(test.condition)), err)
			}
			if err != nil {
				return
			}
			if _, err := tryRun(db, q, Page{}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTooLong(t *testing.T) {
	text := strings.Repeat(" ", MaxLength+1)
	for _, parse := range []func(string) (*Query, error){Parse, ParseCondition} {
		if _, err := parse(text); !errors.Is(err, ErrTooLong) || !strings.HasPrefix(err.Error(), parseFailed) {
			t.Errorf("error %v", err)
		}
	}
}

func TestManyColumns(t *testing.T) {
	db := openDatabase(t)
	addTagged(t, db, "a", `{"c0":1,"c99":2}`)
	columns := func(n int) string {
		names := make([]string, n)
		for i := range names {
			names[i] = fmt.Sprintf("tags.c%d", i)
		}
		return strings.Join(names, ", ")
	}
	most := columns(maxColumns)
	for _, text := range []string{
		"SELECT " + most + " FROM devices",
		"SELECT " + most + " FROM devices GROUP BY " + most,
	} {
		if got := itemsOf(run(t, db, mustParse(t, text), Page{})); got != `{"c0":1,"c99":2}` {
			t.Errorf("%s…: %s", text[:20], got)
		}
	}
	for _, text := range []string{
		"SELECT " + columns(maxColumns+1) + " FROM devices",
		"SELECT COUNT() FROM devices GROUP BY " + columns(maxColumns+1),
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%s… is accepted", text[:20])
		}
	}
}

// TestString shows the canonical form.
func TestString(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{"select * from Devices", "SELECT * FROM devices"},
		{"SELECT * FROM DEVICES.jobs where (a)=((1))", "SELECT * FROM devices.jobs WHERE a = 1"},
		{"SELECT top 3 a.[[b]].[[c d]] as [[x]], count() FROM devices group by a.[[top]]", "SELECT TOP 3 a.b.[[c d]] AS x, COUNT() FROM devices GROUP BY a.[[top]]"},
		{"SELECT * FROM devices WHERE a or b and not c", "SELECT * FROM devices WHERE a OR b AND NOT c"},
		{"SELECT * FROM devices WHERE ((a or b) and (not (c)))", "SELECT * FROM devices WHERE (a OR b) AND NOT c"},
		{"SELECT * FROM devices WHERE a != 1 - (2 - 3) - 4", "SELECT * FROM devices WHERE a <> 1 - (2 - 3) - 4"},
		{"SELECT * FROM devices WHERE a in (-1, 2.50, 0x1F, 1e3, 1e-7, \"it's\", '\\u00e9', null, TRUE, undefined)", `SELECT * FROM devices WHERE a IN [-1, 2.5, 31, 1000, 1e-07, 'it\'s', 'é', null, true, undefined]`},
		{"SELECT * FROM devices WHERE starts_with(a, 'b') AND - -a = -(a + 1)", "SELECT * FROM devices WHERE STARTSWITH(a, 'b') AND --a = -(a + 1)"},
	} {
		if got := mustParse(t, test.query).String(); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.query, got, test.want)
		}
	}
}
