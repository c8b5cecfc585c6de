package iothub

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The vectors were computed apart from this code, with the key testKey and the
// expiry 1900000000.
var sasVectors = []struct{ sr, resource, signature string }{
	{"hub.example.net%2Fdevices%2Fdev-1", "hub.example.net/devices/dev-1", "Vcoj757RwXSHnFNfKIZyutQiLHSA3v/Ia/sa32feesU="},
	{"hub.example.net%2fdevices%2fdev-1", "hub.example.net/devices/dev-1", "WvsQFVMbbMPhObDulc3C+2WL6aZ4SL/LtFTYUvh7HOM="},
	{"hub.example.net%2Fdevices%2Fdev%201", "hub.example.net/devices/dev 1", "+NhspJayM+uetu9n59oJ24mAGnghTg0n9zLCZL92mmM="},
	{"hub.example.net", "hub.example.net", "yTVZaH7rOUVMb5M0i2O8B6R22c66BsAbkxCPYPV+zNY="},
}

func TestSASVectors(t *testing.T) {
	key := mustKey(t)
	for _, v := range sasVectors {
		escaped := strings.NewReplacer("+", "%2B", "/", "%2F", "=", "%3D").Replace(v.signature)
		if !strings.Contains(v.sr, "%2f") {
			want := "SharedAccessSignature sr=" + v.sr + "&sig=" + escaped + "&se=1900000000"
			if got := NewSAS(key, v.resource, testExpiry.Add(999*time.Millisecond), ""); got != want {
				t.Errorf("signed %s\ngot  %s\nwant %s", v.resource, got, want)
			}
		}
		for _, token := range []string{
			"sr=" + v.sr + "&sig=" + escaped + "&se=1900000000",
			"sr=" + v.sr + "&sig=" + escaped + "&se=1900000000&skn=",
			"sr=" + v.sr + "&sig=" + v.signature + "&se=1900000000",                                                               // nothing encoded
			"sr=" + v.sr + "&sig=" + strings.ReplaceAll(escaped, "%2F", "/") + "&se=1900000000",                                   // Python
			"sig=" + strings.NewReplacer("%2B", "%2b", "%2F", "%2f", "%3D", "%3d").Replace(escaped) + "&se=1900000000&sr=" + v.sr, // .NET
			"se=1900000000&sr=" + v.sr + "&sig=" + escaped + "&unknown=1",
		} {
			s, err := ParseSAS("SharedAccessSignature " + token)
			if err != nil {
				t.Errorf("%s: %v", token, err)
				continue
			}
			if s.Resource != v.resource || s.Policy != "" || !s.Expiry.Equal(testExpiry) || s.Host() != "hub.example.net" {
				t.Errorf("%s: %+v", token, s)
			}
			if !s.SignedBy(key) || !s.SignedBy(GenerateKey(), key) || s.SignedBy() || s.SignedBy(GenerateKey(), Key{}) {
				t.Errorf("%s: verified wrongly", token)
			}
		}
	}
}

func TestSASPolicy(t *testing.T) {
	token := NewSAS(mustKey(t), "localhost:18443", testExpiry, "a policy&")
	if want := "SharedAccessSignature sr=localhost%3A18443&sig="; !strings.HasPrefix(token, want) {
		t.Errorf("%s", token)
	}
	// Node puts the policy before the expiry.
	fields := strings.Split(strings.TrimPrefix(token, sasPrefix), "&")
	for _, form := range []string{token, sasPrefix + strings.Join([]string{fields[3], fields[0], fields[1], fields[2]}, "&")} {
		s, err := ParseSAS(form)
		if err != nil || s.Policy != "a policy&" || s.Host() != "localhost:18443" || !s.SignedBy(mustKey(t)) {
			t.Errorf("%s: %+v, error %v", form, s, err)
		}
	}
}

// TestTokensDoNotShow prints a token that was read, also inside a struct, where
// fmt asks no method.
func TestTokensDoNotShow(t *testing.T) {
	s, err := ParseSAS(NewSAS(mustKey(t), "h", testExpiry, "p"))
	if err != nil {
		t.Fatal(err)
	}
	signature := mustKey(t).Sign("h\n1900000000")
	for _, v := range []any{s, &s, struct{ s SAS }{s}, &struct{ s *SAS }{&s}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%c"} {
			text := strings.ToLower(fmt.Sprintf(verb, v))
			for _, form := range []string{string(signature[:6]), hex.EncodeToString(signature[:6]), strings.Trim(fmt.Sprint(signature[:6]), "[]")} {
				if strings.Contains(text, strings.ToLower(form)) {
					t.Errorf("%s shows the signature: %s", verb, text)
				}
			}
		}
	}
}

