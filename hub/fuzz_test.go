package hub

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// FuzzBodies: a body is what a client asked for within the hub's limits, or the
// client is told what is wrong with it. It never counts as the hub's own fault.
func FuzzBodies(f *testing.F) {
	for _, seed := range []string{
		`{"deviceId":"d","status":"enabled","authentication":{"type":"sas","symmetricKey":{"primaryKey":"a2V5","secondaryKey":null}}}`,
		`{"authentication":{"x509Thumbprint":{"primaryThumbprint":"01:23"}},"capabilities":{"iotEdge":false}}`,
		`{"methodName":"lockDoor","payload":"{\"lockTime\":\"10m\"}","responseTimeoutInSeconds":30,"connectTimeoutInSeconds":0}`,
		`{"tags":{"a":{"b":null}},"properties":{"desired":{"building":43,"$version":3,"$metadata":{}}}}`,
		`{"tags":null,"properties":{"desired":null}}`,
		`{"jobId":"j","type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","payload":null},"queryCondition":"*","startTime":"2026-01-02T03:04:05.006Z","maxExecutionTimeInSeconds":60}`,
		`{"type":"scheduleUpdateTwin","updateTwin":{"etag":"*","properties":{"desired":{"x":1}}},"queryCondition":"deviceId in ['a']"}`,
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		body := []byte(text)
		var call rest.MethodCall
		if accepted(t, decodeInto(body, &call)) {
			m, err := readMethodCall(call, defaultConnectTimeout)
			if accepted(t, err) && (!json.Valid(m.payload) || m.response <= 0 || m.connect < 0) {
				t.Errorf("the call %q is %+v", text, m)
			}
		}
		var device identityInput
		if accepted(t, decodeInto(body, &device)) {
			d, err := newIdentity("d", device, now)
			if accepted(t, err) {
				encodes(t, d.wire())
			}
		}
		var asked jobInput
		if accepted(t, decodeInto(body, &asked)) {
			asked.JobID = ""
			j, err := newJob("j", asked, now)
			if accepted(t, err) {
				encodes(t, j.wire(&rest.JobStatistics{}))
			}
		}
		doc, err := decodeObject(body)
		if !accepted(t, err) {
			return
		}
		for _, replace := range []bool{false, true} {
			patch, err := readTwinPatch(doc, replace)
			if !accepted(t, err) {
				continue
			}
			after, _, err := newTwin("d", now).patched(patch, now)
			if accepted(t, err) {
				encodes(t, after.wire(identity{id: "d"}))
			}
		}
	})
}

// FuzzHeaders: paging and etags are read in the forms that clients send, and
// a continuation that the hub wrote is read as it was meant.
func FuzzHeaders(f *testing.F) {
	f.Add(`"*"`, "100", paging{after: "d1", delivered: 7}.token())
	f.Add(`W/"AAAAAAAAAAE="`, "-1", "")
	f.Add(`"`, "0x10", "MSA=")
	f.Fuzz(func(t *testing.T, match, size, token string) {
		r := &request{Request: httptest.NewRequest("GET", "/devices", nil)}
		r.Header.Set("If-Match", match)
		r.Header.Set(rest.HeaderMaxItemCount, size)
		r.Header.Set(rest.HeaderContinuation, token)
		if m := readIfMatch(r.Header); m.given && !m.any && m.check(m.etag) != nil {
			t.Errorf("If-Match %q does not match itself", match)
		}
		p, err := readPaging(r)
		if !accepted(t, err) {
			return
		}
		if p.size < 1 || p.size > maxPage || p.delivered < 0 {
			t.Errorf("size %q and token %q are %+v", size, token, p)
		}
		r.Header.Set(rest.HeaderContinuation, p.token())
		if again, err := readPaging(r); err != nil || again != p {
			t.Errorf("%+v is written as %q and read as %+v, %v", p, p.token(), again, err)
		}
	})
}

// FuzzThumbprint: what is taken for a thumbprint has the length of one.
func FuzzThumbprint(f *testing.F) {
	f.Add("01:23:45:67:89:AB:CD:EF:01:23:45:67:89:ab:cd:ef:01:23:45:67")
	f.Add("0123 4567")
	f.Fuzz(func(t *testing.T, text string) {
		if b, err := parseThumbprint(text); err == nil && len(b) != 20 && len(b) != 32 {
			t.Errorf("%q has %d bytes", text, len(b))
		}
	})
}

// accepted tells whether something was accepted; a refusal must be the client's to
// see.
func accepted(t *testing.T, err error) bool {
	t.Helper()
	if err == nil {
		return true
	}
	wire, ok := isWire(err)
	if !ok || wire.Status() < 400 || wire.Status() > 499 {
		t.Errorf("the client is not told: %v", err)
	}
	return false
}

// encodes fails the test if something cannot be written as a document.
func encodes(t *testing.T, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err == nil {
		_, err = iothub.DecodeObject(text)
	}
	if err != nil {
		t.Errorf("%+v: %v", v, err)
	}
}
