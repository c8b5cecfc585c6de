package iothub

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	testKey    = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	deviceText = "HostName=hub.example.net;DeviceId=dev-1;SharedAccessKey=" + testKey
)

func mustKey(t testing.TB) Key {
	t.Helper()
	key, err := ParseKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// plain is a connection string with its key as text, for comparisons.
type plain struct {
	Host, Gateway, Device, Policy, Key string
	X509                               bool
}

func plainOf(c ConnectionString) plain {
	return plain{c.HostName, c.GatewayHostName, c.DeviceID, c.SharedAccessKeyName, c.SharedAccessKey.Reveal(), c.X509}
}

func TestConnectionStrings(t *testing.T) {
	device, service := ParseDeviceConnectionString, ParseServiceConnectionString
	for _, test := range []struct {
		name  string
		parse func(string) (ConnectionString, error)
		text  string
		want  plain
	}{
		{"device with a key", device, deviceText, plain{Host: "hub.example.net", Device: "dev-1", Key: testKey}},
		{"trailing semicolon", device, deviceText + ";", plain{Host: "hub.example.net", Device: "dev-1", Key: testKey}},
		{"white space around", device, " \t" + deviceText + "\r\n", plain{Host: "hub.example.net", Device: "dev-1", Key: testKey}},
		{
			"any order", device, "SharedAccessKey=" + testKey + ";DeviceId=dev-1;HostName=hub.example.net",
			plain{Host: "hub.example.net", Device: "dev-1", Key: testKey},
		},
		{"certificate", device, "HostName=hub.example.net;DeviceId=dev-1;x509=true", plain{Host: "hub.example.net", Device: "dev-1", X509: true}},
		{"certificate, as .NET writes true", device, "HostName=h;DeviceId=d;x509=True", plain{Host: "h", Device: "d", X509: true}},
		{
			"gateway", device, deviceText + ";GatewayHostName=localhost",
			plain{Host: "hub.example.net", Gateway: "localhost", Device: "dev-1", Key: testKey},
		},
		{
			"device with the key of a policy", device, "HostName=h;DeviceId=d;SharedAccessKeyName=device;SharedAccessKey=" + testKey,
			plain{Host: "h", Device: "d", Policy: "device", Key: testKey},
		},
		{"port", device, "HostName=localhost:18883;DeviceId=d;x509=true", plain{Host: "localhost:18883", Device: "d", X509: true}},
		{"all the punctuation of an id", device, "HostName=h;DeviceId=-:.%_*?!(),=@$';x509=true", plain{Host: "h", Device: "-:.%_*?!(),=@$'", X509: true}},
		{"address", device, "HostName=192.0.2.1:1;DeviceId=d;x509=true", plain{Host: "192.0.2.1:1", Device: "d", X509: true}},
		{"IPv6", device, "HostName=2001:db8::1;DeviceId=d;x509=true", plain{Host: "2001:db8::1", Device: "d", X509: true}},
		{"IPv6 ending in a colon", device, "HostName=2001:db8::;DeviceId=d;x509=true", plain{Host: "2001:db8::", Device: "d", X509: true}},
		{"IPv6 in brackets", device, "HostName=[::1];DeviceId=d;x509=true", plain{Host: "[::1]", Device: "d", X509: true}},
		{"IPv6 with a port", device, "HostName=[::1]:65535;DeviceId=d;x509=true", plain{Host: "[::1]:65535", Device: "d", X509: true}},
		{
			"service", service, "HostName=hub.example.net;SharedAccessKeyName=iothubowner;SharedAccessKey=" + testKey,
			plain{Host: "hub.example.net", Policy: "iothubowner", Key: testKey},
		},
		{
			"service with a port", service, "HostName=localhost:18443;SharedAccessKeyName=a-b.c_1;SharedAccessKey=" + testKey,
			plain{Host: "localhost:18443", Policy: "a-b.c_1", Key: testKey},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, err := test.parse(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, plainOf(c)); diff != "" {
				t.Error(diff)
			}
			again, err := test.parse(c.Reveal())
			if err != nil || plainOf(again) != plainOf(c) {
				t.Errorf("written as %s and read again: %v, error %v", c, again, err)
			}
			if shown := c.String(); strings.Contains(shown, testKey) || c.SharedAccessKey.IsZero() == strings.Contains(shown, hidden) {
				t.Errorf("shown as %s", shown)
			}
		})
	}
}

