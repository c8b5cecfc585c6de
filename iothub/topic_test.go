package iothub

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTopics(t *testing.T) {
	events := func(id string, p Properties) Topic { return Topic{Kind: TopicEvents, DeviceID: id, Properties: p} }
	for _, test := range []struct {
		topic string
		want  Topic
		again string // what String gives, where it is not the same
	}{
		// Telemetry, in the forms that clients send.
		{"devices/d1/messages/events/", events("d1", Properties{}), ""},
		{"devices/d1/messages/events", events("d1", Properties{}), "devices/d1/messages/events/"},
		{"devices/d1/messages/events/a=1", events("d1", Properties{"a": "1"}), ""},
		{"devices/d1/messages/events/?a=1", events("d1", Properties{"a": "1"}), "devices/d1/messages/events/a=1"},
		{"devices/d1/messages/events/a=1/", events("d1", Properties{"a": "1"}), "devices/d1/messages/events/a=1"},
		{
			"devices/d1/messages/events/%24.ct=application%2Fjson&%24.ce=utf-8", events("d1", Properties{"$.ct": "application/json", "$.ce": "utf-8"}),
			"devices/d1/messages/events/%24.ce=utf-8&%24.ct=application%2Fjson",
		},
		{
			"devices/d1/messages/events/$.mid=m-1&a%20b=c%26d&e=1%2B1%3D2", events("d1", Properties{"$.mid": "m-1", "a b": "c&d", "e": "1+1=2"}),
			"devices/d1/messages/events/%24.mid=m-1&a%20b=c%26d&e=1%2B1%3D2",
		},
		{"devices/-:.%_*?!(),=@;$'/messages/events/", events("-:.%_*?!(),=@;$'", Properties{}), ""},

		// The twin.
		{"$iothub/twin/GET/?$rid=1", Topic{Kind: TopicTwinGet, RequestID: "1"}, ""},
		{
			"$iothub/twin/GET/?$rid=06d0e3cd-5ba7-4d04-8f4a-fc5a0b3e4b17",
			Topic{Kind: TopicTwinGet, RequestID: "06d0e3cd-5ba7-4d04-8f4a-fc5a0b3e4b17"},
			"",
		},
		{"$iothub/twin/PATCH/properties/reported/?$rid=2", Topic{Kind: TopicReported, RequestID: "2"}, ""},
		{"$iothub/twin/PATCH/properties/reported/?$rid=2&$version=7", Topic{Kind: TopicReported, RequestID: "2", Version: 7, HasVersion: true}, ""},
		{"$iothub/twin/res/200/?$rid=1", Topic{Kind: TopicTwinResponse, Status: 200, RequestID: "1"}, ""},
		{"$iothub/twin/res/204/?$rid=2&$version=6", Topic{Kind: TopicTwinResponse, Status: 204, RequestID: "2", Version: 6, HasVersion: true}, ""},
		{
			"$iothub/twin/res/204/?$version=6&$rid=2",
			Topic{Kind: TopicTwinResponse, Status: 204, RequestID: "2", Version: 6, HasVersion: true},
			"$iothub/twin/res/204/?$rid=2&$version=6",
		},
		{"$iothub/twin/res/429/?$rid=3", Topic{Kind: TopicTwinResponse, Status: 429, RequestID: "3"}, ""},
		{"$iothub/twin/PATCH/properties/desired/?$version=12", Topic{Kind: TopicDesired, Version: 12, HasVersion: true}, ""},
		{"$iothub/twin/PATCH/properties/desired/?$version=0", Topic{Kind: TopicDesired, HasVersion: true}, ""},
		{"$iothub/twin/PATCH/properties/desired/", Topic{Kind: TopicDesired}, ""},

		// Direct methods.
		{"$iothub/methods/POST/lockDoor/?$rid=1", Topic{Kind: TopicMethodRequest, Method: "lockDoor", RequestID: "1"}, ""},
		{"$iothub/methods/POST/component*command/?$rid=aF", Topic{Kind: TopicMethodRequest, Method: "component*command", RequestID: "aF"}, ""},
		{"$iothub/methods/res/200/?$rid=aF", Topic{Kind: TopicMethodResponse, Status: 200, RequestID: "aF"}, ""},
		{"$iothub/methods/res/-1/?$rid=1", Topic{Kind: TopicMethodResponse, Status: -1, RequestID: "1"}, ""},
		{"$iothub/methods/res/0/?$rid=1", Topic{Kind: TopicMethodResponse, RequestID: "1"}, ""},

		// Request ids are opaque; other parts of the query are passed over.
		{"$iothub/twin/GET/?$rid=a=b%20c/?", Topic{Kind: TopicTwinGet, RequestID: "a=b%20c/?"}, ""},
		{"$iothub/twin/GET/?%24rid=1", Topic{Kind: TopicTwinGet, RequestID: "1"}, "$iothub/twin/GET/?$rid=1"},
		{"$iothub/twin/GET/?x&y=1&$rid=1&", Topic{Kind: TopicTwinGet, RequestID: "1"}, "$iothub/twin/GET/?$rid=1"},
	} {
		got, err := ParseTopic(test.topic)
		if err != nil {
			t.Errorf("%s: %v", test.topic, err)
			continue
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", test.topic, diff)
		}
		again := test.again
		if again == "" {
			again = test.topic
		}
		if text := got.String(); text != again {
			t.Errorf("%s is written as %s", test.topic, text)
		}
	}
}

