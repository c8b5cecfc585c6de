package iothub

import (
	"fmt"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	objects := func(n int) string { return strings.Repeat(`{"o":`, n) + "1" + strings.Repeat("}", n) }
	arrays := func(n int) string { return strings.Repeat("[", n) + "1" + strings.Repeat("]", n) }
	key := func(n int) string { return strings.Repeat("k", n) }
	for _, test := range []struct{ patch, want string }{
		// Depth counts objects and arrays below the section. The section itself is the first brace.
		{objects(1 + 10), ""},
		{objects(1 + 11), "o.o.o.o.o.o.o.o.o.o.o: nested deeper than 10 objects"},
		{`{"a":` + objects(10) + `}`, ""},
		{`{"a":` + strings.Replace(objects(10), "1", "{}", 1) + `}`, "a.o.o.o.o.o.o.o.o.o.o: nested deeper than 10 objects"},
		{`{"a":` + arrays(10) + `}`, ""},
		{`{"a":` + arrays(11) + `}`, "a[0][0][0][0][0][0][0][0][0][0]: nested deeper than 10 objects"},
		{`{"a":` + arrays(9)[:9] + `{"b":1}` + arrays(9)[10:] + `}`, ""},
		{`{"a":` + arrays(10)[:10] + `{"b":1}` + arrays(10)[11:] + `}`, "a[0][0][0][0][0][0][0][0][0][0]: nested deeper than 10 objects"},

		// Keys.
		{`{"` + key(1024) + `":1}`, ""},
		{`{"` + key(1025) + `":1}`, key(64) + "…: the key has 1025 bytes; at most 1024 are allowed"},
		{`{"` + strings.Repeat("ö", 512) + `":1}`, ""},
		{`{"x` + strings.Repeat("ö", 512) + `":1}`, "x" + strings.Repeat("ö", 31) + "…: the key has 1025 bytes; at most 1024 are allowed"},
		{`{"a":{"` + key(1025) + `":null}}`, "a." + key(64) + "…: the key has 1025 bytes; at most 1024 are allowed"},
		{`{"":1}`, `"": a key must not be empty`},
		{`{"a":{"b.c":1}}`, "a.b.c: a key must not contain '.'"},
		{`{"$version":1}`, "$version: a key must not contain '$'"},
		{`{"a#":null}`, "a#: a key must not contain '#'"},
		{`{"a b":1}`, "a b: a key must not contain ' '"},
		{`{"a\tb":1}`, `"a\tb": a key must not contain '\t'`},
		{`{"a\u00a0b":1}`, `"a\u00a0b": a key must not contain '\u00a0'`},
		{`{"a\u2003b":1}`, `"a\u2003b": a key must not contain '\u2003'`},
		{`{"\u0000":1}`, `"\x00": a key must not contain '\x00'`},
		{`{"\u007f":1}`, `"\x7f": a key must not contain '\x7f'`},
		{`{"\u0085":1}`, `"\u0085": a key must not contain '\u0085'`},
		{`{"\u009f":1}`, `"\u009f": a key must not contain '\u009f'`},
		{`{"ä-_:/\"":1}`, ""},
		{`{"a":[{"b c":1}]}`, "a[0].b c: a key must not contain ' '"},

		// Strings.
		{`{"a":"` + key(4096) + `"}`, ""},
		{`{"a":"` + key(4097) + `"}`, "a: the string has 4097 bytes; at most 4096 are allowed"},
		{`{"a":"` + strings.Repeat("ö", 2048) + `"}`, ""},
		{`{"a":"x` + strings.Repeat("ö", 2048) + `"}`, "a: the string has 4097 bytes; at most 4096 are allowed"},
		{`{"a":[1,"` + key(4097) + `"]}`, "a[1]: the string has 4097 bytes; at most 4096 are allowed"},

		// Numbers.
		{`{"a":4503599627370495,"b":-4503599627370496,"c":0,"d":-0}`, ""},
		{`{"a":4503599627370496}`, "a: the integer is outside -4503599627370496 … 4503599627370495"},
		{`{"a":-4503599627370497}`, "a: the integer is outside -4503599627370496 … 4503599627370495"},
		{`{"a":{"b":[123456789012345678901234567890]}}`, "a.b[0]: the integer is outside -4503599627370496 … 4503599627370495"},
		{`{"a":4503599627370496.5,"b":1e308,"c":-1e-400}`, ""},
		{`{"a":1e309}`, "a: the number does not fit a double"},

		// Nulls delete members, and have no place in arrays.
		{`{"a":null,"b":{"c":null}}`, ""},
		{`{"a":[1,null]}`, "a[1]: an array must not hold null"},
		{`{"a":[[null]]}`, "a[0][0]: an array must not hold null"},
		{`{"a":[{"b":null}]}`, "a[0].b: an object in an array must not hold null"},
		{`{"a":[[{"b":{"c":null}}]]}`, "a[0][0].b.c: an object in an array must not hold null"},
		{`{"a":[],"b":[{}],"c":[true,false,"",0]}`, ""},

		// The first fault in the order of the keys.
		{`{"c":[null],"b":1e999,"a":{"z":"","$":1}}`, "a.$: a key must not contain '$'"},
		{`{}`, ""},
	} {
		got := ""
		if err := CheckPatch(document(t, test.patch)); err != nil {
			got = err.Error()
		}
		if got != test.want {
			t.Errorf("%.200s\ngot  %s\nwant %s", test.patch, got, test.want)
		}
	}
	if err := CheckPatch(nil); err != nil {
		t.Error(err)
	}
	long := strings.Repeat("k", 1024)
	nested := document(t, strings.Repeat(`{"`+long+`":`, 12)+"1"+strings.Repeat("}", 12))
	if err := CheckPatch(nested); err == nil || len(err.Error()) > 1000 {
		t.Errorf("a path of long keys: %v", err)
	}
}

