package query

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestAgainstEvaluator compares what SQLite says with a second opinion: random
// conditions over random twins are judged by SQL and by the evaluator below,
// which knows the language only from its description. On the way the conditions
// are printed and parsed again.
func TestAgainstEvaluator(t *testing.T) {
	t.Parallel()
	const twins = 20
	conditions := 250 * soak(t)
	random := rand.New(rand.NewPCG(20261122, 7)) // fixed, so that a failure stays
	db := openDatabase(t)
	var documents []map[string]any
	for i := range twins {
		d := randomTwin(random, i)
		documents = append(documents, d)
		properties := d["properties"].(map[string]any)
		execute(t, db, "INSERT INTO devices (device_id, tags, reported, desired_version) VALUES (?, ?, ?, ?)",
			d["deviceId"], jsonOf(t, d["tags"]), jsonOf(t, properties["reported"]), int64(d["version"].(float64))-1)
	}
	selected := 0
	for range conditions {
		where := randomCondition(random, 4)
		written := &Query{where: where}
		q := mustParse(t, written.String())
		if !reflect.DeepEqual(q, written) {
			t.Fatalf("%s parses as %s", written, q)
		}
		var want []string
		for _, d := range documents {
			if evaluate(where, d) == true {
				want = append(want, d["deviceId"].(string))
			}
		}
		if got := keysOf(run(t, db, q, Page{})); got != strings.Join(want, " ") {
			t.Fatalf("%s\ngot  %s\nwant %s", q, got, strings.Join(want, " "))
		}
		if len(want) > 0 && len(want) < twins {
			selected++
		}
	}
	// A test that hardly ever selects some but not all would show little.
	if selected < conditions/10 {
		t.Errorf("only %d of %d conditions tell twins apart", selected, conditions)
	}
}

// soak is how many times longer the sweeps over random cases are than in a
// test run of every day: $LATCHD_SOAK, 1 without it.
func soak(t *testing.T) int {
	text := os.Getenv("LATCHD_SOAK")
	if text == "" {
		return 1
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("LATCHD_SOAK=%s is not a number of at least 1", text)
	}
	return n
}

var randomScalars = []any{
	nil, true, false, 0.0, 1.0, 2.0, -1.0, 2.5, "", "a", "b", "ab", "A", "Äb", "1", "true",
}

var randomKeys = []string{"a", "b", "c", "A", "d.e", "group"}

// randomTwin gives a twin with values of all types in few keys, so that random
// conditions often meet the same key with another type.
func randomTwin(random *rand.Rand, i int) map[string]any {
	return map[string]any{
		"deviceId": fmt.Sprintf("d%02d", i),
		"version":  float64(2 + random.IntN(3)),
		"tags":     randomObject(random, 2),
		"properties": map[string]any{
			"reported": randomObject(random, 2),
		},
	}
}

func randomObject(random *rand.Rand, levels int) map[string]any {
	object := map[string]any{}
	for _, key := range randomKeys {
		switch n := random.IntN(10); {
		case n < 6:
			object[key] = pick(random, randomScalars)
		case n < 8 && levels > 0:
			object[key] = randomObject(random, levels-1)
		case n == 8:
			object[key] = []any{pick(random, randomScalars), pick(random, randomScalars)}
		}
	}
	return object
}

func pick[T any](random *rand.Rand, from []T) T { return from[random.IntN(len(from))] }

func randomPath(random *rand.Rand) path {
	p := pick(random, []path{{"deviceId"}, {"version"}, {"missing"}, {"tags"}, {"tags"}, {"tags"}, {"properties", "reported"}, {"properties", "reported"}})
	p = slices.Clone(p)
	if last := p[len(p)-1]; last == "tags" || last == "reported" {
		p = append(p, pick(random, randomKeys))
		if random.IntN(4) == 0 {
			p = append(p, pick(random, randomKeys))
		}
	}
	return p
}

