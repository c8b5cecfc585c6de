package iothub

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const sasPrefix = "SharedAccessSignature "

// SAS is a shared access signature: proof, until Expiry, that its holder has
// the key for Resource.
//
//	SharedAccessSignature sr=hub%2Fdevices%2Fd1&sig=…&se=1900000000[&skn=policy]
type SAS struct {
	Resource string    // decoded: "host", "host/devices/d1", …
	Policy   string    // skn: the policy whose key signed; "" for a device's own key
	Expiry   time.Time // se: whole seconds

	// signedBy checks the signature; nil in the zero SAS. It is a function so
	// that no way of printing shows the token, which is a password until Expiry.
	signedBy func(Key) bool
}

// DeviceResource is what a device's token is about.
func DeviceResource(host, deviceID string) string { return host + "/devices/" + deviceID }

// NewSAS signs a token for resource ("host/devices/d1", or "host" for the
// service). Expiry is cut to whole seconds.
func NewSAS(key Key, resource string, expiry time.Time, policy string) string {
	encoded := encodeComponent(resource)
	se := strconv.FormatInt(expiry.Unix(), 10)
	sig := base64.StdEncoding.EncodeToString(key.Sign(encoded + "\n" + se))
	token := sasPrefix + "sr=" + encoded + "&sig=" + encodeComponent(sig) + "&se=" + se
	if policy != "" {
		token += "&skn=" + encodeComponent(policy)
	}
	return token
}

// ParseSAS reads a token. It checks the form, not the signature. The error
// never repeats the token.
func ParseSAS(token string) (SAS, error) {
	rest, ok := strings.CutPrefix(token, sasPrefix)
	if !ok {
		return SAS{}, errors.New("the token does not begin with SharedAccessSignature")
	}
	const longest = 4096 // real ones are under 500 bytes
	if len(rest) > longest {
		return SAS{}, fmt.Errorf("the token is longer than %d bytes", longest)
	}
	fields := map[string]string{}
	for _, field := range strings.Split(rest, "&") {
		name, value, ok := strings.Cut(field, "=")
		if !ok {
			return SAS{}, errors.New("the token has a field without '='")
		}
		if _, twice := fields[name]; twice {
			return SAS{}, errors.New("the token has a field twice")
		}
		fields[name] = value
	}
	var s SAS
	var err error
	if s.Resource, err = url.PathUnescape(fields["sr"]); err != nil || s.Resource == "" {
		return SAS{}, errors.New("the token's sr (resource) is missing or malformed")
	}
	if s.Policy, err = url.PathUnescape(fields["skn"]); err != nil {
		return SAS{}, errors.New("the token's skn (policy) is malformed")
	}
	// PathUnescape, because "+" in a signature is a plus, not a space.
	sig, err := url.PathUnescape(fields["sig"])
	if err != nil {
		return SAS{}, errors.New("the token's sig (signature) is malformed")
	}
	signature, err := base64.StdEncoding.DecodeString(sig)
	if err != nil || len(signature) == 0 {
		return SAS{}, errors.New("the token's sig (signature) is missing or malformed")
	}
	se, err := strconv.ParseInt(fields["se"], 10, 64)
	// One spelling only ("+5" and "05" are others), because it is signed.
	if err != nil || se < 0 || se > maxUnixSeconds || strconv.FormatInt(se, 10) != fields["se"] {
		return SAS{}, errors.New("the token's se (expiry) is missing or not a time in whole seconds")
	}
	s.Expiry = time.Unix(se, 0).UTC()
	// sr exactly as it was received: clients differ in how they encode it (%2F
	// and %2f).
	signed := fields["sr"] + "\n" + fields["se"]
	s.signedBy = func(key Key) bool { return key.Verify(signed, signature) }
	return s, nil
}

// maxUnixSeconds is the end of the year 9999, past which RFC 3339 has no text.
const maxUnixSeconds = 253402300799

// SignedBy tells whether one of the keys made the token.
func (s SAS) SignedBy(keys ...Key) bool {
	return s.signedBy != nil && slices.ContainsFunc(keys, s.signedBy)
}

// ExpiredAt tells whether the token is no longer good at the given time.
func (s SAS) ExpiredAt(now time.Time) bool { return !s.Expiry.After(now) }

// Host is the host part of the resource, with its port if it has one.
func (s SAS) Host() string {
	host, _, _ := strings.Cut(s.Resource, "/")
	return host
}

// Covers tells whether the token's scope includes path ("devices/d1",
// "twins/d1/methods"; "" is the whole hub). Scopes are prefixes by segment:
// "host/devices/d1" covers "devices/d1/files" but not "devices/d10"; "host"
// covers all. The host is the caller's to compare. Old portal tokens are for
// "host/devices/d1/api-version=…"; that last segment says nothing about the
// scope.
func (s SAS) Covers(path string) bool {
	_, scope, _ := strings.Cut(s.Resource, "/")
	have := splitPath(scope)
	// Only there: "api-version=1" is also a fine device id.
	if len(have) == 3 && have[0] == "devices" && strings.HasPrefix(have[2], "api-version=") {
		have = have[:2]
	}
	want := splitPath(path)
	if len(have) > len(want) {
		return false
	}
	for i := range have {
		if have[i] != want[i] {
			return false
		}
	}
	return true
}

func splitPath(path string) []string {
	path = strings.Trim(path, "/")
	if path == "" {
		return nil
	}
	return strings.Split(path, "/")
}

// encodeComponent percent-encodes as JavaScript's encodeURIComponent does for
// what occurs here: everything but letters, digits and -_.~ (space is %20,
// never "+").
func encodeComponent(text string) string {
	return strings.ReplaceAll(url.QueryEscape(text), "+", "%20")
}
