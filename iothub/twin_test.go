package iothub

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseTwin(t *testing.T) {
	for _, test := range []struct {
		body string
		want Twin
	}{
		{
			`{"desired":{"telemetryConfig":{"sendFrequency":"5m"},"$version":12},"reported":{"batteryLevel":55,"$version":123}}`,
			Twin{
				Section{12, map[string]any{"telemetryConfig": map[string]any{"sendFrequency": "5m"}}},
				Section{123, map[string]any{"batteryLevel": json.Number("55")}},
			},
		},
		{`{"desired":{"$version":1},"reported":{"$version":1}}`, Twin{Section{1, map[string]any{}}, Section{1, map[string]any{}}}},
		{
			`{"deviceId":"d","desired":{"$version":1,"$metadata":{"$lastUpdated":"x"},"$other":1,"a":{"b":[1]}},"reported":{"$version":9007199254740993},"tags":null}`,
			Twin{Section{1, map[string]any{"a": map[string]any{"b": []any{json.Number("1")}}}}, Section{9007199254740993, map[string]any{}}},
		},
	} {
		got, err := ParseTwin([]byte(test.body))
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%s: error %v %s", test.body, err, diff)
		}
		var again Twin
		if err := json.Unmarshal([]byte(textOf(t, got)), &again); err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%s is written as %s, error %v", test.body, textOf(t, got), err)
		}
	}
	for body, want := range map[string]string{
		``:                               "no JSON value",
		`null`:                           "not null",
		`[]`:                             "not an array",
		`{}`:                             "desired is missing",
		`{"desired":{"$version":1}}`:     "reported is missing",
		`{"desired":[],"reported":{}}`:   "desired is missing or not an object",
		`{"desired":null,"reported":{}}`: "desired is missing or not an object",
		`{"desired":{},"reported":{}}`:   "desired: $version is missing",
		`{"desired":{"$version":1},"reported":{}}`:        "reported: $version is missing",
		`{"desired":{"$version":"1"},"reported":{}}`:      "desired: $version is missing or not a number",
		`{"desired":{"$version":-1},"reported":{}}`:       "desired: $version is not a version",
		`{"desired":{"$version":1.0},"reported":{}}`:      "desired: $version is not a version",
		`{"desired":{"$version":1e99},"reported":{}}`:     "desired: $version is not a version",
		`{"desired":{"$version":1},"reported":{}} {}`:     "something follows",
		`{"desired":{"$version":1,"a":"` + "\xff" + `"}}`: "not valid UTF-8",
	} {
		got, err := ParseTwin([]byte(body))
		if err == nil || !strings.HasPrefix(err.Error(), "twin: ") || !strings.Contains(err.Error(), want) || cmp.Diff(Twin{}, got) != "" {
			t.Errorf("%q gives %v, error %v; want %s", body, got, err, want)
		}
	}
}

