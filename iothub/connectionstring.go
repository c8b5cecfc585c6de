package iothub

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// ConnectionString names one end of the wire and how it proves itself: a
// device ("HostName=…;DeviceId=…;SharedAccessKey=…" or "…;x509=true") or a
// policy of the service side ("HostName=…;SharedAccessKeyName=…;
// SharedAccessKey=…").
//
// HostName may carry a port ("localhost:18883"), as the Node SDK accepts for
// devices and the Python SDK for the service; without one the standard port
// of the protocol is meant.
type ConnectionString struct {
	HostName            string
	GatewayHostName     string // where to dial instead of HostName; HostName stays the identity
	DeviceID            string
	SharedAccessKeyName string // the policy, service side
	SharedAccessKey     Key
	X509                bool // proves itself by a client certificate
}

// ParseDeviceConnectionString reads the connection string of a device. The
// error names the key that is missing or wrong, and never repeats a value
// that could be a secret.
func ParseDeviceConnectionString(text string) (ConnectionString, error) {
	c, err := parseConnectionString(text)
	if err != nil {
		return ConnectionString{}, fmt.Errorf("device connection string: %w", err)
	}
	switch {
	case c.DeviceID == "" && c.SharedAccessKeyName != "":
		err = errors.New("DeviceId is missing and SharedAccessKeyName is present: this is a service connection string, a device needs its own")
	case c.DeviceID == "":
		err = errors.New("DeviceId is missing")
	case c.X509 && !c.SharedAccessKey.IsZero():
		err = errors.New("x509=true and SharedAccessKey exclude each other")
	case c.X509 && c.SharedAccessKeyName != "":
		err = errors.New("x509=true and SharedAccessKeyName exclude each other")
	case !c.X509 && c.SharedAccessKey.IsZero():
		err = errors.New("SharedAccessKey is missing (or x509=true for a device with a certificate)")
	default:
		err = CheckDeviceID(c.DeviceID)
	}
	if err != nil {
		return ConnectionString{}, fmt.Errorf("device connection string: %w", err)
	}
	return c, nil
}

// ParseServiceConnectionString reads the connection string of a shared-access
// policy.
func ParseServiceConnectionString(text string) (ConnectionString, error) {
	c, err := parseConnectionString(text)
	if err != nil {
		return ConnectionString{}, fmt.Errorf("service connection string: %w", err)
	}
	switch {
	case c.DeviceID != "":
		err = errors.New("DeviceId is present: this is a device's connection string, the service side needs one with SharedAccessKeyName (for Azure: az iot hub connection-string show)")
	case c.X509:
		err = errors.New("x509=true is for devices, the service side needs SharedAccessKeyName and SharedAccessKey")
	case c.SharedAccessKeyName == "":
		err = errors.New("SharedAccessKeyName is missing")
	case c.SharedAccessKey.IsZero():
		err = errors.New("SharedAccessKey is missing")
	}
	if err != nil {
		return ConnectionString{}, fmt.Errorf("service connection string: %w", err)
	}
	return c, nil
}

// maxConnectionString bounds what is parsed; real ones are under 400 bytes.
const maxConnectionString = 4096

func parseConnectionString(text string) (ConnectionString, error) {
	var c ConnectionString
	text = strings.TrimSpace(text)
	if text == "" {
		return c, errors.New("it is empty")
	}
	if len(text) > maxConnectionString {
		return c, fmt.Errorf("it is longer than %d bytes", maxConnectionString)
	}
	seen := map[string]bool{}
	for i, part := range strings.Split(strings.TrimSuffix(text, ";"), ";") {
		// Split at the first "=" only: keys end in "=" padding.
		name, value, ok := strings.Cut(part, "=")
		if !ok {
			return c, fmt.Errorf("part %d has no '=' (parts are Name=Value, joined by ';')", i+1)
		}
		if err := checkName(name, i+1); err != nil {
			return c, err
		}
		if seen[name] {
			return c, fmt.Errorf("%s is given twice", name)
		}
		seen[name] = true
		if value == "" {
			return c, fmt.Errorf("%s is empty", name)
		}
		if err := c.set(name, value); err != nil {
			return c, fmt.Errorf("%s: %w", name, err)
		}
	}
	if c.HostName == "" {
		return c, errors.New("HostName is missing")
	}
	return c, nil
}

