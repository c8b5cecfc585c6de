package hub_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

func TestTwinOfNewDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	a := r.call("GET", "/twins/d", "").want(200)
	stamp := regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z`)
	deviceETag := regexp.MustCompile(`"deviceEtag":"[A-Za-z0-9+/=]+"`)
	body := stamp.ReplaceAllString(string(a.body), "TIME")
	body = deviceETag.ReplaceAllString(body, `"deviceEtag":"E"`)
	want := `{"deviceId":"d","etag":"AAAAAAAAAAE=","deviceEtag":"E","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",` +
		`"connectionState":"Disconnected","lastActivityTime":"0001-01-01T00:00:00Z","cloudToDeviceMessageCount":0,` +
		`"authenticationType":"sas","x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":2,` +
		`"properties":{"desired":{"$metadata":{"$lastUpdated":"TIME","$lastUpdatedVersion":1},"$version":1},` +
		`"reported":{"$metadata":{"$lastUpdated":"TIME"},"$version":1}},"capabilities":{"iotEdge":false}}`
	if body != want {
		t.Errorf("\n%s\nwant\n%s", body, want)
	}
	if got := a.header.Get("ETag"); got != `"AAAAAAAAAAE="` {
		t.Errorf("ETag %s", got)
	}
	r.call("GET", "/twins/nobody", "").fails(iothub.DeviceNotFound)
	r.call("PATCH", "/twins/nobody", "{}").fails(iothub.DeviceNotFound)
}

// One row after another writes to the same twin.
func TestTwinWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	for _, row := range []struct {
		name, verb, body             string
		tags, desired                string // after it, without $ keys
		desiredVersion, version, tag string
	}{
		{
			"tags and desired", "PATCH", `{"tags":{"site":"a"},"properties":{"desired":{"telemetry":{"interval":5}}}}`,
			`{"site":"a"}`, `{"telemetry":{"interval":5}}`, "2", "3", "AAAAAAAAAAI=",
		},
		{
			"null deletes", "PATCH", `{"tags":{"site":null},"properties":{"desired":{"telemetry":{"interval":null},"x":1}}}`,
			``, `{"telemetry":{},"x":1}`, "3", "4", "AAAAAAAAAAM=",
		},
		{
			"tags alone leave desired", "PATCH", `{"tags":{"n":12345678901234}}`,
			`{"n":12345678901234}`, `{"telemetry":{},"x":1}`, "3", "5", "AAAAAAAAAAQ=",
		},
		{
			"an empty patch writes nothing", "PATCH", `{"tags":{},"properties":{"desired":{},"reported":{}}}`,
			`{"n":12345678901234}`, `{"telemetry":{},"x":1}`, "3", "5", "AAAAAAAAAAQ=",
		},
		{
			"the same value is a write", "PATCH", `{"properties":{"desired":{"x":1}}}`,
			`{"n":12345678901234}`, `{"telemetry":{},"x":1}`, "4", "6", "AAAAAAAAAAU=",
		},
		{
			"arrays replace, digits stay", "PATCH", `{"properties":{"desired":{"a":[1.50,{"b":"<&>"}],"telemetry":null}}}`,
			`{"n":12345678901234}`, `{"a":[1.50,{"b":"<&>"}],"x":1}`, "5", "7", "AAAAAAAAAAY=",
		},
		{
			"null clears desired", "PATCH", `{"properties":{"desired":null}}`,
			`{"n":12345678901234}`, `{}`, "6", "8", "AAAAAAAAAAc=",
		},
		{
			"null clears tags", "PATCH", `{"tags":null}`,
			``, `{}`, "6", "9", "AAAAAAAAAAg=",
		},
		{
			"PUT replaces what it names", "PUT", `{"tags":{"k":1},"properties":{"desired":{"only":true}}}`,
			`{"k":1}`, `{"only":true}`, "7", "10", "AAAAAAAAAAk=",
		},
		{
			"PUT leaves what it does not name", "PUT", `{"properties":{"desired":{"z":{"y":null,"w":2}}}}`,
			`{"k":1}`, `{"z":{"w":2}}`, "8", "11", "AAAAAAAAAAo=",
		},
		{
			"read-only parts are ignored", "PATCH", `{"deviceId":"other","etag":"x","version":99,"status":"disabled","tags":{"k":2},"properties":{"reported":{"r":1}}}`,
			`{"k":2}`, `{"z":{"w":2}}`, "8", "12", "AAAAAAAAAAs=",
		},
		{
			"no properties", "PATCH", `{"properties":null}`,
			`{"k":2}`, `{"z":{"w":2}}`, "8", "12", "AAAAAAAAAAs=",
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.call(row.verb, "/twins/d", row.body)
			a.t = t
			a.want(200)
			if got := a.at("tags"); got != row.tags {
				t.Errorf("tags %s, want %s", got, row.tags)
			}
			desired := a.doc()["properties"].(map[string]any)["desired"].(map[string]any)
			delete(desired, "$metadata")
			version := toJSON(t, desired["$version"])
			delete(desired, "$version")
			if got := toJSON(t, desired); got != row.desired || version != row.desiredVersion {
				t.Errorf("desired %s at %s, want %s at %s", got, version, row.desired, row.desiredVersion)
			}
			if v, e := a.at("version"), a.at("etag"); v != row.version || e != `"`+row.tag+`"` || a.header.Get("ETag") != e {
				t.Errorf("version %s and etag %s, want %s and %s", v, e, row.version, row.tag)
			}
			again := r.call("GET", "/twins/d", "")
			if string(again.body) != string(a.body) {
				t.Errorf("GET gives another twin: %s", again.body)
			}
		})
	}
	whole := r.call("GET", "/twins/d", "").want(200)
	a := r.call("PUT", "/twins/d", string(whole.body)).want(200)
	if a.at("properties", "desired", "z") != `{"w":2}` || a.at("properties", "desired", "$version") != "9" {
		t.Errorf("a whole twin sent back: %s", a.body)
	}
}

func TestTwinMetadata(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	r.call("PATCH", "/twins/d", `{"properties":{"desired":{"a":{"b":1,"c":[1]},"e":1}}}`).want(200)
	a := r.call("PATCH", "/twins/d", `{"properties":{"desired":{"a":{"b":2},"e":null}}}`).want(200)
	meta := func(path ...string) string {
		return a.at(append([]string{"properties", "desired", "$metadata"}, path...)...)
	}
	for path, want := range map[string]string{
		"$lastUpdatedVersion": "3", "a.$lastUpdatedVersion": "3", "a.b.$lastUpdatedVersion": "3", "a.c.$lastUpdatedVersion": "2", "e": "",
	} {
		if got := meta(strings.Split(path, ".")...); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
}

func TestTwinETags(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	patch := `{"tags":{"site":"a"}}`
	r.call("PATCH", "/twins/d", patch, `If-Match: "AAAAAAAAAAE="`).want(200)
	e := r.call("PATCH", "/twins/d", patch, `If-Match: "AAAAAAAAAAE="`).fails(iothub.PreconditionFailed)
	if !strings.Contains(e.Message, "etag") {
		t.Error(e.Message)
	}
	r.call("PUT", "/twins/d", patch, `If-Match: "AAAAAAAAAAE="`).fails(iothub.PreconditionFailed)
	for _, form := range []string{`"*"`, `*`, `AAAAAAAAAAQ=`, `W/"AAAAAAAAAAU="`} {
		r.call("PATCH", "/twins/d", patch, "If-Match: "+form).want(200)
	}
}

func TestTwinLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	nested := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	for _, row := range []struct{ name, body, says string }{
		{"a key with a dot", `{"properties":{"desired":{"a":{"b.c":1}}}}`, "desired.a.b.c"},
		{"a key with a dollar", `{"tags":{"$x":1}}`, "tags.$x"},
		{"too deep", `{"properties":{"desired":` + nested(12) + `}}`, "nested deeper"},
		{"very deep", `{"tags":` + nested(20000) + `}`, "depth"},
		{"null in an array", `{"tags":{"a":[1,null]}}`, "tags.a[1]"},
		{"a long string", `{"tags":{"a":"` + strings.Repeat("x", 4097) + `"}}`, "4096"},
		{"a big integer", `{"tags":{"a":4503599627370496}}`, "integer"},
		{"too large a section", `{"tags":{` + manyKeys(9) + `}}`, "8192"},
		{"tags that are no object", `{"tags":[]}`, "tags"},
		{"desired that is no object", `{"properties":{"desired":3}}`, "desired"},
		{"properties that are no object", `{"properties":3}`, "properties"},
		{"not JSON", `{`, "JSON"},
		{"an array", `[]`, "object"},
		{"nothing", ``, "JSON"},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.call("PATCH", "/twins/d", row.body)
			a.t = t
			if e := a.fails(iothub.ArgumentInvalid); !strings.Contains(e.Message, row.says) {
				t.Errorf("it says %q, not %q", e.Message, row.says)
			}
		})
	}
	if got := r.call("GET", "/twins/d", "").at("version"); got != "2" {
		t.Errorf("what was refused has left version %s", got)
	}
	r.call("PATCH", "/twins/d", `{"tags":{`+manyKeys(7)+`},"properties":{"desired":{`+manyKeys(31)+`}}}`).want(200)
	r.call("PATCH", "/twins/d", `{"properties":{"desired":{"k99":"`+strings.Repeat("x", 1100)+`"}}}`).fails(iothub.ArgumentInvalid)
}

// manyKeys are members of 1024 bytes each, by the hub's counting.
func manyKeys(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"k%02d":"%s"`, i, strings.Repeat("x", 1021)))
	}
	return strings.Join(all, ",")
}

