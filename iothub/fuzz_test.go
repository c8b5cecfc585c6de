package iothub

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// FuzzConnectionString: what is accepted is written back with the same
// meaning, and neither it nor an error shows the key.
func FuzzConnectionString(f *testing.F) {
	for _, seed := range []string{
		deviceText, deviceText + ";", deviceText + ";GatewayHostName=g:1", "HostName=h:18883;DeviceId=d;x509=True",
		"HostName=[::1]:8883;DeviceId=d;SharedAccessKeyName=device;SharedAccessKey=YWJj",
		"HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=" + testKey, "HostName=h;DeviceId=d;SharedAccessKey=",
		"Endpoint=sb://x/;EntityPath=y", "HostName=h;DeviceId=d;ModuleId=m;SharedAccessSignature=s", "=;=", ";;", "HostName",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (ConnectionString, error){ParseDeviceConnectionString, ParseServiceConnectionString} {
			c, err := parse(text)
			if err != nil {
				if len(err.Error()) > 400 {
					t.Errorf("a long error: %v", err)
				}
				continue
			}
			again, err := parse(c.Reveal())
			if err != nil || plainOf(again) != plainOf(c) {
				t.Errorf("%q is written as %q, error %v", text, c.Reveal(), err)
			}
			key := c.SharedAccessKey.Reveal()
			if len(key) > 8 && bytes.Contains([]byte(c.String()), []byte("SharedAccessKey="+key)) {
				t.Errorf("shown: %s", c)
			}
			if host, port := c.DialAddress("1"); host == "" || port == "" {
				t.Errorf("%q dials %q, %q", text, host, port)
			}
		}
	})
}

// FuzzSAS: a token is good for its key and no other, and signing the same
// again gives a token that means the same.
func FuzzSAS(f *testing.F) {
	key := mustKey(f)
	for _, v := range sasVectors {
		f.Add(sasPrefix + "sr=" + v.sr + "&sig=" + encodeComponent(v.signature) + "&se=1900000000")
	}
	f.Add(NewSAS(key, "h/devices/d/api-version=2016-11-14", testExpiry, "p"))
	f.Add(sasPrefix + "se=1&skn=%61&sig=+/+/&sr=h%2f")
	f.Add(sasPrefix + "sr=a&sr=b")
	other := GenerateKey()
	f.Fuzz(func(t *testing.T, token string) {
		s, err := ParseSAS(token)
		if err != nil {
			return
		}
		if s.SignedBy(other) || s.SignedBy(Key{}) {
			t.Fatalf("%q is good for a wrong key", token)
		}
		if s.Covers("") && s.Resource != s.Host() && s.Covers("devices/x") != s.Covers("") {
			t.Errorf("%q covers the hub but not its devices", token)
		}
		signed := NewSAS(key, s.Resource, s.Expiry, s.Policy)
		again, err := ParseSAS(signed)
		if len(signed) < 4000 && (err != nil || !again.SignedBy(key) || again.Resource != s.Resource || again.Policy != s.Policy || !again.Expiry.Equal(s.Expiry)) {
			t.Errorf("%q signed as %q: %+v, error %v", token, signed, again, err)
		}
	})
}

// FuzzTopic: what is accepted is written as a topic that means the same.
func FuzzTopic(f *testing.F) {
	for _, seed := range []string{
		"devices/d1/messages/events/%24.ct=application%2Fjson&a%20b=c%26d", "devices/d1/messages/events", "devices/d1/messages/events/?a/",
		"$iothub/twin/GET/?$rid=1", "$iothub/twin/PATCH/properties/reported/?$rid=2&$version=7", "$iothub/twin/res/204/?$version=6&$rid=2",
		"$iothub/twin/PATCH/properties/desired/?$version=12", "$iothub/methods/POST/lockDoor/?$rid=1", "$iothub/methods/res/-1/?%24rid=aF",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, topic string) {
		got, err := ParseTopic(topic)
		if err != nil {
			return
		}
		again, err := ParseTopic(got.String())
		if diff := cmp.Diff(got, again); err != nil || diff != "" {
			t.Errorf("%q is written as %q: error %v %s", topic, got, err, diff)
		}
	})
}

// FuzzProperties: what is accepted is written as a bag that means the same and
// has no character that a topic cannot carry.
func FuzzProperties(f *testing.F) {
	for _, seed := range []string{"", "a=1&b", "%24.mid=x&$.ct=y&$.ct=z", "a=%20+%2B", "&&", "=", "%C3%A4=%F0%9F%98%80", "a=%ff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, bag string) {
		got, err := ParseProperties(bag)
		if err != nil {
			return
		}
		text := got.Encode()
		again, err := ParseProperties(text)
		if diff := cmp.Diff(got, again); err != nil || diff != "" || bytes.ContainsAny([]byte(text), "/+#? \x00") {
			t.Errorf("%q is written as %q: error %v %s", bag, text, err, diff)
		}
	})
}

