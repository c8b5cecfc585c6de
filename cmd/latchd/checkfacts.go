package main

import (
	"context"
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"latchd/agent"
	"latchd/agent/health"
	"latchd/gpio"
	"latchd/internal/systemd"
	"latchd/iothub"
)

// diagnosis is what the self-checks are told. The first fields are known without a
// running service; what only the service knows is in alive, nil without one.
type diagnosis struct {
	configFile string
	config     config
	simulate   bool
	*alive
}

// alive is what the service knows of itself.
type alive struct {
	fault    string        // what keeps it from going by its configuration; "": nothing
	settings gpio.Settings // of the lock that is open
	door     agent.Door    // nil: there is no lock
	machine  machine
	clock    agent.Clock
	agent    *agent.Agent
	link     func() (up bool, lasts time.Duration, why error)
}

// facts gathers them, and waits for nothing.
func (d diagnosis) facts() health.Facts {
	f := health.Facts{
		UID: os.Geteuid(), GID: os.Getegid(),
		Configuration: d.configuration(),
		Credentials:   d.credentials,
		Hub:           d.hub,
		Door:          d.doorFacts(),
		Service:       health.Service{Simulated: d.simulate},
		StateDir:      absolute(d.config.State.Directory),
		Space:         spaceAt,
		Lockable:      lockable,
	}
	if !d.simulate {
		f.Chips, f.Line = gpio.Chips, inspect
	}
	if d.alive == nil {
		// Root looks at what is the service's: whose the state is, that is the service.
		var state unix.Stat_t
		if unix.Stat(f.StateDir, &state) == nil {
			f.UID, f.GID = int(state.Uid), int(state.Gid)
		}
		return f
	}
	d.addRunning(&f)
	return f
}

func (d diagnosis) addRunning(f *health.Facts) {
	f.Configuration.InUse = d.fault
	f.Service.Asked, f.Service.Managed = true, systemd.Managed()
	f.Now, f.Clock = d.clock.Now, d.clock.State
	f.CanReboot, f.Boots = d.machine.CanReboot, d.agent.Boots
	f.Unsaved = func(ctx context.Context) string {
		if d.door != nil {
			if why := d.door.Status().Unsaved; why != "" {
				return why
			}
		}
		return d.agent.Unsaved(ctx)
	}
	if logind, ok := d.machine.(interface {
		Inhibitors(context.Context) ([]string, error)
	}); ok {
		f.Inhibitors = logind.Inhibitors
	}
	if !d.simulate && systemd.Managed() {
		f.Service.Kept, f.RuntimeWatchdog = systemd.Stored, systemd.RuntimeWatchdog
	}
}

func (d diagnosis) configuration() health.Configuration {
	hub := d.config.Hub
	c := health.Configuration{
		File: absolute(d.configFile), Secret: hub.ConnectionString != "",
		Parse: func() error {
			_, err := loadConfig(d.configFile)
			return err
		},
	}
	for _, file := range []health.NamedFile{
		{Key: "hub.connection_string_file", Path: hub.ConnectionStringFile, Secret: true},
		{Key: "hub.ca_file", Path: hub.CAFile},
		{Key: "hub.certificate_file", Path: hub.CertificateFile},
		{Key: "hub.key_file", Path: hub.KeyFile, Secret: true},
	} {
		if file.Path != "" {
			file.Path = absolute(file.Path)
			c.Named = append(c.Named, file)
		}
	}
	return c
}

// absolute is a path that does not depend on where the program was started.
func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// hubConfig is where the credentials are: those that systemd shows to the service
// are in a directory of its own, which nobody else has.
func (d diagnosis) hubConfig() hubConfig {
	h := d.config.Hub
	if d.alive != nil || h.ConnectionString != "" || h.ConnectionStringFile != "" {
		return h
	}
	stored := func(name string) string {
		path := filepath.Join(plainDir, name)
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		return path
	}
	h.ConnectionStringFile = stored(connectionFile)
	h.CAFile = firstOf(h.CAFile, stored(caFile))
	if h.CertificateFile == "" && h.KeyFile == "" {
		h.CertificateFile, h.KeyFile = stored(certificateFile), stored(keyFile)
	}
	return h
}

func (d diagnosis) credentials() (health.Credentials, error) {
	found, err := findCredentials(d.hubConfig())
	switch {
	case err != nil:
		return health.Credentials{}, err
	case found.certificate == nil:
		return health.Credentials{Text: "a key for " + found.connection.DeviceID}, nil
	}
	return health.Credentials{
		X509: true, End: found.certificate.Leaf.NotAfter,
		Text: "a certificate for " + found.connection.DeviceID,
	}, nil
}

func (d diagnosis) hub() health.Hub {
	h := d.hubConfig()
	connection, err := connectionString(h)
	if err != nil {
		return health.Hub{} // the check credentials tells why
	}
	hub := health.Hub{}
	hub.Host, hub.Port = address(connection)
	if d.alive != nil {
		hub.Connection = func() (bool, error) {
			up, _, why := d.link()
			return up, why
		}
	}
	if found, err := findCredentials(h); err == nil {
		hub.TLS = found.tls(hub.Host)
	}
	return hub
}

// address is where the device connects to.
func address(c iothub.ConnectionString) (host, port string) {
	const mqttOverTLS = "8883"
	return c.DialAddress(mqttOverTLS)
}

// tls is how the device's client speaks TLS, for a connection that is looked at.
func (c credentials) tls(host string) *tls.Config {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: c.roots}
	if c.certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return c.certificate, nil }
	}
	return config
}

func (d diagnosis) doorFacts() *health.Door {
	settings := d.config.settings()
	if d.alive != nil {
		settings = d.settings
		if d.door == nil { // also where a wrong configuration names a line: it is left alone
			return nil
		}
	}
	w := settings.Wiring
	if w.Line == "" {
		return nil
	}
	door := &health.Door{
		Line: w.Line, LockedHigh: bool(settings.Level(true)), FailSafe: settings.FailMode == gpio.FailSafe,
		HardwareRelease: d.config.Door.HardwareRelease,
	}
	for _, in := range []struct {
		name   string
		wiring gpio.InputWiring
	}{{"contact", w.Contact}, {"bolt", w.Bolt}, {"button", w.Button}} {
		if in.wiring.Line != "" {
			door.Inputs = append(door.Inputs, health.Input{Name: in.name, Line: in.wiring.Line})
		}
	}
	if d.alive != nil {
		door.Status = func() health.DoorStatus {
			s := d.door.Status()
			return health.DoorStatus{State: s.State, Alarm: s.Alarm, Fault: s.Fault}
		}
	}
	return door
}

func inspect(name string) (health.Line, error) {
	line, err := gpio.Inspect(name)
	return health.Line(line), err
}

// spaceAt is what is free where a directory is.
func spaceAt(dir string) (health.Space, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return health.Space{}, err
	}
	return health.Space{
		Free: int64(s.Bavail) * int64(s.Frsize), Total: int64(s.Blocks) * int64(s.Frsize),
		FreeFiles: int64(s.Ffree), TotalFiles: int64(s.Files),
	}, nil
}

// lockable is nil if the directory can be locked, or is: by this service then, since
// it does not run without.
func lockable(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close() // gives the lock back
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil
	}
	return err
}