func TestWrongTopics(t *testing.T) {
	for _, topic := range []string{
		"", "/", "x", "$iothub", "$iothub/", "$SYS/broker", "$iothub/twin/GET", "$iothub/twin/POST/?$rid=1", "$IOTHUB/twin/GET/?$rid=1",
		"$iothub/twin/GET/", "$iothub/twin/GET/?", "$iothub/twin/GET/?$rid", "$iothub/twin/GET/?$rid=", "$iothub/twin/GET/?rid=1",
		"$iothub/twin/PATCH/properties/reported/", "$iothub/twin/PATCH/properties/reported/?$version=1",
		"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=", "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=-1",
		"$iothub/twin/PATCH/properties/reported/?$rid=1&$version=x", "$iothub/twin/PATCH/properties/reported/?$rid=1&$version=+1",
		"$iothub/twin/PATCH/properties/desired/?$version=9223372036854775808", "$iothub/twin/PATCH/properties/desired/?$version=1.0",
		"$iothub/twin/res/", "$iothub/twin/res//?$rid=1", "$iothub/twin/res/200", "$iothub/twin/res/2xx/?$rid=1", "$iothub/twin/res/200?$rid=1",
		"$iothub/methods/res/OK/?$rid=1", "$iothub/methods/res/4294967296/?$rid=1", "$iothub/methods/res/200/", "$iothub/methods/res/2e2/?$rid=1",
		"$iothub/methods/POST/", "$iothub/methods/POST/m", "$iothub/methods/POST/m/", "$iothub/methods/POST//?$rid=1",
		"$iothub/methods/POST/a b/?$rid=1", "$iothub/methods/POST/m?$rid=1", "$iothub/methods/POST/a/b/?$rid",
		"devices/", "devices//messages/events/", "devices/d", "devices/d/", "devices/d/messages/devicebound/", "devices/d/messages/eventsx",
		"devices/d/modules/m/messages/events/", "devices/a b/messages/events/", "devices/a+b/messages/events/", "devices/ä/messages/events/",
		"devices/d/messages/events/=x", "devices/d/messages/events/a=%", "devices/d/messages/events/%zz=1", "devices/d/messages/events/a=%ff",
	} {
		if got, err := ParseTopic(topic); err == nil {
			t.Errorf("%q is accepted: %+v", topic, got)
		} else if diff := cmp.Diff(Topic{}, got); diff != "" {
			t.Errorf("%q is refused with %+v", topic, got)
		}
	}
}

func TestUnknownTopicKind(t *testing.T) {
	if text := (Topic{}).String(); text != "" {
		t.Errorf("the zero topic: %q", text)
	}
	if filter := FilterDevicebound("d1"); filter != "devices/d1/messages/devicebound/#" {
		t.Error(filter)
	}
}

