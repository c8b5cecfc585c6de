package broker

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchd/iothub"
)

func TestParseUserName(t *testing.T) {
	for _, test := range []struct {
		name, id string
		want     Credentials // no host: refused
	}{
		{"h/d1/?api-version=2021-04-12", "d1", Credentials{Host: "h", APIVersion: "2021-04-12"}},
		{"h:18883/d1/?api-version=2019-10-01&DeviceClientType=py%2F2.14%20(Linux%3B)", "d1", Credentials{Host: "h:18883", APIVersion: "2019-10-01", ClientType: "py/2.14 (Linux;)"}},
		{"h/d1/?DeviceClientType=a+b&api-version=1&model-id=dtmi%3Aa%3BB%3B1", "d1", Credentials{Host: "h", APIVersion: "1", ClientType: "a+b", ModelID: "dtmi:a;B;1"}},
		{"h/d1/api-version=2016-11-14", "d1", Credentials{Host: "h", APIVersion: "2016-11-14"}},
		{"h/d1/DeviceClientType=c&api-version=2016-11-14", "d1", Credentials{Host: "h", APIVersion: "2016-11-14", ClientType: "c"}},
		{"h/d1?api-version=2018-06-30", "d1", Credentials{Host: "h", APIVersion: "2018-06-30"}},
		{"h/d1", "d1", Credentials{Host: "h"}},
		{"h/d1/", "d1", Credentials{Host: "h"}},
		{"h/d1/?", "d1", Credentials{Host: "h"}},
		{"h/d1/?api-version=1&api-version=2", "d1", Credentials{Host: "h", APIVersion: "1"}},
		{"h/d1/?api-version=%zz", "d1", Credentials{Host: "h", APIVersion: "%zz"}},
		{"h/d1/?DeviceClientType=a/b&api-version=1", "d1", Credentials{Host: "h", APIVersion: "1", ClientType: "a/b"}},
		{"h/what?is=this/?api-version=1", "what?is=this", Credentials{Host: "h", APIVersion: "1"}},

		{"", "d1", Credentials{}},
		{"d1", "d1", Credentials{}},
		{"/d1", "d1", Credentials{}},
		{"h/", "d1", Credentials{}},
		{"h/d2/?api-version=1", "d1", Credentials{}},
		{"h/d10/?api-version=1", "d1", Credentials{}},
		{"h/d1", "d10", Credentials{}},
		{"h/d1x", "d1", Credentials{}},
		{"h/d1/m1/?api-version=1", "d1", Credentials{}},
		{"h/d1/m1", "d1", Credentials{}},
		{"h/d1/m1/api-version=1", "d1", Credentials{}},
		{"h/d1/m1?api-version=1", "d1", Credentials{}},
		{"h/D1/?api-version=1", "d1", Credentials{}},
	} {
		got, err := parseUserName(test.name, test.id)
		if (err == nil) != (test.want.Host != "") || err == nil && !cmp.Equal(got, test.want) {
			t.Errorf("parseUserName(%q, %q) = %+v, %v; want %+v", test.name, test.id, got, err, test.want)
		}
	}
}