// What a device gets on the wire, patch by patch.
func TestDesiredNotifications(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	d, err := r.dial("d", deviceToken("d", key), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.listen(t)
	for i, row := range []struct{ verb, body, want string }{
		{"PATCH", `{"properties":{"desired":{"a":{"b":1,"c":2},"e":1}}}`, `{"$version":2,"a":{"b":1,"c":2},"e":1}`},
		{"PATCH", `{"properties":{"desired":{"a":{"b":null},"never":null}}}`, `{"$version":3,"a":{"b":null},"never":null}`},
		{"PUT", `{"properties":{"desired":{"a":{"d":3},"f":[1]}}}`, `{"$version":4,"a":{"c":null,"d":3},"e":null,"f":[1]}`},
		{"PATCH", `{"properties":{"desired":null}}`, `{"$version":5,"a":null,"f":null}`},
		{"PUT", `{"properties":{"desired":{}}}`, `{"$version":6}`},
	} {
		r.call(row.verb, "/twins/d", row.body).want(200)
		m := d.next(t)
		if want := fmt.Sprintf("$iothub/twin/PATCH/properties/desired/?$version=%d", i+2); m.Topic() != want {
			t.Errorf("topic %s, want %s", m.Topic(), want)
		}
		if string(m.Payload()) != row.want {
			t.Errorf("%s %s\nnotifies %s\nwant     %s", row.verb, row.body, m.Payload(), row.want)
		}
	}
	r.call("PATCH", "/twins/d", `{"tags":{"quiet":true}}`).want(200)
	d.send(t, "$iothub/twin/GET/?$rid=7", 0, " ")
	if m := d.next(t); m.Topic() != "$iothub/twin/res/200/?$rid=7" || string(m.Payload()) != `{"desired":{"$version":6},"reported":{"$version":1}}` {
		t.Errorf("%s %s", m.Topic(), m.Payload())
	}
}

func TestReported(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.online("d", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d.Report(map[string]any{"door": map[string]any{"state": "locked"}, "n": 12345678901234567})
	if err := d.Flush(ctx); err == nil {
		t.Error("an integer beyond the limit was taken")
	}
	d.Report(map[string]any{"n": nil})
	if err := d.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	a := r.call("GET", "/twins/d", "").want(200)
	if a.at("properties", "reported", "door") != `{"state":"locked"}` || a.at("version") == "2" || a.at("etag") != `"AAAAAAAAAAE="` {
		t.Errorf("%s", a.body)
	}
	if a.at("properties", "reported", "$metadata", "door", "state", "$lastUpdatedVersion") != "" {
		t.Error("a reported node has a $lastUpdatedVersion")
	}
	if a.at("connectionState") != `"Connected"` || a.at("lastActivityTime") == `"0001-01-01T00:00:00Z"` {
		t.Errorf("%s", a.body)
	}
}

func TestReportedOnTheWire(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	d, err := r.dial("d", deviceToken("d", key), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.listen(t)
	for _, row := range []struct{ query, body, topic, says string }{
		{"$rid=1", `{"a":1}`, "$iothub/twin/res/204/?$rid=1&$version=2", ""},
		{"$rid=2&$version=2", `{"a":null,"b":{"c":1}}`, "$iothub/twin/res/204/?$rid=2&$version=3", ""},
		{"$rid=3&$version=2", `{"a":1}`, "$iothub/twin/res/412/?$rid=3", `"errorCode":412001`},
		{"$rid=4", `{}`, "$iothub/twin/res/204/?$rid=4&$version=3", ""},
		{"$rid=5", `{"$version":4}`, "$iothub/twin/res/400/?$rid=5", `"errorCode":400004`},
		{"$rid=6", `[`, "$iothub/twin/res/400/?$rid=6", `"errorCode":4000`},
	} {
		d.send(t, "$iothub/twin/PATCH/properties/reported/?"+row.query, 1, row.body)
		m := d.next(t)
		if m.Topic() != row.topic || !strings.Contains(string(m.Payload()), row.says) || row.says == "" && len(m.Payload()) > 0 {
			t.Errorf("%s %s\ngives %s %s\nwant  %s %s", row.query, row.body, m.Topic(), m.Payload(), row.topic, row.says)
		}
	}
}
