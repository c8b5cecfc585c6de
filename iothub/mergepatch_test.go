package iothub

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMerge has the examples of RFC 7396 whose target and patch are objects,
// and cases of our own.
func TestMerge(t *testing.T) {
	for _, test := range []struct{ target, patch, want string }{
		// RFC 7396, section 3.
		{
			`{"title":"Goodbye!","author":{"givenName":"John","familyName":"Doe"},"tags":["example","sample"],"content":"This will be unchanged"}`,
			`{"title":"Hello!","phoneNumber":"+01-123-456-7890","author":{"familyName":null},"tags":["example"]}`,
			`{"title":"Hello!","author":{"givenName":"John"},"tags":["example"],"content":"This will be unchanged","phoneNumber":"+01-123-456-7890"}`,
		},
		// RFC 7396, appendix A.
		{`{"a":"b"}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"b"}`, `{"b":"c"}`, `{"a":"b","b":"c"}`},
		{`{"a":"b"}`, `{"a":null}`, `{}`},
		{`{"a":"b","b":"c"}`, `{"a":null}`, `{"b":"c"}`},
		{`{"a":["b"]}`, `{"a":"c"}`, `{"a":"c"}`},
		{`{"a":"c"}`, `{"a":["b"]}`, `{"a":["b"]}`},
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`, `{"a":{"b":"d"}}`},
		{`{"a":[{"b":"c"}]}`, `{"a":[1]}`, `{"a":[1]}`},
		{`{"e":null}`, `{"a":1}`, `{"e":null,"a":1}`},
		{`{}`, `{"a":{"bb":{"ccc":null}}}`, `{"a":{"bb":{}}}`},

		{`{}`, `{}`, `{}`},
		{`{"a":1}`, `{}`, `{"a":1}`},
		{`{"a":1}`, `{"b":null}`, `{"a":1}`},
		{`{"a":1}`, `{"a":{}}`, `{"a":{}}`},
		{`{"a":1}`, `{"a":{"b":2,"c":null}}`, `{"a":{"b":2}}`},
		{`{"a":{"b":2}}`, `{"a":3}`, `{"a":3}`},
		{`{"a":{"b":2}}`, `{"a":{}}`, `{"a":{"b":2}}`},
		{`{"a":[1,null]}`, `{"b":[null,{"c":null}]}`, `{"a":[1,null],"b":[null,{"c":null}]}`},
		{`{"a":1}`, `{"A":2}`, `{"a":1,"A":2}`},
		{`{"n":1}`, `{"n":12345678901234567890}`, `{"n":12345678901234567890}`},
	} {
		target, patch := document(t, test.target), document(t, test.patch)
		if diff := cmp.Diff(document(t, test.want), Merge(target, patch)); diff != "" {
			t.Errorf("%s with %s: %s", test.target, test.patch, diff)
		}
		if cmp.Diff(document(t, test.target), target)+cmp.Diff(document(t, test.patch), patch) != "" {
			t.Errorf("%s with %s: an argument was written to", test.target, test.patch)
		}
	}
	if got := Merge(nil, nil); got == nil || len(got) != 0 {
		t.Errorf("nothing merged with nothing: %v", got)
	}
}

func TestDiff(t *testing.T) {
	for _, test := range []struct{ from, to, want string }{
		{`{}`, `{}`, `{}`},
		{`{"a":1}`, `{"a":1.0}`, `{}`},
		{`{"a":1}`, `{"a":2}`, `{"a":2}`},
		{`{"a":1}`, `{}`, `{"a":null}`},
		{`{}`, `{"a":1}`, `{"a":1}`},
		{`{"a":{"b":1,"c":2,"d":{"e":3}}}`, `{"a":{"b":1,"c":3,"d":{"e":3}}}`, `{"a":{"c":3}}`},
		{`{"a":{"b":1}}`, `{"a":{}}`, `{"a":{"b":null}}`},
		{`{"a":{}}`, `{}`, `{"a":null}`},
		{`{}`, `{"a":{}}`, `{"a":{}}`},
		{`{"a":1}`, `{"a":{"b":1}}`, `{"a":{"b":1}}`},
		{`{"a":[1]}`, `{"a":{}}`, `{"a":{}}`},
		{`{"a":{"b":1}}`, `{"a":1}`, `{"a":1}`},
		{`{"a":[1,2]}`, `{"a":[1,3]}`, `{"a":[1,3]}`},
		{`{"a":[{"b":1}]}`, `{"a":[{"b":1.0}]}`, `{}`},
		// Nulls in the aim mean absent.
		{`{}`, `{"a":null}`, `{}`},
		{`{"a":1}`, `{"a":null}`, `{"a":null}`},
		{`{}`, `{"a":{"b":null}}`, `{"a":{}}`},
		{`{"a":1}`, `{"a":{"b":null,"c":{"d":null}}}`, `{"a":{"c":{}}}`},
		{`{"a":{"b":1,"c":2}}`, `{"a":{"b":null,"c":2}}`, `{"a":{"b":null}}`},
		{`{"a":{"c":2}}`, `{"a":{"b":null,"c":2}}`, `{}`},
	} {
		from, to := document(t, test.from), document(t, test.to)
		if diff := cmp.Diff(document(t, test.want), Diff(from, to)); diff != "" {
			t.Errorf("from %s to %s: %s", test.from, test.to, diff)
		}
		expectDiff(t, from, to)
	}
}

// expectDiff checks what Diff promises: its patch leads from one document to
// the other, is empty exactly when they are equal, and no part of it can go.
func expectDiff(t *testing.T, from, to map[string]any) {
	t.Helper()
	from, aim := Merge(nil, from), Merge(nil, to) // as sections are, without nulls
	patch := Diff(from, to)
	if got := Merge(from, patch); !Equal(got, aim) {
		t.Errorf("from %s to %s: the patch %s leads to %s", textOf(t, from), textOf(t, to), textOf(t, patch), textOf(t, got))
	}
	if Equal(from, aim) != (len(patch) == 0) {
		t.Errorf("from %s to %s: the patch is %s", textOf(t, from), textOf(t, to), textOf(t, patch))
	}
	eachWithout(patch, func(path string) {
		if Equal(Merge(from, patch), aim) {
			t.Errorf("from %s to %s: %s is not needed in the patch", textOf(t, from), textOf(t, to), path)
		}
	})
}

// eachWithout calls f while one of the members of m, at any depth, is not there.
func eachWithout(m map[string]any, f func(path string)) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	for _, k := range keys {
		v := m[k]
		delete(m, k)
		f(k)
		m[k] = v
		if sub, ok := v.(map[string]any); ok {
			eachWithout(sub, func(path string) { f(k + "." + path) })
		}
	}
}

func textOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDiffOfRandomDocuments takes documents with few keys and values, so that
// most pairs are alike in one part and differ in another.
func TestDiffOfRandomDocuments(t *testing.T) {
	random := rand.New(rand.NewPCG(20261122, 9)) // fixed, so that a failure stays
	for range 3000 {
		expectDiff(t, randomDocument(random, 3), randomDocument(random, 3))
	}
}

func randomDocument(random *rand.Rand, levels int) map[string]any {
	m := map[string]any{}
	for _, k := range []string{"a", "b", "c"} {
		switch n := random.IntN(9); {
		case n < 2:
		case n < 4 && levels > 0:
			m[k] = randomDocument(random, levels-1)
		case n == 4:
			m[k] = nil
		case n == 5:
			m[k] = []any{json.Number("1"), randomDocument(random, 0)}
		default:
			m[k] = []any{json.Number("1"), json.Number("1.0"), "1", true}[random.IntN(4)]
		}
	}
	return m
}

// fullTwin is a section of about 32 KB, the most that one may have: 24 groups
// of 44 readings of three values each.
func fullTwin(t testing.TB, reading int) map[string]any {
	var b strings.Builder
	for g := range 24 {
		fmt.Fprintf(&b, `,"group%02d":{"name":"a group of sensors"`, g)
		for i := range 44 {
			fmt.Fprintf(&b, `,"s%02d":{"value":%d.5,"ok":true,"at":"02:31"}`, i, reading+i)
		}
		b.WriteString("}")
	}
	m := document(t, "{"+b.String()[1:]+"}")
	if n := Size(m); n < MaxReported*9/10 || n > MaxReported {
		t.Fatalf("the section has %d bytes", n)
	}
	return m
}

func BenchmarkFullTwin(b *testing.B) {
	a, same, other := fullTwin(b, 1), fullTwin(b, 1), fullTwin(b, 2)
	text := []byte(textOf(b, a))
	one := map[string]any{"group07": map[string]any{"s03": map[string]any{"value": json.Number("9")}}}
	for _, test := range []struct {
		name string
		do   func()
	}{
		{"Decode", func() { _, _ = DecodeJSON(text) }},
		{"Equal", func() { Equal(a, same) }},
		{"DiffOfEqual", func() { Diff(a, same) }},
		{"DiffOfAll", func() { Diff(a, other) }},
		{"MergeOne", func() { Merge(a, one) }},
		{"MergeAll", func() { Merge(a, other) }},
		{"CheckPatch", func() { _ = CheckPatch(a) }},
		{"Size", func() { Size(a) }},
		{"UpdateMetadata", func() { UpdateMetadata(nil, a, errorTime, 1) }},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				test.do()
			}
		})
	}
}