// secret is a text that must not show; each of its parts of four characters
// counts as the secret.
const secret = "c2VjcmV0S2V5T2ZUaGVEZXZpY2VOdW1iZXJPbmUhISE="

func expectNoSecret(t *testing.T, what, text string) {
	t.Helper()
	for i := 0; i+4 <= len(secret)-4; i++ {
		if part := secret[i : i+4]; strings.Contains(text, part) {
			t.Errorf("%s shows %q, which is part of the secret: %s", what, part, text)
			return
		}
	}
}

func TestWrongConnectionStrings(t *testing.T) {
	device, service := ParseDeviceConnectionString, ParseServiceConnectionString
	const wrongHost = "the host name is empty or"
	for _, test := range []struct {
		parse      func(string) (ConnectionString, error)
		text, want string
	}{
		{device, "", "it is empty"},
		{device, " \n", "it is empty"},
		{device, ";", "part 1 has no '='"},
		{device, secret[:20], "part 1 has no '='"},
		{device, secret, "part 1 has an unknown name"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey:" + secret, "part 3 has an unknown name"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey" + secret[:4] + "=", "part 3 has an unknown name"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + secret[:8] + ";" + secret[8:], "part 4 has an unknown name"},
		{device, "HostName=h;;DeviceId=d;SharedAccessKey=" + secret, "part 2 has no '='"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + secret + ";;", "part 4 has no '='"},
		{device, strings.Repeat("x", maxConnectionString) + "=", "longer than 4096 bytes"},

		{device, "DeviceId=d;SharedAccessKey=" + secret, "HostName is missing"},
		{device, "HostName=h;SharedAccessKey=" + secret, "DeviceId is missing"},
		{device, "HostName=h;DeviceId=d", "SharedAccessKey is missing"},
		{device, "HostName=h;SharedAccessKeyName=p;SharedAccessKey=" + secret, "this is a service connection string"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + secret + ";x509=true", "x509=true and SharedAccessKey exclude"},
		{device, "HostName=h;DeviceId=d;SharedAccessKeyName=p;x509=true", "x509=true and SharedAccessKeyName exclude"},
		{service, "HostName=h;DeviceId=d;SharedAccessKey=" + secret, "DeviceId is present"},
		{service, "HostName=h;SharedAccessKey=" + secret, "SharedAccessKeyName is missing"},
		{service, "HostName=h;SharedAccessKeyName=p", "SharedAccessKey is missing"},
		{service, "HostName=h;SharedAccessKeyName=p;x509=true;SharedAccessKey=" + secret, "x509=true is for devices"},
		{service, "SharedAccessKeyName=p;SharedAccessKey=" + secret, "HostName is missing"},

		{device, "hostname=h;DeviceId=d;SharedAccessKey=" + secret, "its name is HostName"},
		{device, "HostName=h;DeviceID=d;SharedAccessKey=" + secret, "its name is DeviceId"},
		{device, "HostName=h;DeviceId=d;X509=true", "its name is x509"},
		{device, "HostName=h;HostName=i;DeviceId=d;SharedAccessKey=" + secret, "HostName is given twice"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + secret + ";SharedAccessKey=" + secret, "SharedAccessKey is given twice"},
		{device, "HostName=;DeviceId=d;SharedAccessKey=" + secret, "HostName is empty"},
		{device, "HostName=h;DeviceId=;SharedAccessKey=" + secret, "DeviceId is empty"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=", "SharedAccessKey is empty"},

		{device, "HostName=https://h;DeviceId=d;SharedAccessKey=" + secret, "HostName: give the name alone"},
		{device, "HostName=h/x;DeviceId=d;SharedAccessKey=" + secret, "HostName: give the name alone"},
		{device, "HostName=a b;DeviceId=d;SharedAccessKey=" + secret, "HostName: ' ' cannot be part"},
		{device, "HostName=h:" + secret + ";DeviceId=d;x509=true", "HostName: the port is not"},
		{device, "HostName=h:;DeviceId=d;x509=true", "HostName: the port is not"},
		{device, "HostName=h:0;DeviceId=d;x509=true", "HostName: the port is not"},
		{device, "HostName=h:65536;DeviceId=d;x509=true", "HostName: the port is not"},
		{device, "HostName=[::1]:;DeviceId=d;x509=true", "HostName: the port is not"},
		{device, "HostName=:8883;DeviceId=d;x509=true", "HostName: " + wrongHost},
		{device, "HostName=[h];DeviceId=d;x509=true", "HostName: only an IPv6 address"},
		{device, "HostName=[::1;DeviceId=d;x509=true", "HostName: only an IPv6 address"},
		{device, "HostName=a..b;DeviceId=d;x509=true", "HostName: a label"},
		{device, "HostName=h.;DeviceId=d;x509=true", "HostName: a label"},
		{device, "HostName=-h;DeviceId=d;x509=true", "HostName: a label"},
		{device, "HostName=" + strings.Repeat("x", 64) + ";DeviceId=d;x509=true", "HostName: a label"},
		{device, "HostName=" + strings.Repeat("x.", 127) + "x;DeviceId=d;x509=true", "HostName: " + wrongHost},
		{device, deviceText + ";GatewayHostName=a/b", "GatewayHostName: give the name alone"},
		{device, "HostName=h;DeviceId=a/b;SharedAccessKey=" + secret, "'/' cannot be part of a device id"},
		{device, "HostName=h;DeviceId=d;x509=false", "x509: the only value it can have is true"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + secret[:len(secret)-1], "SharedAccessKey: the key is not valid base64"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + secret + "x", "SharedAccessKey: the key is not valid base64"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=" + strings.Replace(secret, "V", "-", 1), "SharedAccessKey: the key is not valid base64"},
		{device, "HostName=h;DeviceId=d;SharedAccessKey=\"" + secret + "\"", "SharedAccessKey: the key is not valid base64"},
		{service, "HostName=h;SharedAccessKeyName=a b;SharedAccessKey=" + secret, "SharedAccessKeyName: ' ' cannot be part"},
		{service, "HostName=h;SharedAccessKeyName=" + strings.Repeat("p", 65) + ";SharedAccessKey=" + secret, "SharedAccessKeyName: the policy name is longer"},

		{device, "HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=" + secret, "ModuleId: module identities"},
		{device, "HostName=h;DeviceId=d;SharedAccessSignature=SharedAccessSignature sr=h&sig=" + secret, "SharedAccessSignature: ready-made tokens"},
		{service, "Endpoint=sb://x/;SharedAccessKeyName=p;SharedAccessKey=" + secret, "Endpoint: this is an Event Hubs"},
		{service, "EntityPath=x;SharedAccessKeyName=p;SharedAccessKey=" + secret, "EntityPath: this is an Event Hubs"},
	} {
		c, err := test.parse(test.text)
		if err == nil {
			t.Errorf("%q is accepted", test.text)
			continue
		}
		if c != (ConnectionString{}) {
			t.Errorf("%q: a refused string gives %v", test.text, c)
		}
		if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q\ngot  %v\nwant %s", test.text, err, test.want)
		}
		expectNoSecret(t, "an error", err.Error())
	}
}

func TestSplitHostPort(t *testing.T) {
	for _, test := range []struct{ text, host, port string }{
		{"h", "h", ""},
		{"h:1", "h", "1"},
		{"h:", "h", ""},
		{":1", "", "1"},
		{"", "", ""},
		{"::1", "::1", ""},
		{"[::1]", "::1", ""},
		{"[::1]:1", "::1", "1"},
		{"[::1", "[::1", ""},
		{"::1]", "::1]", ""},
		{"a:b:c", "a:b:c", ""},
		{"[", "[", ""},
		{"[]", "", ""},
	} {
		if host, port := SplitHostPort(test.text); host != test.host || port != test.port {
			t.Errorf("%q: %q, %q", test.text, host, port)
		}
	}
}

func TestDialAddress(t *testing.T) {
	for _, test := range []struct{ host, gateway, wantHost, wantPort string }{
		{"h", "", "h", "8883"},
		{"h:1", "", "h", "1"},
		{"h:1", "g", "g", "8883"},
		{"h", "g:2", "g", "2"},
		{"[::1]:3", "", "::1", "3"},
		{"::1", "", "::1", "8883"},
	} {
		host, port := ConnectionString{HostName: test.host, GatewayHostName: test.gateway}.DialAddress("8883")
		if host != test.wantHost || port != test.wantPort {
			t.Errorf("%s through %q: %s, %s", test.host, test.gateway, host, port)
		}
	}
}