func randomLiteral(random *rand.Rand) literal {
	switch v := pick(random, append([]any{undefined{}, "d07", 3.0}, randomScalars...)).(type) {
	case float64:
		if v == math.Trunc(v) {
			return literal{int64(math.Abs(v))} // a minus is an operator
		}
		return literal{v}
	default:
		return literal{v}
	}
}

// randomCondition gives mostly expressions that are true for some twins, and now
// and then anything.
func randomCondition(random *rand.Rand, levels int) expr {
	if levels == 0 || random.IntN(3) == 0 {
		return binary{op: pick(random, []string{"=", "<>", "<", ">="}), l: randomPath(random), r: randomLiteral(random)}
	}
	sub := func() expr { return randomCondition(random, levels-1) }
	switch n := random.IntN(10); {
	case n < 4:
		terms := []expr{sub(), sub()}
		if random.IntN(2) == 0 {
			terms = append(terms, sub())
		}
		return logical{op: pick(random, []string{"AND", "OR"}), terms: terms}
	case n < 6:
		return unary{op: "NOT", x: sub()}
	case n < 7:
		return binary{op: "=", l: sub(), r: sub()}
	}
	return randomExpr(random, levels)
}

// randomExpr gives an expression with no regard to types.
func randomExpr(random *rand.Rand, levels int) expr {
	if levels == 0 || random.IntN(8) == 0 {
		if random.IntN(3) == 0 {
			return randomLiteral(random)
		}
		return randomPath(random)
	}
	sub := func() expr { return randomExpr(random, levels-1) }
	switch n := random.IntN(20); {
	case n < 8:
		return binary{op: pick(random, []string{"=", "=", "<>", "<", "<=", ">", ">="}), l: sub(), r: sub()}
	case n < 10:
		return unary{op: pick(random, []string{"NOT", "-"}), x: sub()}
	case n < 12:
		return binary{op: pick(random, []string{"+", "-", "*", "/", "%"}), l: sub(), r: sub()}
	case n < 15:
		list := []literal{randomLiteral(random), randomLiteral(random), randomLiteral(random)}
		return membership{x: sub(), not: random.IntN(2) == 0, list: list[:1+random.IntN(3)]}
	}
	return randomCall(random, sub)
}

func randomCall(random *rand.Rand, sub func() expr) expr {
	name := pick(random, []string{
		"IS_DEFINED", "IS_NULL", "IS_BOOL", "IS_NUMBER", "IS_STRING", "IS_ARRAY", "IS_OBJECT", "IS_PRIMITIVE",
		"ABS", "FLOOR", "LOWER", "LENGTH", "CONCAT", "STARTSWITH", "ENDSWITH", "CONTAINS", "INDEX_OF", "ARRAY_CONTAINS",
	})
	args := make([]expr, len(functions[name].params))
	for i := range args {
		args[i] = sub()
	}
	if functions[name].pathOnly {
		args[0] = randomPath(random)
	}
	return call{name: name, args: args}
}

// TestProjectionAgainstDocument selects every path of random twins and expects
// the value as it is in the twin.
func TestProjectionAgainstDocument(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(20261122, 8))
	db := openDatabase(t)
	for i := range 40 * soak(t) {
		twin := randomTwin(random, i)
		reported := twin["properties"].(map[string]any)["reported"]
		execute(t, db, "INSERT INTO devices (device_id, tags, reported, desired_version) VALUES (?, ?, ?, ?)",
			twin["deviceId"], jsonOf(t, twin["tags"]), jsonOf(t, reported), int64(twin["version"].(float64))-1)
		q := &Query{where: binary{op: "=", l: path{"deviceId"}, r: literal{twin["deviceId"]}}}
		want := map[string]any{}
		for n := range 12 {
			p, alias := randomPath(random), fmt.Sprintf("column %d", n)
			q.columns = append(q.columns, column{path: p, alias: alias})
			if value := evaluate(p, twin); value != (undefined{}) {
				want[alias] = value
			}
		}
		q = mustParse(t, q.String())
		var got map[string]any
		if err := json.Unmarshal([]byte(itemsOf(run(t, db, q, Page{}))), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s\ngot  %v\nwant %v", q, got, want)
		}
	}
}
