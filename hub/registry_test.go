package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"latchd/iothub"
)

func TestCreateDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	a := r.call("PUT", "/devices/d1", `{"deviceId": "d1", "status": "enabled", "authentication": {"symmetricKey": {}, "type": "sas"}, "capabilities": {"iotEdge": false}}`).want(200)
	for _, row := range []struct{ path, want string }{
		{"deviceId", `"d1"`},
		{"connectionState", `"Disconnected"`},
		{"status", `"enabled"`},
		{"statusReason", `null`},
		{"connectionStateUpdatedTime", `"0001-01-01T00:00:00Z"`},
		{"statusUpdatedTime", `"0001-01-01T00:00:00Z"`},
		{"lastActivityTime", `"0001-01-01T00:00:00Z"`},
		{"cloudToDeviceMessageCount", `0`},
		{"authentication.type", `"sas"`},
		{"authentication.x509Thumbprint", `{"primaryThumbprint":null,"secondaryThumbprint":null}`},
		{"capabilities", `{"iotEdge":false}`},
	} {
		if got := a.at(strings.Split(row.path, ".")...); got != row.want {
			t.Errorf("%s: %s, want %s", row.path, got, row.want)
		}
	}
	one, two := a.at("authentication", "symmetricKey", "primaryKey"), a.at("authentication", "symmetricKey", "secondaryKey")
	if len(one) != 46 || len(two) != 46 || one == two {
		t.Errorf("the keys are not two of 44 characters")
	}
	if etag := a.header.Get("ETag"); etag != a.at("etag") || etag == `""` {
		t.Errorf("ETag header %s, body %s", etag, a.at("etag"))
	}
	if ct := a.header.Get("Content-Type"); ct != "application/json; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
	if got := r.call("GET", "/devices/d1", "").want(200); string(got.body) != string(a.body) {
		t.Errorf("GET gives %s, PUT gave %s", got.body, a.body)
	}
	twin := r.call("GET", "/twins/d1", "").want(200)
	if v := twin.at("version"); v != "2" {
		t.Errorf("a new twin has version %s", v)
	}
	r.call("DELETE", "/devices/d1", "", `If-Match: "*"`).want(204)
	r.call("GET", "/devices/d1", "").fails(iothub.DeviceNotFound)
	again := r.call("PUT", "/devices/d1", `{"deviceId":"d1"}`).want(200)
	if again.at("generationId") == a.at("generationId") {
		t.Error("a device that was made again has its old generation id")
	}
}

func TestCreateDeviceForms(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	sha1, sha256 := strings.Repeat("AB", 20), strings.Repeat("cd:", 31)+"cd"
	for i, row := range []struct {
		name, body string
		kind       string // "" : refused as ArgumentInvalid
	}{
		{"node with an id only", `{"deviceId":"ID","authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`, "sas"},
		{"an id only", `{"deviceId":"ID"}`, "sas"},
		{"no id in the body", `{}`, "sas"},
		{"members in another case", `{"DeviceId":"ID","Status":"Disabled"}`, "sas"},
		{"given keys", `{"authentication":{"symmetricKey":{"primaryKey":"a2V5MQ==","secondaryKey":"a2V5Mg=="}}}`, "sas"},
		{"one key", `{"authentication":{"symmetricKey":{"primaryKey":"a2V5MQ=="}}}`, ""},
		{"a key that is not base64", `{"authentication":{"symmetricKey":{"primaryKey":"a2V5MQ","secondaryKey":"a2V5Mg=="}}}`, ""},
		{"thumbprints", `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"` + sha1 + `","secondaryThumbprint":"` + sha256 + `"}}}`, "selfSigned"},
		{"a thumbprint without type", `{"authentication":{"x509Thumbprint":{"primaryThumbprint":"` + sha1 + `"}}}`, "selfSigned"},
		{"a thumbprint that is too short", `{"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":"abcd"}}}`, ""},
		{"self-signed without thumbprint", `{"authentication":{"type":"selfSigned"}}`, ""},
		{"a certificate authority", `{"authentication":{"type":"certificateAuthority"}}`, "certificateAuthority"},
		{"an unknown type", `{"authentication":{"type":"magic"}}`, ""},
		{"an unknown status", `{"status":"sleepy"}`, ""},
		{"a long reason", `{"statusReason":"` + strings.Repeat("é", 129) + `"}`, ""},
		{"a reason of 128 characters", `{"statusReason":"` + strings.Repeat("é", 128) + `"}`, "sas"},
		{"another id", `{"deviceId":"other"}`, ""},
		{"an Edge device", `{"capabilities":{"iotEdge":true}}`, ""},
		{"nothing", ``, ""},
		{"not an object", `[]`, ""},
		{"half an object", `{"deviceId":`, ""},
		{"two objects", `{}{}`, ""},
		{"bad UTF-8", "{\"statusReason\":\"\xff\"}", ""},
		{"a number for a text", `{"status":1}`, ""},
	} {
		id := fmt.Sprintf("f%d", i)
		a := r.call("PUT", "/devices/"+id, strings.ReplaceAll(row.body, "ID", id))
		if row.kind == "" {
			t.Run(row.name, func(t *testing.T) { a.t = t; a.fails(iothub.ArgumentInvalid) })
			continue
		}
		if got := a.want(200).at("authentication", "type"); got != `"`+row.kind+`"` {
			t.Errorf("%s: type %s", row.name, got)
		}
	}
}

func TestDeviceIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for _, row := range []struct {
		path   string
		status int
	}{
		{"/devices/A-b.c:d_e%25*?!", 200}, // the question mark begins the query
		{"/devices/x%3F!()%2C%3D@%3B$'", 200},
		{"/devices/a%2Fb", 400},
		{"/devices/a%2fb", 400},
		{"/devices/a%23b", 400},
		{"/devices/a%2Bb", 400},
		{"/devices/a+b", 400},
		{"/devices/%C3%A9", 400},
		{"/devices/a%20b", 400},
		{"/devices/%2E%2E", 400},
		{"/devices/" + strings.Repeat("a", 128), 200},
		{"/devices/" + strings.Repeat("b", 129), 400},
	} {
		if got := r.call("PUT", row.path, `{}`); got.status != row.status {
			t.Errorf("%s: %d, want %d: %s", row.path, got.status, row.status, got.body)
		}
	}
}

func TestDeviceETags(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.call("PUT", "/devices/d", `{}`, `If-Match: "*"`).fails(iothub.DeviceNotFound)
	first := r.call("PUT", "/devices/d", `{}`).want(200)
	stale := first.at("etag")
	r.call("PUT", "/devices/d", `{}`).fails(iothub.DeviceAlreadyExists)
	r.call("PUT", "/devices/d", `{"statusReason":"one"}`, "If-Match: "+stale).want(200)
	r.call("PUT", "/devices/d", `{}`, "If-Match: "+stale).fails(iothub.PreconditionFailed)
	r.call("DELETE", "/devices/d", ``, "If-Match: "+stale).fails(iothub.PreconditionFailed)
	for _, form := range []string{`"*"`, `*`, `W/"*"`} {
		r.call("PUT", "/devices/d", `{}`, "If-Match: "+form).want(200)
	}
	etag := strings.Trim(r.call("GET", "/devices/d", "").at("etag"), `"`)
	for _, form := range []string{`"%s"`, `%s`, `W/"%s"`} {
		a := r.call("PUT", "/devices/d", `{}`, "If-Match: "+fmt.Sprintf(form, etag)).want(200)
		etag = strings.Trim(a.at("etag"), `"`)
	}
	r.call("DELETE", "/devices/d", ``, `If-Match: "`+etag+`"`).want(204)
	r.call("DELETE", "/devices/d", ``, `If-Match: "*"`).fails(iothub.DeviceNotFound)
}

func TestUpdateKeepsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := r.call("PUT", "/devices/d", `{"status":"disabled","statusReason":"new"}`).want(200)
	keys := first.at("authentication")
	// The whole identity, sent back by the Node SDK.
	second := r.call("PUT", "/devices/d", string(first.body), `If-Match: "*"`).want(200)
	if second.at("authentication") != keys || second.at("statusReason") != `"new"` {
		t.Errorf("an identity that was sent back has changed: %s", second.body)
	}
	third := r.call("PUT", "/devices/d", `{"authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}`, `If-Match: "*"`).want(200)
	if third.at("authentication") != keys || third.at("status") != `"disabled"` {
		t.Errorf("empty keys have replaced the old ones: %s", third.body)
	}
	if third.at("statusUpdatedTime") != `"0001-01-01T00:00:00Z"` {
		t.Errorf("the status was not changed, but says when: %s", third.body)
	}
	fourth := r.call("PUT", "/devices/d", `{"status":"enabled"}`, `If-Match: "*"`).want(200)
	if fourth.at("statusUpdatedTime") == `"0001-01-01T00:00:00Z"` {
		t.Errorf("the status was changed, but does not say when: %s", fourth.body)
	}
	if fourth.at("generationId") != first.at("generationId") {
		t.Error("an update has changed the generation id")
	}
}