func TestPropertyBags(t *testing.T) {
	for _, test := range []struct {
		bag   string
		want  Properties
		again string
	}{
		{"", Properties{}, ""},
		{"a=1&b=2", Properties{"a": "1", "b": "2"}, "a=1&b=2"},
		{"b=2&a=1", Properties{"a": "1", "b": "2"}, "a=1&b=2"},
		{"a", Properties{"a": ""}, "a="},
		{"a=", Properties{"a": ""}, "a="},
		{"a=b=c", Properties{"a": "b=c"}, "a=b%3Dc"},
		{"A=1&a=2", Properties{"A": "1", "a": "2"}, "A=1&a=2"},
		{"a=1&a=2", Properties{"a": "2"}, "a=2"},
		{"$.ct=x&%24.ct=y", Properties{"$.ct": "y"}, "%24.ct=y"},
		{"a=1&", Properties{"a": "1"}, "a=1"},
		{"&a=1&&b", Properties{"a": "1", "b": ""}, "a=1&b="},
		{"a=1+1", Properties{"a": "1+1"}, "a=1%2B1"},
		{"a=1%201", Properties{"a": "1 1"}, "a=1%201"},
		{"%C3%A4=%F0%9F%98%80", Properties{"ä": "😀"}, "%C3%A4=%F0%9F%98%80"},
		{"ä=/", Properties{"ä": "/"}, "%C3%A4=%2F"},
		{"a=-_.~!*'()", Properties{"a": "-_.~!*'()"}, "a=-_.~%21%2A%27%28%29"},
		{"a=%00", Properties{"a": "\x00"}, "a=%00"},
	} {
		got, err := ParseProperties(test.bag)
		if diff := cmp.Diff(test.want, got); err != nil || diff != "" {
			t.Errorf("%q: error %v %s", test.bag, err, diff)
		}
		if text := got.Encode(); text != test.again {
			t.Errorf("%q is written as %q", test.bag, text)
		}
	}
	for _, bag := range []string{"=", "=1", "a=1&=2", "%=1", "a=%", "a=%2", "a=%g0", "a=%ff", "%c3=1", "a=\xff"} {
		if got, err := ParseProperties(bag); err == nil || got != nil {
			t.Errorf("%q gives %v, error %v", bag, got, err)
		}
	}
	if text := Properties(nil).Encode(); text != "" {
		t.Errorf("no properties: %q", text)
	}
}

func TestIdentifiers(t *testing.T) {
	all := func(from, to rune) string {
		var b strings.Builder
		for r := from; r <= to; r++ {
			b.WriteRune(r)
		}
		return b.String()
	}
	letters := all('a', 'z') + all('A', 'Z') + all('0', '9')
	for _, test := range []struct {
		name       string
		check      func(string) error
		characters string // each is allowed
		longest    int
		refused    []string
	}{
		{"device id", CheckDeviceID, letters + "-:.%_*?!(),=@;$'", 128, []string{".", ".."}},
		{"method name", CheckMethodName, letters + "!%&'*-.^_`|~", 128, nil},
		{"job id", CheckJobID, letters + "-", 64, nil},
	} {
		for r := rune(0); r < 0x180; r++ {
			text := "x" + string(r)
			if err := test.check(text); (err == nil) != strings.ContainsRune(test.characters, r) {
				t.Errorf("%s %q: %v", test.name, text, err)
			}
		}
		for text, ok := range map[string]bool{
			"":                                  false,
			"x":                                 true,
			"x\xff":                             false,
			"x\u2028":                           false,
			strings.Repeat("x", test.longest):   true,
			strings.Repeat("x", test.longest+1): false,
			strings.Repeat("ä", test.longest/2): false,
		} {
			if err := test.check(text); (err == nil) != ok {
				t.Errorf("%s %q: %v", test.name, text, err)
			}
		}
		for _, text := range test.refused {
			if test.check(text) == nil {
				t.Errorf("%s %q is accepted", test.name, text)
			}
		}
	}
}