func TestSize(t *testing.T) {
	for _, test := range []struct {
		text string
		want int
	}{
		{`{}`, 0},
		{`{"a":null}`, 1},
		{`{"a":1}`, 1 + 8},
		{`{"a":12345678901234567890.5}`, 1 + 8},
		{`{"a":true,"bc":false}`, 1 + 4 + 2 + 4},
		{`{"a":"xyz"}`, 1 + 3},
		{`{"ä":"ö😀"}`, 2 + 2 + 4},
		{`{"a":"x\n\u0000\u007f\u0085y"}`, 1 + 2},
		{`{"a":"\u2028 "}`, 1 + 4},
		{`{"a":{"b":{"c":"d"}}}`, 4},
		{`{"a":[1,"b",[true],{"c":null}]}`, 1 + 8 + 1 + 4 + 1},
	} {
		if got := Size(document(t, test.text)); got != test.want {
			t.Errorf("%s has size %d, want %d", test.text, got, test.want)
		}
	}
}

func TestCheckSize(t *testing.T) {
	if MaxTags != 8192 || MaxDesired != 32768 || MaxReported != 32768 {
		t.Errorf("limits %d, %d, %d", MaxTags, MaxDesired, MaxReported)
	}
	for name, limit := range map[string]int{"tags": MaxTags, "desired": MaxDesired, "reported": MaxReported} {
		section := map[string]any{}
		for size := 0; size < limit; { // a key of 4 bytes and a text for the rest
			text := strings.Repeat("x", min(MaxTwinString, limit-size-4))
			section[fmt.Sprintf("k%03d", len(section))] = text
			size += 4 + len(text)
		}
		if err := CheckSize(section, limit); err != nil || Size(section) != limit {
			t.Errorf("%s of %d bytes: %v", name, Size(section), err)
		}
		section["k000"] = section["k000"].(string) + "x"
		want := fmt.Sprintf("the section would have %d bytes; at most %d are allowed", limit+1, limit)
		if err := CheckSize(section, limit); err == nil || err.Error() != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
