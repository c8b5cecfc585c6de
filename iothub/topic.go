package iothub

import (
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The filters a device subscribes to. No others exist (Learn, "MQTT support":
// the hub is not a general broker).
const (
	FilterMethods = "$iothub/methods/POST/#"
	FilterTwinRes = "$iothub/twin/res/#"
	FilterDesired = "$iothub/twin/PATCH/properties/desired/#"
)

// FilterDevicebound is the filter for messages to this device.
func FilterDevicebound(deviceID string) string {
	return "devices/" + deviceID + "/messages/devicebound/#"
}

// TopicKind says what a topic is for.
type TopicKind int

const (
	TopicEvents         TopicKind = iota + 1 // device → hub: telemetry
	TopicTwinGet                             // device → hub: give me the twin
	TopicReported                            // device → hub: merge patch for the reported section
	TopicMethodResponse                      // device → hub: answer to a direct method
	TopicTwinResponse                        // hub → device: answer to TopicTwinGet or TopicReported
	TopicDesired                             // hub → device: desired properties changed
	TopicMethodRequest                       // hub → device: a direct method
)

// Topic is a topic taken apart. Which fields count depends on Kind.
type Topic struct {
	Kind       TopicKind
	DeviceID   string     // TopicEvents
	Method     string     // TopicMethodRequest
	Status     int        // TopicTwinResponse, TopicMethodResponse
	RequestID  string     // $rid, verbatim; opaque to the side that did not choose it
	Version    int64      // $version where HasVersion
	HasVersion bool       //
	Properties Properties // TopicEvents
}

// String gives the topic its text.
func (t Topic) String() string {
	switch t.Kind {
	case TopicEvents:
		return "devices/" + t.DeviceID + "/messages/events/" + t.Properties.Encode()
	case TopicTwinGet:
		return "$iothub/twin/GET/" + t.query()
	case TopicReported:
		return "$iothub/twin/PATCH/properties/reported/" + t.query()
	case TopicMethodResponse:
		return "$iothub/methods/res/" + strconv.Itoa(t.Status) + "/" + t.query()
	case TopicTwinResponse:
		return "$iothub/twin/res/" + strconv.Itoa(t.Status) + "/" + t.query()
	case TopicDesired:
		return "$iothub/twin/PATCH/properties/desired/" + t.query()
	case TopicMethodRequest:
		return "$iothub/methods/POST/" + t.Method + "/" + t.query()
	}
	return ""
}

func (t Topic) query() string {
	var parts []string
	if t.RequestID != "" {
		parts = append(parts, "$rid="+t.RequestID)
	}
	if t.HasVersion {
		parts = append(parts, "$version="+strconv.FormatInt(t.Version, 10))
	}
	if len(parts) == 0 {
		return ""
	}
	return "?" + strings.Join(parts, "&")
}

// ParseTopic takes apart any topic of the device wire, in either direction.
// The error says what is wrong with it; a hub closes the connection then.
func ParseTopic(topic string) (Topic, error) {
	if rest, ok := strings.CutPrefix(topic, "devices/"); ok {
		return parseEvents(rest)
	}
	for _, form := range []struct {
		prefix string
		parse  func(rest string) (Topic, error)
	}{
		{"$iothub/twin/GET/", func(rest string) (Topic, error) { return parseQuery(Topic{Kind: TopicTwinGet}, rest, true) }},
		{"$iothub/twin/PATCH/properties/reported/", func(rest string) (Topic, error) { return parseQuery(Topic{Kind: TopicReported}, rest, true) }},
		{"$iothub/twin/PATCH/properties/desired/", func(rest string) (Topic, error) { return parseQuery(Topic{Kind: TopicDesired}, rest, false) }},
		{"$iothub/twin/res/", func(rest string) (Topic, error) { return parseStatus(TopicTwinResponse, rest) }},
		{"$iothub/methods/res/", func(rest string) (Topic, error) { return parseStatus(TopicMethodResponse, rest) }},
		{"$iothub/methods/POST/", parseMethod},
	} {
		if rest, ok := strings.CutPrefix(topic, form.prefix); ok {
			return form.parse(rest)
		}
	}
	return Topic{}, errors.New("not a topic of IoT Hub")
}

func parseStatus(kind TopicKind, rest string) (Topic, error) {
	status, query, _ := strings.Cut(rest, "/")
	n, err := strconv.ParseInt(status, 10, 32) // the device may choose any integer, negative ones too
	if err != nil {
		return Topic{}, errors.New("the status in the topic is not an integer")
	}
	return parseQuery(Topic{Kind: kind, Status: int(n)}, query, true)
}

func parseMethod(rest string) (Topic, error) {
	name, query, ok := strings.Cut(rest, "/")
	if !ok {
		return Topic{}, errors.New("the method topic has no request id")
	}
	if err := CheckMethodName(name); err != nil {
		return Topic{}, err
	}
	return parseQuery(Topic{Kind: TopicMethodRequest, Method: name}, query, true)
}

// parseQuery reads "?$rid=…&$version=…", in any order; unknown parts are
// ignored, as the SDKs do.
func parseQuery(t Topic, query string, needsID bool) (Topic, error) {
	query = strings.TrimPrefix(query, "?")
	for _, part := range strings.Split(query, "&") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.Replace(name, "%24", "$", 1) {
		case "$rid":
			t.RequestID = value
		case "$version":
			n, err := strconv.ParseUint(value, 10, 63)
			if err != nil {
				return Topic{}, errors.New("the $version in the topic is not a version")
			}
			t.Version, t.HasVersion = int64(n), true
		}
	}
	if needsID && t.RequestID == "" {
		return Topic{}, errors.New("the topic has no $rid")
	}
	return t, nil
}

func parseEvents(rest string) (Topic, error) {
	id, rest, _ := strings.Cut(rest, "/")
	if err := CheckDeviceID(id); err != nil {
		return Topic{}, err
	}
	bag, ok := strings.CutPrefix(rest, "messages/events")
	if !ok || bag != "" && bag[0] != '/' {
		return Topic{}, errors.New("not a topic of IoT Hub")
	}
	// Seen in the wild: no slash, "?" before the bag, "/" after it.
	bag = strings.TrimPrefix(strings.Trim(bag, "/"), "?")
	properties, err := ParseProperties(bag)
	if err != nil {
		return Topic{}, err
	}
	return Topic{Kind: TopicEvents, DeviceID: id, Properties: properties}, nil
}

// Properties are the properties of a message: the application's own, and the
// system's under their "$." names ("$.ct" content type, "$.mid" message id …).
// A property without a value reads as "".
type Properties map[string]string

// ParseProperties reads the bag at the end of a telemetry topic. A plus sign
// is a plus sign; a space comes as %20. Of two properties with one name the
// last counts. Text that is not UTF-8 is refused, as in [DecodeJSON].
func ParseProperties(bag string) (Properties, error) {
	p := Properties{}
	if bag == "" {
		return p, nil
	}
	for _, part := range strings.Split(bag, "&") {
		if part == "" { // a separator too many harms nobody
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		n, err1 := url.PathUnescape(name)
		v, err2 := url.PathUnescape(value)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("the property bag has a bad percent-encoding: %w", err)
		}
		if n == "" {
			return nil, errors.New("the property bag has a property without a name")
		}
		if !utf8.ValidString(n) || !utf8.ValidString(v) {
			return nil, errors.New("the property bag is not valid UTF-8")
		}
		p[n] = v
	}
	return p, nil
}

// Encode writes the bag, sorted by name so that it is always the same.
func (p Properties) Encode() string {
	var b strings.Builder
	for i, name := range slices.Sorted(maps.Keys(p)) {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(encodeComponent(name) + "=" + encodeComponent(p[name]))
	}
	return b.String()
}

// Message is one telemetry message.
type Message struct {
	Body       []byte
	Properties Properties
}

// MaxMessage is the largest telemetry message, in bytes: body and properties
// together (Learn, "Quotas").
const MaxMessage = 262144
