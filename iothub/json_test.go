package iothub

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// document reads a JSON object that the test knows to be good.
func document(t testing.TB, text string) map[string]any {
	t.Helper()
	m, err := DecodeObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func value(t testing.TB, text string) any {
	t.Helper()
	return document(t, `{"v":`+text+`}`)["v"]
}

func TestDecodeJSON(t *testing.T) {
	for _, test := range []struct {
		text string
		want any
	}{
		{"null", nil},
		{" true\n", true},
		{`"x"`, "x"},
		{"1", json.Number("1")},
		{"12345678901234567890", json.Number("12345678901234567890")},
		{"0.10000000000000000000000000001", json.Number("0.10000000000000000000000000001")},
		{"-1.50e+400", json.Number("-1.50e+400")},
		{"[]", []any{}},
		{`{"a":[1,{"b":null}]}`, map[string]any{"a": []any{json.Number("1"), map[string]any{"b": nil}}}},
		{`{"a":{"x":1},"a":{"y":2}}`, map[string]any{"a": map[string]any{"y": json.Number("2")}}}, // the last counts
		{`"<&>\u00e4\u2028"`, "<&>ä\u2028"},
		{`"\ud83d\ude00"`, "😀"},
		{`"\uD83D\uDE00\\ud83d"`, `😀\ud83d`},
		{`"\ufffd"`, "\ufffd"},
		{`"\u0000\"\\\/\b\f\n\r\t"`, "\x00\"\\/\b\f\n\r\t"},
	} {
		got, err := DecodeJSON([]byte(test.text))
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v %s", test.text, err, diff)
		}
	}
	for _, test := range []struct{ text, want string }{
		{"", "no JSON value"},
		{" \n", "no JSON value"},
		{"{", "not valid JSON"},
		{"{}{}", "something follows"},
		{"{} x", "something follows"},
		{"1]", "something follows"},
		{"null,", "something follows"},
		{"01", "something follows"},
		{"{'a':1}", "not valid JSON"},
		{`{"a":1,}`, "not valid JSON"},
		{"NaN", "not valid JSON"},
		{"// x\n1", "not valid JSON"},
		{"\ufeff{}", "not valid JSON"},
		{"\"a\nb\"", "not valid JSON"},
		{`"\x41"`, "not valid JSON"},
		{"\"\xff\"", "not valid UTF-8"},
		{"\"\xed\xa0\xbd\"", "not valid UTF-8"}, // a surrogate as UTF-8
		{`"\ud83d"`, "half of a surrogate pair"},
		{`"\ud83dx"`, "half of a surrogate pair"},
		{`"\ud83d\n"`, "half of a surrogate pair"},
		{`"\ud83d\u0041"`, "half of a surrogate pair"},
		{`"\ud83d\ud83d\ude00"`, "half of a surrogate pair"},
		{`"\ude00\ud83d"`, "half of a surrogate pair"},
		{`{"\uDFFF":1}`, "half of a surrogate pair"},
	} {
		if got, err := DecodeJSON([]byte(test.text)); err == nil || got != nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q gives %v, error %v; want %s", test.text, got, err, test.want)
		}
	}
}

func TestDecodeObject(t *testing.T) {
	for text, want := range map[string]string{
		"null": "not null", "[]": "not an array", `"x"`: "not a string", "1": "not a number", "true": "not a boolean", "": "no JSON value",
	} {
		if got, err := DecodeObject([]byte(text)); err == nil || got != nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%q gives %v, error %v", text, got, err)
		}
	}
}