func TestParseDesiredPatch(t *testing.T) {
	got, err := ParseDesiredPatch([]byte(`{"interval":5,"old":null,"a":{"b":null},"$version":2}`))
	want := Section{2, map[string]any{"interval": json.Number("5"), "old": nil, "a": map[string]any{"b": nil}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v %s", err, diff)
	}
	if text := textOf(t, got); text != `{"$version":2,"a":{"b":null},"interval":5,"old":null}` {
		t.Errorf("written as %s", text)
	}
	for body, want := range map[string]string{
		``: "no JSON value", `1`: "not a number", `{}`: "$version is missing", `{"$version":null}`: "$version is missing",
		`{"$version":-2}`: "$version is not a version", `{"$version":2`: "not valid JSON",
	} {
		got, err := ParseDesiredPatch([]byte(body))
		if err == nil || !strings.HasPrefix(err.Error(), "desired patch: ") || !strings.Contains(err.Error(), want) || cmp.Diff(Section{}, got) != "" {
			t.Errorf("%q gives %v, error %v; want %s", body, got, err, want)
		}
	}
}

func TestSectionJSON(t *testing.T) {
	properties := map[string]any{"a": json.Number("1")}
	if text := textOf(t, Section{7, properties}); text != `{"$version":7,"a":1}` || len(properties) != 1 {
		t.Errorf("%s, properties %v", text, properties)
	}
	if text := textOf(t, Twin{}); text != `{"desired":{"$version":0},"reported":{"$version":0}}` {
		t.Errorf("the zero twin: %s", text)
	}
}

var (
	firstTime  = time.Date(2021, 9, 6, 8, 52, 44, 930_042_900, time.UTC)
	secondTime = firstTime.Add(time.Minute)
)

const (
	firstStamp  = `"$lastUpdated":"2021-09-06T08:52:44.9300429Z"`
	secondStamp = `"$lastUpdated":"2021-09-06T08:53:44.9300429Z"`
)

func TestMetadata(t *testing.T) {
	v := func(n string) string { return `,"$lastUpdatedVersion":` + n }
	for _, test := range []struct {
		name, before, patch, want string
	}{
		{"one property", `{}`, `{"interval":100}`, `{` + secondStamp + v("5") + `,"interval":{` + secondStamp + v("5") + `}}`},
		{"an empty patch", `{"a":1}`, `{}`, `{` + secondStamp + v("5") + `,"a":{` + firstStamp + v("4") + `}}`},
		{
			"only what is named", `{"a":1,"b":{"c":2,"d":3}}`, `{"b":{"c":4}}`,
			`{` + secondStamp + v("5") + `,"a":{` + firstStamp + v("4") + `},` +
				`"b":{` + secondStamp + v("5") + `,"c":{` + secondStamp + v("5") + `},"d":{` + firstStamp + v("4") + `}}}`,
		},
		{"a scalar becomes an object", `{"a":1}`, `{"a":{"b":2}}`, `{` + secondStamp + v("5") + `,"a":{` + secondStamp + v("5") + `,"b":{` + secondStamp + v("5") + `}}}`},
		{"an object becomes a scalar", `{"a":{"b":2}}`, `{"a":1}`, `{` + secondStamp + v("5") + `,"a":{` + secondStamp + v("5") + `}}`},
		{"an object becomes an array", `{"a":{"b":2}}`, `{"a":[{"b":1}]}`, `{` + secondStamp + v("5") + `,"a":{` + secondStamp + v("5") + `}}`},
		{"an array becomes an object", `{"a":[1]}`, `{"a":{}}`, `{` + secondStamp + v("5") + `,"a":{` + secondStamp + v("5") + `}}`},
		{"deleted", `{"a":{"b":2},"c":1}`, `{"a":null}`, `{` + secondStamp + v("5") + `,"c":{` + firstStamp + v("4") + `}}`},
		{"deleted within", `{"a":{"b":2}}`, `{"a":{"b":null}}`, `{` + secondStamp + v("5") + `,"a":{` + secondStamp + v("5") + `}}`},
		{"deleted where nothing was", `{}`, `{"a":null,"b":{"c":null}}`, `{` + secondStamp + v("5") + `,"b":{` + secondStamp + v("5") + `}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, patch := document(t, test.before), document(t, test.patch)
			// Fresh, and as it comes back from a file.
			fresh := UpdateMetadata(nil, before, firstTime, 4)
			for _, old := range []Metadata{fresh, document(t, textOf(t, fresh))} {
				was := textOf(t, old)
				got := UpdateMetadata(old, patch, secondTime, 5)
				if diff := cmp.Diff(Metadata(document(t, test.want)), got); diff != "" {
					t.Error(diff)
				}
				if textOf(t, old) != was {
					t.Errorf("the argument was written to: %v", old)
				}
				expectMirror(t, Merge(before, patch), got)
			}
			// Reported nodes have no version.
			reported := UpdateMetadata(UpdateMetadata(nil, before, firstTime, 0), patch, secondTime, 0)
			want := strings.NewReplacer(v("4"), "", v("5"), "").Replace(test.want)
			if diff := cmp.Diff(Metadata(document(t, want)), reported); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// expectMirror checks that metadata has a node for each member, and no other.
func expectMirror(t *testing.T, section any, node map[string]any) {
	t.Helper()
	if node["$lastUpdated"] == nil {
		t.Errorf("no time in %v", node)
	}
	members, _ := section.(map[string]any)
	for k, v := range members {
		sub, ok := node[k].(map[string]any)
		if !ok {
			t.Errorf("no node for %s in %v", k, node)
		}
		expectMirror(t, v, sub)
	}
	for k := range node {
		if _, ok := members[k]; !ok && k[0] != '$' {
			t.Errorf("a node for %s, which is not there", k)
		}
	}
}

func TestFormatTwinTime(t *testing.T) {
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{firstTime, "2021-09-06T08:52:44.9300429Z"},
		{firstTime.In(time.FixedZone("", -7200)), "2021-09-06T08:52:44.9300429Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), "2026-01-02T03:04:05.0000000Z"},
		{time.Date(2026, 1, 2, 3, 4, 5, 999_999_999, time.UTC), "2026-01-02T03:04:05.9999999Z"},
		{time.Time{}, "0001-01-01T00:00:00.0000000Z"},
	} {
		if got := FormatTwinTime(test.at); got != test.want {
			t.Errorf("%s is written as %s", test.at, got)
		}
	}
}