// FuzzMergePatch: JSON keeps its meaning when it is written and read; Merge
// applies what Diff gives; metadata mirrors what is there.
func FuzzMergePatch(f *testing.F) {
	for _, seed := range [][2]string{
		{`{"a":{"b":"c"}}`, `{"a":{"b":"d","c":null}}`},
		{`{"a":[{"b":null}],"n":1.0}`, `{"a":[{"b":null}],"n":1}`},
		{`{"a":1}`, `{"a":{"b":{"c":null}}}`},
		{`{"n":12345678901234567890,"e":1e400,"z":-0}`, `{"n":12345678901234567891,"e":1e401,"z":0}`},
		{`{"s":"\ud83d\ude00"}`, `{"s":"\ud83d"}`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		from, err := DecodeObject([]byte(a))
		if err != nil {
			return
		}
		if again := document(t, textOf(t, from)); !Equal(from, again) {
			t.Errorf("%q is read again as %v", a, again)
		}
		to, err := DecodeObject([]byte(b))
		if err != nil {
			return
		}
		from, aim := Merge(nil, from), Merge(nil, to)
		patch := Diff(from, to)
		if got := Merge(from, patch); !Equal(got, aim) || Equal(from, aim) != (len(patch) == 0) {
			t.Errorf("from %q to %q: the patch %s leads to %s", a, b, textOf(t, patch), textOf(t, got))
		}
		if CheckPatch(from) != nil || CheckPatch(to) != nil {
			return
		}
		if Size(from) < 0 || Size(from) > 8*len(a) {
			t.Errorf("%q has size %d", a, Size(from))
		}
		expectMirror(t, Merge(from, to), UpdateMetadata(UpdateMetadata(nil, from, firstTime, 1), to, secondTime, 2))
	})
}

// FuzzTwin: what is accepted, as a twin or as a notification, is written with
// the same meaning and has no "$" names.
func FuzzTwin(f *testing.F) {
	for _, seed := range []string{
		`{"desired":{"telemetryConfig":{"sendFrequency":"5m"},"$version":12},"reported":{"batteryLevel":55,"$version":123}}`,
		`{"desired":{"$version":1,"$metadata":{}},"reported":{"$version":1,"$x":null}}`,
		`{"interval":5,"old":null,"$version":2}`, `{"$version":-1}`, `{"$version":1e3}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if twin, err := ParseTwin(body); err == nil {
			again, err := ParseTwin([]byte(textOf(t, twin)))
			if err != nil || !sameSection(twin.Desired, again.Desired) || !sameSection(twin.Reported, again.Reported) {
				t.Errorf("%q is written as %s, error %v", body, textOf(t, twin), err)
			}
		}
		if patch, err := ParseDesiredPatch(body); err == nil {
			again, err := ParseDesiredPatch([]byte(textOf(t, patch)))
			if err != nil || !sameSection(patch, again) {
				t.Errorf("%q is written as %s, error %v", body, textOf(t, patch), err)
			}
		}
	})
}

func sameSection(a, b Section) bool {
	for k := range a.Properties {
		if k != "" && k[0] == '$' {
			return false
		}
	}
	return a.Version == b.Version && Equal(a.Properties, b.Properties)
}

// FuzzDecodeError: any answer gives an error that can be shown and passed on
// in every shape, and that says the same at the other end.
func FuzzDecodeError(f *testing.F) {
	e := Errorf(DeviceNotOnline, "away")
	e.TrackingID, e.Info = "t", map[string]any{"timeout": "00:00:10"}
	at := time.Unix(1900000000, 0)
	for _, body := range [][]byte{
		e.Body(at), e.MethodBody(at), e.TwinBody(at), nil, []byte("<html>"), []byte(`{"Message":"ErrorCode:X;y"}`), []byte(`{"errorCode":1e9}`),
		[]byte(`{"Message":"{\"errorCode\":-1,\"info\":[]}","ExceptionMessage":7}`), []byte(`{"Message":"x","message":"y","errorCode":404001}`),
	} {
		f.Add(404, "DeviceNotFound", body)
	}
	f.Fuzz(func(t *testing.T, status int, header string, body []byte) {
		got := DecodeError(status, header, body)
		if got == nil || got.Error() == "" || got.HTTPStatus != status {
			t.Fatalf("%d %q %q: %+v", status, header, body, got)
		}
		for _, written := range [][]byte{got.Body(at), got.MethodBody(at), got.TwinBody(at)} {
			if !json.Valid(written) {
				t.Errorf("written as %q", written)
			}
			if again := DecodeError(status, "", written); got.Code.HTTPStatus() >= 400 && got.Code < 1e6 && again.Code != got.Code {
				t.Errorf("%q is written as %q, and read as %+v", body, written, again)
			}
		}
	})
}