func TestToDocument(t *testing.T) {
	type inner struct {
		N int64          `json:"n"`
		F float64        `json:"f"`
		M map[string]int `json:"m,omitempty"`
		P *string        `json:"p"`
	}
	got, err := ToDocument(struct {
		A []inner `json:"a"`
		S string  `json:"s"`
	}{[]inner{{N: 9007199254740993, F: 0.5}}, "<ä>"})
	want := map[string]any{"s": "<ä>", "a": []any{map[string]any{"n": json.Number("9007199254740993"), "f": json.Number("0.5"), "p": nil}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v %s", err, diff)
	}
	for _, v := range []any{nil, 1, "x", []int{1}, make(chan int), map[string]any{"f": func() {}}} {
		if got, err := ToDocument(v); err == nil {
			t.Errorf("%v gives %v", v, got)
		}
	}
}

func TestEqual(t *testing.T) {
	// Each line holds texts that mean the same, and nothing that another line has.
	classes := [][]string{
		{"null"},
		{"true"},
		{"false"},
		{`""`},
		{`"1"`},
		{`"a"`, `"\u0061"`},
		{"0", "-0", "0.0", "0e5", "-0.0"},
		{"1", "1.0", "1e0", "10e-1", "0.1e1"},
		{"-1", "-1.00"},
		{"9007199254740992"},
		{"9007199254740993"}, // the same as a float64, but not the same
		{"0.1", "0.10", "1e-1"},
		{"1e400"},
		{"1e401"},
		{"[]"},
		{"[1,2]", "[1.0,2.0]"},
		{"[2,1]"},
		{"[1]"},
		{"[null]"},
		{"{}"},
		{`{"a":1,"b":[{"c":2}]}`, `{"b":[{"c":2.0}],"a":1}`},
		{`{"a":1,"b":[{"c":3}]}`},
		{`{"a":1}`},
		{`{"a":null}`},
		{`{"b":null}`},
		{`{"A":1}`},
	}
	for i, class := range classes {
		for _, text := range class {
			for j, other := range classes {
				for _, o := range other {
					if got := Equal(value(t, text), value(t, o)); got != (i == j) {
						t.Errorf("%s equals %s: %v", text, o, got)
					}
				}
			}
		}
	}
	// Values that are no document must not panic.
	if !Equal([]string{"a"}, []string{"a"}) || Equal([]string{"a"}, []string{"b"}) || !Equal(1, 1) || Equal(1, json.Number("1")) {
		t.Error("other values")
	}
}

// TestDeepJSON gives every function a document nested as deep as one can be
// read, which is 10,000 (encoding/json). None may need more than a moment.
func TestDeepJSON(t *testing.T) {
	const deepest, moment = 10_000, 20 * time.Second // it takes milliseconds; the machine may be busy
	start := time.Now()
	for _, form := range []struct{ open, inner, other, shut string }{
		{`{"a":`, "1", "2", "}"},
		{"[", "1", "2", "]"},
		{`{"a":[`, "1", "2", "]}"},
		{`[null,{"a":`, "1", "2", "}]"},
	} {
		levels := (deepest - 1) / (strings.Count(form.open, "{") + strings.Count(form.open, "["))
		nest := func(inner string) map[string]any {
			return document(t, `{"v":`+strings.Repeat(form.open, levels)+inner+strings.Repeat(form.shut, levels)+"}")
		}
		a, b, again := nest(form.inner), nest(form.other), nest(form.inner)
		if !Equal(a, again) || Equal(a, b) {
			t.Errorf("%s: equality", form.open)
		}
		if got := Merge(a, Diff(a, b)); !Equal(got, b) || !Equal(a, again) {
			t.Errorf("%s: merged wrongly", form.open)
		}
		if err := CheckPatch(a); err == nil || len(err.Error()) > 1000 {
			t.Errorf("%s: checked with %v", form.open, err)
		}
		UpdateMetadata(UpdateMetadata(nil, a, start, 1), b, start, 2)
		if Size(a) < 8 {
			t.Errorf("%s: size %d", form.open, Size(a))
		}
		for _, text := range []string{strings.Repeat(form.open, deepest), strings.Repeat(form.open, deepest+1) + "1" + strings.Repeat(form.shut, deepest+1)} {
			if _, err := DecodeJSON([]byte(text)); err == nil {
				t.Errorf("%s: too deep a text is accepted", form.open)
			}
		}
	}
	if took := time.Since(start); took > moment {
		t.Errorf("took %s", took)
	}
}

func TestCheckJSON(t *testing.T) {
	nested := func(levels int) string {
		return strings.Repeat(`{"a":`, levels/2) + strings.Repeat("[", levels-levels/2) + strings.Repeat("]", levels-levels/2) + strings.Repeat("}", levels/2)
	}
	for _, text := range []string{
		"null", " 1e400 ", `"\ud800"`, `{"a":1,"a":2}`, nested(MaxJSONDepth),
		`"` + strings.Repeat("[", 200) + `"`, `["\"` + strings.Repeat("{", 200) + `\\"]`,
		"[" + strings.Repeat("[],", 200) + "{}]",
	} {
		if err := CheckJSON([]byte(text)); err != nil {
			t.Errorf("%.40s: %v", text, err)
		}
	}
	for text, want := range map[string]string{
		"":                                    "not valid JSON",
		"{}}":                                 "not valid JSON",
		"\"\xff\xfe\"":                        "not valid UTF-8",
		nested(MaxJSONDepth + 1):              "nested deeper than 100 levels",
		strings.Repeat("[", 20000):            "not valid JSON",
		`["\\",` + nested(MaxJSONDepth) + `]`: "nested deeper than 100 levels",
	} {
		if err := CheckJSON([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%.40q: error %v; want %s", text, err, want)
		}
	}
}
