package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"latchd/internal/atomicfile"
	"latchd/iothub"
)

// What a hub's directory holds. All of it is private to the hub's user: keys
// lie in most of these files.
const (
	configFile    = "hub.json"
	caFile        = "ca.pem" // what clients must trust
	caKeyFile     = "ca-key.pem"
	serverFile    = "server.pem"
	serverKeyFile = "server-key.pem"
	databaseFile  = "hub.db"
	lockFile      = "lock"
	endpointsFile = "endpoints.json"

	privateFile      os.FileMode = 0o600
	privateDirectory os.FileMode = 0o700
)

// configFormat is the format of hub.json.
const configFormat = 1

// config is hub.json: who the hub is.
type config struct {
	Format   int                  `json:"format"`
	Names    []string             `json:"names"`    // host names and addresses, the first one first
	Policies map[string]policyKey `json:"policies"` // by name
}

type policyKey struct {
	PrimaryKey   string `json:"primaryKey"`
	SecondaryKey string `json:"secondaryKey"`
}

// endpoints is endpoints.json: where the hub listens, or last did.
type endpoints struct {
	MQTT  string `json:"mqtt"`
	HTTPS string `json:"https"`
}

// ErrNoHub says that a directory holds no hub yet.
var ErrNoHub = errors.New("there is no hub in this directory (latchhub init makes one)")

// ErrInUse says that another process serves or changes the hub in a directory.
var ErrInUse = errors.New("another latchhub is using this directory")

func readConfig(dir string) (config, error) {
	var c config
	path := filepath.Join(dir, configFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s: %w", dir, ErrNoHub)
	}
	if err != nil {
		return c, fmt.Errorf("read the hub's configuration: %w", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read %s: %w", path, err)
	}
	if c.Format > configFormat {
		return c, fmt.Errorf("read %s: it has format %d and this latchhub knows formats up to %d: it was written by a newer latchhub", path, c.Format, configFormat)
	}
	if len(c.Names) == 0 {
		return c, fmt.Errorf("read %s: it has no names", path)
	}
	return c, nil
}

func (c config) write(dir string) error { return writeJSON(filepath.Join(dir, configFile), c) }

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, append(text, '\n'), privateFile)
}

// policies reads the keys of the configuration.
func (c config) policies() (map[string]policy, error) {
	all := make(map[string]policy, len(policyRights))
	for name, rights := range policyRights {
		primary, err1 := iothub.ParseKey(c.Policies[name].PrimaryKey)
		secondary, err2 := iothub.ParseKey(c.Policies[name].SecondaryKey)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("policy %s in %s: %w", name, configFile, err)
		}
		all[name] = policy{primary, secondary, rights}
	}
	return all, nil
}

// DefaultHTTPSPort is the port of the service API unless told otherwise.
const DefaultHTTPSPort = "8443"

// ConnectionString gives the connection string of a policy for operators on
// this machine, with the port on which the hub in dir listens or last did. It
// holds the policy's key.
func ConnectionString(dir, policyName string) (string, error) {
	c, err := readConfig(dir)
	if err != nil {
		return "", err
	}
	all, err := c.policies()
	if err != nil {
		return "", err
	}
	p, ok := all[policyName]
	if !ok {
		return "", fmt.Errorf("there is no policy %q (there are iothubowner, service, device, registryRead and registryReadWrite)", policyName)
	}
	port := DefaultHTTPSPort
	if text, err := os.ReadFile(filepath.Join(dir, endpointsFile)); err == nil {
		var e endpoints
		if err := json.Unmarshal(text, &e); err != nil {
			return "", fmt.Errorf("read %s: %w", endpointsFile, err)
		}
		if _, port, err = net.SplitHostPort(e.HTTPS); err != nil {
			return "", fmt.Errorf("read %s: %w", endpointsFile, err)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read where the hub listens: %w", err)
	}
	host := localName
	if port != "443" {
		host = net.JoinHostPort(host, port)
	}
	return iothub.ConnectionString{HostName: host, SharedAccessKeyName: policyName, SharedAccessKey: p.primary}.Reveal(), nil
}