func (c *ConnectionString) set(name, value string) (err error) {
	switch name {
	case "HostName":
		c.HostName, err = value, checkHost(value)
	case "GatewayHostName":
		c.GatewayHostName, err = value, checkHost(value)
	case "DeviceId":
		c.DeviceID = value
	case "SharedAccessKeyName":
		c.SharedAccessKeyName, err = value, checkPolicyName(value)
	case "SharedAccessKey":
		c.SharedAccessKey, err = ParseKey(value)
	case "x509":
		if !strings.EqualFold(value, "true") {
			err = errors.New("the only value it can have is true")
		}
		c.X509 = true
	case "ModuleId":
		err = errors.New("module identities are not supported")
	case "SharedAccessSignature":
		err = errors.New("ready-made tokens are not supported, because they expire: give the SharedAccessKey")
	case "Endpoint", "EntityPath":
		err = errors.New("this is an Event Hubs connection string, not one of IoT Hub")
	}
	return err
}

// The names that can stand before an "=": those that we read, and those of
// other connection strings, which get an error of their own.
var (
	partNames  = []string{"HostName", "DeviceId", "SharedAccessKey", "SharedAccessKeyName", "GatewayHostName", "x509"}
	otherNames = []string{"ModuleId", "SharedAccessSignature", "Endpoint", "EntityPath"}
)

// checkName tells whether a part has a name we know. It never repeats a name
// that it does not: half a key in the wrong place looks like one.
func checkName(name string, number int) error {
	for _, known := range slices.Concat(partNames, otherNames) {
		if name == known {
			return nil
		}
		if strings.EqualFold(name, known) {
			return fmt.Errorf("part %d is spelled wrong: its name is %s, upper and lower case count", number, known)
		}
	}
	return fmt.Errorf("part %d has an unknown name (known are %s)", number, strings.Join(partNames, ", "))
}

func checkHost(text string) error {
	host, port := SplitHostPort(text)
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case strings.Contains(text, "/"):
		return errors.New("give the name alone, without https:// or a path")
	case port != "" && (err != nil || n == 0), port == "" && strings.HasSuffix(text, ":") && net.ParseIP(text) == nil:
		return errors.New("the port is not a number from 1 to 65535")
	case net.ParseIP(host) != nil:
		return nil
	case strings.HasPrefix(text, "["):
		return errors.New("only an IPv6 address can stand in brackets")
	case host == "" || len(host) > 253:
		return errors.New("the host name is empty or longer than 253 characters")
	}
	for _, r := range host {
		if !isAlphanumeric(r) && !strings.ContainsRune("-._", r) {
			return fmt.Errorf("%q cannot be part of a host name", r)
		}
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("a label between the dots of the host name is empty, longer than 63 characters or has a dash at an end")
		}
	}
	return nil
}

func checkPolicyName(name string) error {
	if len(name) > 64 {
		return errors.New("the policy name is longer than 64 characters")
	}
	for _, r := range name {
		if !isAlphanumeric(r) && !strings.ContainsRune("-._", r) {
			return fmt.Errorf("%q cannot be part of a policy name", r)
		}
	}
	return nil
}

// SplitHostPort splits "host", "host:port", "v6", "[v6]" and "[v6]:port"; the
// port is "" where there is none. The host comes without brackets. Neither
// part is checked.
func SplitHostPort(text string) (host, port string) {
	if h, p, err := net.SplitHostPort(text); err == nil {
		return h, p
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); ok {
			return inner, ""
		}
	}
	return text, ""
}

// DialAddress is the host and port to connect to: the gateway where there is
// one, with the given standard port where the name carries none.
func (c ConnectionString) DialAddress(standardPort string) (host, port string) {
	name := c.HostName
	if c.GatewayHostName != "" {
		name = c.GatewayHostName
	}
	host, port = SplitHostPort(name)
	if port == "" {
		port = standardPort
	}
	return host, port
}

// String gives the connection string with its key hidden, for messages.
func (c ConnectionString) String() string { return c.text(hidden) }

// Reveal gives the whole connection string, key included: for the operator
// who asked for it or a 0600 file, nowhere else.
func (c ConnectionString) Reveal() string { return c.text(c.SharedAccessKey.Reveal()) }

func (c ConnectionString) text(key string) string {
	var b strings.Builder
	add := func(name, value string) {
		if value == "" {
			return
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		}
		b.WriteString(name + "=" + value)
	}
	add("HostName", c.HostName)
	add("DeviceId", c.DeviceID)
	add("SharedAccessKeyName", c.SharedAccessKeyName)
	if !c.SharedAccessKey.IsZero() {
		add("SharedAccessKey", key)
	}
	if c.X509 {
		add("x509", "true")
	}
	add("GatewayHostName", c.GatewayHostName)
	return b.String()
}