func TestForgedSAS(t *testing.T) {
	key := mustKey(t)
	token := NewSAS(key, "h/devices/d", testExpiry, "")
	for _, forged := range []string{
		strings.Replace(token, "devices%2Fd", "devices%2Fe", 1),
		strings.Replace(token, "%2F", "%2f", 1), // another text, though it means the same
		strings.Replace(token, "%2F", "/", 2),
		strings.Replace(token, "se=1900000000", "se=1900000001", 1),
	} {
		if s, err := ParseSAS(forged); err != nil || s.SignedBy(key) {
			t.Errorf("%s: error %v, verified %v", forged, err, err == nil)
		}
	}
}

func TestMalformedSAS(t *testing.T) {
	sig := url.QueryEscape(base64.StdEncoding.EncodeToString([]byte("signature of 20 byte")))
	for _, token := range []string{
		"", "SharedAccessSignature", "SharedAccessSignature ", "Bearer sr=h&sig=" + sig + "&se=1",
		"sr=h&sig=" + sig + "&se=1",
		"SharedAccessSignature sig=" + sig + "&se=1",
		"SharedAccessSignature sr=&sig=" + sig + "&se=1",
		"SharedAccessSignature sr=h&se=1",
		"SharedAccessSignature sr=h&sig=&se=1",
		"SharedAccessSignature sr=h&sig=" + sig,
		"SharedAccessSignature sr=%zz&sig=" + sig + "&se=1",
		"SharedAccessSignature sr=h&sig=%" + sig + "&se=1",
		"SharedAccessSignature sr=h&sig=no*base64&se=1",
		"SharedAccessSignature sr=h&sig=" + strings.TrimSuffix(sig, "%3D") + "&se=1",
		"SharedAccessSignature sr=h&sr=i&sig=" + sig + "&se=1",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=1&se=2",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=1&",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=1&skn=%q",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=-1",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=+1",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=01",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=1.5",
		"SharedAccessSignature sr=h&sig=" + sig + "&se=253402300800", // the year 10000
		"SharedAccessSignature sr=h&sig=" + sig + "&se=99999999999999999999",
		"SharedAccessSignature sr=" + strings.Repeat("h", 4096) + "&sig=" + sig + "&se=1",
	} {
		s, err := ParseSAS(token)
		if err == nil {
			t.Errorf("%s is accepted", token)
			continue
		}
		if s.SignedBy(mustKey(t)) || strings.Contains(err.Error(), sig[:8]) {
			t.Errorf("%s: %v", token, err)
		}
	}
}

func TestSASExpiry(t *testing.T) {
	s, err := ParseSAS(NewSAS(mustKey(t), "h", testExpiry, ""))
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[time.Duration]bool{-time.Second: false, -1: false, 0: true, time.Second: true} {
		if s.ExpiredAt(testExpiry.Add(offset)) != want {
			t.Errorf("%s after the expiry: expired is %v", offset, !want)
		}
	}
}

func TestSASCovers(t *testing.T) {
	for _, test := range []struct {
		resource, path string
		want           bool
	}{
		{"h", "", true},
		{"h", "devices/d1", true},
		{"h/", "devices/d1", true},
		{"h/devices", "devices/d1", true},
		{"h/devices", "twins/d1", false},
		{"h/devices", "", false},
		{"h/devices/d1", "devices/d1", true},
		{"h/devices/d1/", "/devices/d1/", true},
		{"h/devices/d1", "devices/d1/files/x", true},
		{"h/devices/d1", "devices/d10", false},
		{"h/devices/d10", "devices/d1", false},
		{"h/devices/d1", "devices/D1", false},
		{"h/devices/d1", "devices", false},
		{"h/devices/d1/modules/m", "devices/d1", false},
		{"h/devices/d1/api-version=2016-11-14", "devices/d1", true},
		{"h/devices/d1/api-version=2016-11-14", "devices/d2", false},
		{"h/devices/api-version=1", "devices/api-version=1", true}, // a device id like any other
		{"h/devices/api-version=1", "devices/d1", false},
		{"h/devices/d1/api-version=1/x", "devices/d1", false},
	} {
		s, err := ParseSAS(NewSAS(mustKey(t), test.resource, testExpiry, ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Covers(test.path); got != test.want {
			t.Errorf("%s covers %q: %v", test.resource, test.path, got)
		}
	}
	if got := DeviceResource("h", "d1"); got != "h/devices/d1" {
		t.Error(got)
	}
}
