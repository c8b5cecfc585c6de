package iothub

import (
	"errors"
	"fmt"
	"net"
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
		if seen[name] {
			return c, fmt.Errorf("%s is given twice", name)
		}
		seen[name] = true
		if value == "" {
			return c, fmt.Errorf("%s is empty", printableName(name))
		}
		if err := c.set(name, value); err != nil {
			return c, err
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
	default:
		return fmt.Errorf("unknown part %s", printableName(name))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// printableName quotes the name of a part that is not one of ours. Half a
// key pasted in the wrong place would be such a name, so only what can be a
// name is shown.
func printableName(name string) string {
	const longestRealName = len("SharedAccessSignature")
	if len(name) > longestRealName {
		return "(too long to be a name)"
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') {
			return "(not a name)"
		}
	}
	return strconv.Quote(name)
}

func checkHost(text string) error {
	host, port := SplitHostPort(text)
	if port != "" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return fmt.Errorf("the port %q is not a number from 1 to 65535", port)
		}
	}
	if host == "" || len(host) > 253 {
		return errors.New("the host name is empty or longer than 253 characters")
	}
	if net.ParseIP(host) != nil {
		return nil
	}
	for _, r := range host {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_' {
			return fmt.Errorf("%q cannot be part of a host name (give the name alone, without https:// or a path)", r)
		}
	}
	return nil
}

func checkPolicyName(name string) error {
	if len(name) > 64 {
		return errors.New("the policy name is longer than 64 characters")
	}
	for _, r := range name {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '.' && r != '_' {
			return fmt.Errorf("%q cannot be part of a policy name", r)
		}
	}
	return nil
}

// SplitHostPort splits "host", "host:port", "[v6]" and "[v6]:port"; the port
// is "" where there is none. It does not check either part.
func SplitHostPort(text string) (host, port string) {
	if h, p, err := net.SplitHostPort(text); err == nil {
		return h, p
	}
	return strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"), ""
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
