package maintenance

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

func decode(t testing.TB, text string) any {
	t.Helper()
	v, err := iothub.DecodeJSON([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestRefused(t *testing.T) {
	window := func(rest string) string {
		return `{"windows":[{"start":"02:30","duration":"1h"},{"start":"02:30"` + rest + `}]}`
	}
	long := strings.Repeat("x", 65)
	for _, c := range []struct{ json, want string }{
		{`null`, `maintenance: must be an object, not null`},
		{`[]`, `maintenance: must be an object, not a list`},
		{`"windows"`, `maintenance: must be an object, not "windows"`},
		{`{"exclusion":[]}`, `maintenance.exclusion: is not a key of maintenance (timeZone, windows, exclusions, spread, policy)`},
		{`{"exclusion":null}`, `maintenance.exclusion: is not a key`},
		{`{"a\nb":1}`, `maintenance."a\nb": is not a key`},
		{`{"":1}`, `maintenance."": is not a key`},
		{`{"timeZone":"Europe/Berln"}`, `maintenance.timeZone: no time zone is called "Europe/Berln"`},
		{`{"timeZone":"europe/berlin"}`, `(it is spelled "Europe/Berlin")`},
		{`{"timeZone":"Local"}`, `maintenance.timeZone: no time zone is called "Local"`},
		{`{"timeZone":""}`, `maintenance.timeZone: no time zone`},
		{`{"timeZone":1}`, `maintenance.timeZone: must be text, not 1`},
		{`{"windows":{}}`, `maintenance.windows: must be a list, not an object`},
		{`{"windows":[` + strings.Repeat(`{},`, 32) + `{}]}`, `maintenance.windows: has 33 entries; at most 32`},
		{`{"windows":[null]}`, `maintenance.windows[0]: must be an object, not null`},
		{window(`,"duration":"1h","day":["mon"]`), `maintenance.windows[1].day: is not a key of a window (name, days, start, duration)`},
		{window(``), `maintenance.windows[1].duration: is missing`},
		{window(`,"duration":null`), `maintenance.windows[1].duration: is missing`},
		{window(`,"duration":"59s"`), `maintenance.windows[1].duration: must be at least 1m0s`},
		{window(`,"duration":"168h1s"`), `maintenance.windows[1].duration: must be at most 168h0m0s`},
		{window(`,"duration":"90.5s"`), `maintenance.windows[1].duration: must be whole seconds`},
		{window(`,"duration":-60`), `maintenance.windows[1].duration: the number of seconds is negative`},
		{window(`,"duration":"an hour"`), `maintenance.windows[1].duration: "an hour" is not a duration`},
		{window(`,"duration":"1h","name":""`), `maintenance.windows[1].name: must have 1 to 64 characters, not 0`},
		{window(`,"duration":"1h","name":"` + long + `"`), `maintenance.windows[1].name: must have 1 to 64 characters, not 65`},
		{window(`,"duration":"1h","name":"\u001b[2J"`), `maintenance.windows[1].name: "\x1b[2J" has characters that do not print`},
		{window(`,"duration":"1h","name":"\u202egnp"`), `characters that do not print`},
		{window(`,"duration":"1h","name":7`), `maintenance.windows[1].name: must be text, not 7`},
		{window(`,"duration":"1h","days":[]`), `maintenance.windows[1].days: is empty (leave it out for every day)`},
		{window(`,"duration":"1h","days":["mon","tue","mon"]`), `maintenance.windows[1].days[2]: mon is there twice`},
		{window(`,"duration":"1h","days":["Mon"]`), `maintenance.windows[1].days[0]: "Mon" is not a weekday (mon, tue,`},
		{window(`,"duration":"1h","days":[1]`), `maintenance.windows[1].days[0]: 1 is not a weekday`},
		{window(`,"duration":"1h","days":"mon"`), `maintenance.windows[1].days: must be a list, not "mon"`},
		{`{"windows":[{"duration":"1h"}]}`, `maintenance.windows[0].start: is missing`},
		{`{"windows":[{"duration":"1h","start":"2:30"}]}`, `maintenance.windows[0].start: "2:30" is not a time of day like "02:30"`},
		{`{"windows":[{"duration":"1h","start":"24:00"}]}`, `maintenance.windows[0].start: "24:00" is not a time`},
		{`{"windows":[{"duration":"1h","start":"02:60"}]}`, `maintenance.windows[0].start: "02:60" is not a time`},
		{`{"windows":[{"duration":"1h","start":"02:30:00"}]}`, `maintenance.windows[0].start: "02:30:00" is not a time`},
		{`{"windows":[{"duration":"1h","start":"02:3` + "\u0663" + `"}]}`, `maintenance.windows[0].start:`},
		{`{"windows":[{"duration":"1h","start":230}]}`, `maintenance.windows[0].start: 230 is not a time`},
		{`{"windows":[{"duration":"1m","start":"02:30"}]}`, `maintenance.windows: none is open for 2m0s on end`},
		{`{"exclusions":[{"from":"2026-12-24"}]}`, `maintenance.exclusions[0].to: is missing`},
		{`{"exclusions":[{"to":"2026-12-24"}]}`, `maintenance.exclusions[0].from: is missing`},
		{`{"exclusions":[{"from":"2026-12-24","until":"2026-12-24"}]}`, `maintenance.exclusions[0].until: is not a key of an exclusion (from, to)`},
		{`{"exclusions":[{"from":"2026-12-24","to":"2026-12-23"}]}`, `maintenance.exclusions[0].to: is before from`},
		{`{"exclusions":[{"from":"2026-02-29","to":"2026-03-01"}]}`, `maintenance.exclusions[0].from: "2026-02-29" is not a date like "2026-12-24"`},
		{`{"exclusions":[{"from":"24.12.2026","to":"2026-12-26"}]}`, `maintenance.exclusions[0].from: "24.12.2026" is not a date`},
		{`{"exclusions":[{"from":"1969-12-31","to":"2026-12-26"}]}`, `maintenance.exclusions[0].from: "1969-12-31" is not a date`},
		{`{"exclusions":[{"from":"2026-12-24","to":"10000-01-01"}]}`, `maintenance.exclusions[0].to: "10000-01-01" is not a date`},
		{`{"exclusions":[` + strings.Repeat(`{},`, 64) + `{}]}`, `maintenance.exclusions: has 65 entries; at most 64`},
		{`{"spread":"24h1s"}`, `maintenance.spread: must be at most 24h0m0s`},
		{`{"spread":true}`, `maintenance.spread: must be text`},
		{`{"policy":{"reboot":"defer"}}`, `maintenance.policy.reboot: is not a key of policy (factoryReset, firmwareUpdate, rebootDevice)`},
		{`{"policy":{"rebootDevice":"Defer"}}`, `maintenance.policy.rebootDevice: "Defer" is not "allow", "defer" or "reject"`},
		{`{"policy":"defer"}`, `maintenance.policy: must be an object, not "defer"`},
		{`{"timeZone":"` + strings.Repeat("x", 8300) + `"}`, `maintenance: it takes 8315 bytes as JSON; at most 8192`},
		{wide(), `maintenance: with its defaults it takes`},
	} {
		p, err := Parse(decode(t, c.json), RebootTime)
		if err == nil || !strings.Contains(err.Error(), c.want) || p != nil {
			t.Errorf("%.100s:\n got %v\nwant %s", c.json, err, c.want)
		} else if !strings.HasPrefix(err.Error(), "maintenance") || len(err.Error()) > 300 {
			t.Errorf("%.100s: %v", c.json, err)
		}
	}
}

// wide fits as it is given, but not with all that is acknowledged.
func wide() string {
	w := fmt.Sprintf(`{"name":%q,"start":"02:30","duration":"1h"}`, strings.Repeat("€", 64))
	return `{"windows":[` + strings.Repeat(w+",", 31) + w + `]}`
}

func TestAccepted(t *testing.T) {
	for _, c := range []struct{ given, want, summary string }{
		{
			`{}`,
			`{"timeZone":"UTC","exclusions":[],"policy":{"factoryReset":"reject","firmwareUpdate":"defer","rebootDevice":"defer"}}`,
			"always open",
		},
		{
			`{"timeZone":null,"windows":null,"exclusions":null,"spread":null,"policy":null}`,
			`{"timeZone":"UTC","exclusions":[],"policy":{"factoryReset":"reject","firmwareUpdate":"defer","rebootDevice":"defer"}}`,
			"always open",
		},
		{
			`{"timeZone":"Europe/Berlin","windows":[],"spread":0,"policy":{"factoryReset":"allow","rebootDevice":null}}`,
			`{"timeZone":"Europe/Berlin","windows":[],"exclusions":[],"spread":0,"policy":{"factoryReset":"allow","firmwareUpdate":"defer","rebootDevice":"defer"}}`,
			"never open",
		},
		{
			`{"windows":[{"name":"night","days":["fri","sun","mon"],"start":"02:30","duration":"2h"},{"days":null,"name":null,"start":"00:00","duration":"PT1M"}],
			  "exclusions":[{"from":"2026-12-31","to":"2027-01-01"},{"from":"2026-12-24","to":"2026-12-24"}],"spread":"10m"}`,
			`{"timeZone":"UTC","windows":[{"name":"night","days":["mon","fri","sun"],"start":"02:30","duration":7200},
			  {"name":"window 2","days":["mon","tue","wed","thu","fri","sat","sun"],"start":"00:00","duration":60}],
			  "exclusions":[{"from":"2026-12-31","to":"2027-01-01"},{"from":"2026-12-24","to":"2026-12-24"}],"spread":600,
			  "policy":{"factoryReset":"reject","firmwareUpdate":"defer","rebootDevice":"defer"}}`,
			"2 windows, 2 exclusions",
		},
	} {
		p, err := Parse(decode(t, c.given), RebootTime)
		if err != nil {
			t.Errorf("%s: %v", c.given, err)
			continue
		}
		if diff := cmp.Diff(decode(t, c.want), any(p.Document())); diff != "" {
			t.Errorf("%s: %s", c.given, diff)
		}
		if p.Summary() != c.summary {
			t.Errorf("%s: %q; want %q", c.given, p.Summary(), c.summary)
		}
	}
}

// Windows that are too short by themselves are long enough together.
func TestRoomOfTouchingWindows(t *testing.T) {
	halves := `{"windows":[{"start":"23:59","duration":"1m","days":["sun"]},{"start":"00:00","duration":"1m","days":["mon"]}]}`
	if _, err := Parse(decode(t, halves), RebootTime); err != nil {
		t.Error(err)
	}
	if _, err := Parse(decode(t, halves), RebootTime+time.Second); err == nil {
		t.Error("there is room for more than both together")
	}
}

func TestAction(t *testing.T) {
	p := mustParse(t, map[string]any{"policy": map[string]any{"rebootDevice": "allow", "firmwareUpdate": "reject"}})
	for kind, want := range map[string]Action{"rebootDevice": Allow, "firmwareUpdate": Reject, "factoryReset": Reject, "else": Defer} {
		if got := p.Action(kind); got != want {
			t.Errorf("%s: %s; want %s", kind, got, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"windows":[]}`, `{"timeZone":"Europe/Paris","windows":[{"name":"a","days":["sun"],"start":"02:30","duration":"2h"}]}`,
		`{"timeZone":"Pacific/Apia","windows":[{"start":"00:00","duration":604800}],"exclusions":[{"from":"2011-12-30","to":"2011-12-30"}]}`,
		`{"exclusions":[{"from":"1970-01-01","to":"9999-12-31"}],"spread":"24h","policy":{"factoryReset":"allow"}}`,
		`{"windows":[{"start":"02:30","duration":"1e1h"}],"exclusion":[]}`, `{"policy":{"rebootDevice":null}}`,
	} {
		f.Add([]byte(s), int64(1774746000), int64(3600))
	}
	f.Fuzz(func(t *testing.T, text []byte, unix, need int64) {
		value, err := iothub.DecodeJSON(text)
		if err != nil {
			return
		}
		p, err := Parse(value, RebootTime)
		if err != nil {
			if p != nil || !strings.HasPrefix(err.Error(), "maintenance") {
				t.Errorf("%v, %v", p, err)
			}
			return
		}
		onlyKnownKeys(t, value.(map[string]any))
		again, err := Parse(decode(t, compact(t, p.Document())), RebootTime)
		if err != nil {
			t.Fatalf("what is acknowledged is refused: %v", err)
		}
		if diff := cmp.Diff(p, again, cmp.AllowUnexported(Policy{}, window{}, start{}, dates{}), cmp.Comparer(func(a, b *time.Location) bool { return a == b })); diff != "" {
			t.Errorf("what is acknowledged means another thing: %s", diff)
		}
		at := time.Unix(unix, 0)
		p.At(at)
		p.Next(at, 3)
		p.Between(at, at.Add(100*time.Hour))
		p.Slot(at, time.Duration(need), 0.5)
	})
}

func compact(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(text))
}

// onlyKnownKeys looks for every key of an accepted value in one list.
func onlyKnownKeys(t *testing.T, m map[string]any) {
	t.Helper()
	for key, v := range m {
		if !strings.Contains(" timeZone windows exclusions spread policy name days start duration from to rebootDevice firmwareUpdate factoryReset ", " "+key+" ") || key == "" {
			t.Errorf("accepted with the key %q", key)
		}
		list, _ := v.([]any)
		for _, v := range append(list, v) {
			if inner, ok := v.(map[string]any); ok {
				onlyKnownKeys(t, inner)
			}
		}
	}
}

// An unknown key at any place of an otherwise good policy refuses it.
func TestUnknownKeyAnywhere(t *testing.T) {
	random := rand.New(rand.NewPCG(seed(t), 0))
	for range 60 {
		p := randomPolicy(t, random, "Europe/Paris", []int64{0}, time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC))
		doc := decode(t, compact(t, p.Document())).(map[string]any)
		objects := []map[string]any{doc, doc["policy"].(map[string]any)}
		for _, key := range []string{"windows", "exclusions"} {
			list, _ := doc[key].([]any)
			for _, v := range list {
				objects = append(objects, v.(map[string]any))
			}
		}
		if _, err := Parse(doc, time.Minute); err != nil {
			t.Fatalf("%v: %v", doc, err)
		}
		objects[random.IntN(len(objects))]["Start"] = nil
		if _, err := Parse(doc, time.Minute); err == nil || !strings.Contains(err.Error(), ".Start: is not a key") {
			t.Fatalf("%v: %v", doc, err)
		}
	}
}