func TestListAndStatistics(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if got := string(r.call("GET", "/devices", "").want(200).body); got != "[]" {
		t.Errorf("an empty list is %s", got)
	}
	for i := range 3 {
		r.addDevice(fmt.Sprintf("d%d", i))
	}
	r.call("PUT", "/devices/d1", `{"status":"disabled"}`, `If-Match: "*"`).want(200)
	for path, want := range map[string]int{
		"/devices": 3, "/devices/": 3, "/devices?top=2": 2, "/devices?top=0": 3, "/devices?top=1001": 3, "/devices?top=x": 3,
	} {
		if got := len(r.call("GET", path, "").want(200).list()); got != want {
			t.Errorf("GET %s gives %d devices, want %d", path, got, want)
		}
	}
	if got := string(r.call("GET", "/statistics/devices", "").want(200).body); got != `{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}` {
		t.Error(got)
	}
	if got := string(r.call("GET", "/statistics/service", "").want(200).body); got != `{"connectedDeviceCount":0}` {
		t.Error(got)
	}
}

func TestBulk(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	good := `{"isSuccessful":true,"errors":[],"warnings":[]}`
	a := r.call("POST", "/devices", `[{"id":"b1","importMode":"create","status":"enabled","authentication":{"symmetricKey":{},"type":"sas"}},
		{"id":"b2","importMode":"Create","tags":{"site":"a"},"properties":{"desired":{"n":1}}}]`).want(200)
	if string(a.body) != good {
		t.Errorf("%s", a.body)
	}
	twin := r.call("GET", "/twins/b2", "").want(200)
	if twin.at("tags") != `{"site":"a"}` || twin.at("properties", "desired", "n") != "1" {
		t.Errorf("the twin of a bulk item: %s", twin.body)
	}
	a = r.call("POST", "/devices", `[{"id":"b1","importMode":"create"},{"id":"b3","importMode":"create"},
		{"id":"b2","importMode":"deleteIfMatchETag","eTag":"x"},{"id":"a b","importMode":"create"},{"id":"b4","importMode":"explode"}]`).want(400)
	if got := a.at("isSuccessful"); got != "false" {
		t.Errorf("isSuccessful %s", got)
	}
	var codes []string
	for _, e := range a.doc()["errors"].([]any) {
		m := e.(map[string]any)
		codes = append(codes, m["deviceId"].(string)+" "+m["errorCode"].(string))
	}
	if got := strings.Join(codes, ", "); got != "b1 DeviceAlreadyExists, b2 PreconditionFailed, a b ArgumentInvalid, b4 ArgumentInvalid" {
		t.Error(got)
	}
	r.call("GET", "/devices/b3", "").want(200) // what one fails at leaves the others
	a = r.call("POST", "/devices", `[{"id":"b2","importMode":"updateTwin","tags":{"site":"b"}},{"id":"b3","importMode":"update","status":"disabled"},
		{"id":"b1","importMode":"Delete","authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}}]`).want(200)
	if string(a.body) != good {
		t.Errorf("%s", a.body)
	}
	r.call("GET", "/devices/b1", "").fails(iothub.DeviceNotFound)
	if got := r.call("GET", "/devices/b3", "").at("status"); got != `"disabled"` {
		t.Error(got)
	}
	r.call("POST", "/devices", `[{"id":"x"},{"id":"x"}]`).fails(iothub.DeviceDefinedMultipleTimes)
	r.call("POST", "/devices", `[]`).fails(iothub.ArgumentInvalid)
	r.call("POST", "/devices", "["+strings.Repeat(`{"id":"a"},`, 100)+`{"id":"b"}]`).fails(iothub.ArgumentInvalid)
}