func TestConnectAnswers(t *testing.T) {
	r := start(t, &fakeHub{authenticate: func(_ string, c Credentials) (expiry time.Time, err error) {
		switch c.Password {
		case "secret":
			return expiry, nil
		case "fault":
			return expiry, iothub.Errorf(iothub.ServiceUnavailable, "The disk is gone.")
		}
		return expiry, iothub.Errorf(iothub.IotHubUnauthorized, "The password is wrong.")
	}})
	const accepted, version, unavailable, unauthorized, closed = 0, 1, 3, 5, 255
	events := "devices/d1/messages/events/"
	for name, test := range map[string]struct {
		packet connectPacket
		code   byte
	}{
		"good":                          {connectPacket{id: "d1"}, accepted},
		"clean":                         {connectPacket{id: "d1", clean: true}, accepted},
		"wrong password":                {connectPacket{id: "d1", password: "guess"}, unauthorized},
		"no password":                   {connectPacket{id: "d1", noPassword: true}, unauthorized},
		"no user name, no password":     {connectPacket{id: "d1", noUser: true, noPassword: true}, unauthorized},
		"no client id":                  {connectPacket{user: "localhost/d1/", clean: true}, unauthorized},
		"client id of another":          {connectPacket{id: "d2", user: "localhost/d1/"}, unauthorized},
		"module":                        {connectPacket{id: "d1/m1"}, unauthorized},
		"client id with a wildcard":     {connectPacket{id: "d#"}, unauthorized},
		"user name without device":      {connectPacket{id: "d1", user: "localhost"}, unauthorized},
		"MQTT 3.1":                      {connectPacket{id: "d1", protocol: "MQIsdp", level: 3}, version},
		"will":                          {connectPacket{id: "d1", willTopic: events, will: []byte("bye")}, accepted},
		"empty will":                    {connectPacket{id: "d1", willTopic: events}, accepted},
		"will with retain":              {connectPacket{id: "d1", willTopic: events, will: []byte("bye"), willRetain: true}, accepted},
		"will at QoS 2":                 {connectPacket{id: "d1", willTopic: events, willQoS: 2}, unauthorized},
		"will at QoS 3":                 {connectPacket{id: "d1", willTopic: events, will: []byte("bye"), willQoS: 3}, closed},
		"will of another":               {connectPacket{id: "d1", willTopic: "devices/d2/messages/events/"}, unauthorized},
		"will to a twin":                {connectPacket{id: "d1", willTopic: "$iothub/twin/PATCH/properties/reported/?$rid=1"}, unauthorized},
		"will to all methods":           {connectPacket{id: "d1", willTopic: "$iothub/methods/POST/#"}, unauthorized},
		"another protocol":              {connectPacket{id: "d1", protocol: "HTTP"}, closed},
		"a version that does not exist": {connectPacket{id: "d1", level: 6}, closed},
		"the hub at fault":              {connectPacket{id: "d1", password: "fault"}, unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.tls(t)
			c.send(test.packet.encode())
			got, err := c.read()
			switch {
			case test.code == closed:
				if err == nil {
					t.Errorf("got %v; want the connection closed", got)
				}
			case err != nil:
				t.Errorf("%v; want CONNACK %d", err, test.code)
			case got.kind != kConnack || len(got.body) != 2 || got.body[1] != test.code || got.body[0] != 0:
				t.Errorf("got %v; want CONNACK %d", got, test.code)
			case test.code != accepted:
				c.expectClosed()
			}
		})
	}
}

func TestCredentialsReachTheBackend(t *testing.T) {
	seen := make(chan Credentials, 1)
	hub := &fakeHub{authenticate: func(_ string, c Credentials) (expiry time.Time, err error) {
		seen <- c
		return expiry, errors.New("no")
	}}
	r := start(t, hub)
	certificate := newCertificate("d1")
	for name, test := range map[string]struct {
		packet connectPacket
		cert   bool
		want   Credentials
	}{
		"token":                              {connectPacket{id: "d1", user: "hub:8883/d1/?api-version=x&model-id=m"}, false, Credentials{Host: "hub:8883", Password: "secret", HasPassword: true, APIVersion: "x", ModelID: "m"}},
		"certificate":                        {connectPacket{id: "d1", user: "hub/d1", noPassword: true}, true, Credentials{Host: "hub"}},
		"certificate and an empty password":  {connectPacket{id: "d1", user: "hub/d1", password: "empty"}, true, Credentials{Host: "hub", HasPassword: true}},
		"neither":                            {connectPacket{id: "d1", user: "hub/d1", noPassword: true}, false, Credentials{Host: "hub"}},
		"a password with all kinds of bytes": {connectPacket{id: "d1", user: "hub/d1", password: "\xff\x00 "}, false, Credentials{Host: "hub", Password: "\xff\x00 ", HasPassword: true}},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.tls(t, func(config *tls.Config) {
				if test.cert {
					config.Certificates = []tls.Certificate{certificate}
				}
			})
			c.send(test.packet.encode())
			got := <-seen
			if test.cert && (len(got.Certificates) != 1 || !got.Certificates[0].Equal(certificate.Leaf)) {
				t.Errorf("the backend got %d certificates; want the client's", len(got.Certificates))
			}
			if !test.cert && len(got.Certificates) != 0 {
				t.Error("the backend got a certificate that nobody sent")
			}
			got.Certificates = nil
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("credentials (-want +got):\n%s", diff)
			}
			c.expect(kConnack)
		})
	}
}

func TestWill(t *testing.T) {
	will := connectPacket{
		id: "d1", clean: true, willTopic: "devices/d1/messages/events/a=b", will: []byte("gone"), willRetain: true,
	}
	t.Run("after a broken connection", func(t *testing.T) {
		hub := &fakeHub{}
		c := start(t, hub).rawWith(t, will)
		_ = c.tcp.Close()
		hub.awaitStates(t, "+d1", "-d1")
		want := []iothub.Message{{
			Body:       []byte("gone"),
			Properties: iothub.Properties{"a": "b", "iothub-MessageType": "Will", "mqtt-retain": "true"},
		}}
		if diff := cmp.Diff(want, hub.messages); diff != "" {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
	})
	t.Run("after a violation", func(t *testing.T) {
		hub := &fakeHub{}
		c := start(t, hub).rawWith(t, will)
		c.send(will.encode())
		c.expectClosed()
		hub.await(t, "the will", func() bool { return len(hub.messages) == 1 })
	})
	t.Run("after DISCONNECT", func(t *testing.T) {
		hub := &fakeHub{}
		c := start(t, hub).rawWith(t, will)
		c.send(packet(kDisconnect, 0, nil))
		hub.awaitStates(t, "+d1", "-d1")
		if len(hub.messages) != 0 {
			t.Errorf("%d messages; want no will", len(hub.messages))
		}
	})
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for _, c := range []Config{{}, {Backend: &fakeHub{}}, {Backend: &fakeHub{}, TLS: &tls.Config{}}} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "making a broker") {
			t.Errorf("New(%+v) gives %v; want an error", c, err)
		}
	}
}

func TestTLSVersions(t *testing.T) {
	r := start(t, &fakeHub{})
	for version, ok := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		config := clientTLS()
		config.MinVersion, config.MaxVersion = version, version
		conn := tls.Client(r.dial(t), config)
		if err := conn.Handshake(); (err == nil) != ok {
			t.Errorf("%s: %v; want success %v", tls.VersionName(version), err, ok)
		}
		_ = conn.Close()
	}
}

func TestHubThatCannotReadFilters(t *testing.T) {
	hub := &fakeHub{load: func(string) error { return errors.New("disk gone") }}
	r := start(t, hub)
	c := r.tls(t)
	if _, code := c.connect(connectPacket{id: "d1", willTopic: "devices/d1/messages/events/"}); code != 3 {
		t.Errorf("CONNACK %d; want 3", code)
	}
	c.expectClosed()
	r.stop()
	if len(hub.states) != 0 || len(hub.messages) != 0 {
		t.Errorf("states %v and %d messages of a device that was never connected", hub.states, len(hub.messages))
	}
}

// Mochi would log packets whole.
func TestNoSecretIsLogged(t *testing.T) {
	var log safeBuffer
	hub := &fakeHub{}
	r := start(t, hub, func(c *Config) {
		c.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	const token = "SharedAccessSignature sr=x&sig=hidden"
	for _, p := range []connectPacket{{id: "d1", password: token}, {id: "d1", password: token, level: 3}, {password: token}} {
		c := r.tls(t)
		c.send(p.encode())
		_, _ = c.read()
	}
	c := r.raw(t, "d1")
	c.send(connectPacket{id: "d1", password: token}.encode())
	c.expectClosed()
	c = r.raw(t, "d1")
	c.send(publishPacket("hello", "hidden", 0, 0, 0))
	c.expectClosed()
	r.stop()
	if text := log.String(); strings.Contains(text, "hidden") || strings.Contains(text, "secret") || !strings.Contains(text, "device refused") {
		t.Errorf("the log says:\n%s", text)
	}
}

type safeBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// A panic while one device is served ends that connection and no other.
func TestPanicEndsOneConnection(t *testing.T) {
	hub := &fakeHub{telemetry: func(string, iothub.Message) error { panic("a defect") }}
	r := start(t, hub)
	other := r.raw(t, "d2")
	c := r.raw(t, "d1")
	c.send(publishPacket("devices/d1/messages/events/", "x", 0, 0, 0))
	c.expectClosed()
	hub.awaitStates(t, "+d2", "+d1", "-d1")
	other.ping()
	r.raw(t, "d1")
}
