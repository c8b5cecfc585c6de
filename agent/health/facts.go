package health

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// Facts is what the checks know of the machine besides its files. A nil function
// or pointer means that there is no such thing here, or nobody to ask; the zero
// value is a machine of which only the files can be looked at. The functions may
// be called at the same time, return soon after their context ends, and change
// nothing.
type Facts struct {
	Root string // below which the machine's files are found; "": /
	UID  int    // the user that the service runs as, and its group
	GID  int
	Now  func() time.Time // the clock that certificates are judged by; nil: time.Now

	Configuration Configuration
	Credentials   func() (Credentials, error) // nil: no hub is meant to be there
	Hub           func() Hub                  // nil: there is none
	Door          *Door                       // nil: this device has no lock
	Service       Service
	StateDir      string

	// Clock is the clock's state in the contract's words, and since when.
	Clock func() (state string, since time.Time)
	// Chips are the labels of the kernel's GPIO chips.
	Chips func() ([]string, error)
	// Line is what the kernel says of a GPIO line; asking changes nothing.
	Line func(name string) (Line, error)
	// CanReboot is nil when this process may reboot the machine; the error names
	// who or what forbids it, and the remedy.
	CanReboot func(context.Context) error
	// Inhibitors names the programs that forbid a reboot now.
	Inhibitors func(context.Context) ([]string, error)
	// RuntimeWatchdog is how long the hardware watchdog waits for systemd; 0: systemd does
	// not feed it.
	RuntimeWatchdog func(context.Context) (time.Duration, error)
	// Space is what is free where a directory is.
	Space func(dir string) (Space, error)
	// Lockable is nil if the directory is locked by this service or can be.
	Lockable func(dir string) error
	// Unsaved says why the service could not write its state; "": it could.
	Unsaved func(context.Context) string
	// Boots is how often the machine booted within that time.
	Boots func(within time.Duration) int
}

// Configuration is the configuration file and what it says.
type Configuration struct {
	File   string
	Secret bool         // it holds a key itself
	Named  []NamedFile  // the files that it names
	InUse  string       // what keeps the service from going by it as it was read; "": nothing
	Parse  func() error // what is wrong with it now
}

// NamedFile is a file that the configuration names.
type NamedFile struct {
	Key    string // "hub.ca_file"
	Path   string
	Secret bool // nobody else may read it
}

// Credentials are the device's own, as far as they may be shown.
type Credentials struct {
	X509 bool
	End  time.Time // of the certificate
	Text string    // what they are, for a person, without a secret
}

// Hub is the device's hub. An empty host means that there is none.
type Hub struct {
	Host, Port string
	TLS        *tls.Config // as the device's client uses it
	// Connection tells whether the device is connected, and otherwise why not.
	Connection func() (up bool, why error)

	lookup func(ctx context.Context, host string) ([]string, error)             // for tests; the resolver's if nil
	dial   func(ctx context.Context, network, address string) (net.Conn, error) // for tests; a net.Dialer's if nil
}

// Door is the lock as it is configured, and how it does.
type Door struct {
	Line            string // "GPIO17"
	LockedHigh      bool   // the high level locks
	FailSafe        bool   // without power it is open
	HardwareRelease bool   // the installer confirmed one in series
	Inputs          []Input
	Status          func() DoorStatus // nil: the service does not run, so nobody knows
}

// Input is one that is fitted.
type Input struct{ Name, Line string } // "contact", "GPIO27"

// DoorStatus is how the lock does.
type DoorStatus struct {
	State string // of the contract
	Alarm string // of the contract; "": none
	Fault string // what is wrong with the hardware; "": nothing
}

// Line is what the kernel says of a GPIO line.
type Line struct {
	Chip     string // label: "pinctrl-bcm2711"
	Offset   int
	Consumer string // who has it; "": nobody
}

// Consumer is the name under which the kernel lists the lines of this service.
const Consumer = "latchd"

// Space is what is free in a file system.
type Space struct {
	Free, Total           int64 // bytes, for users without privileges
	FreeFiles, TotalFiles int64 // 0 of 0 where the file system has no limit
}

// Service is how the service runs.
type Service struct {
	Asked     bool // this process is the service; false: it does not run, and somebody looks in its stead
	Managed   bool // systemd started it
	Simulated bool
	// Kept is how many descriptors systemd keeps for the service.
	Kept func(context.Context) (int, error)
}

// hub is the device's hub; one without a host where there is none.
func (f *Facts) hub() Hub {
	if f.Hub == nil {
		return Hub{}
	}
	return f.Hub()
}

func (f *Facts) now() time.Time {
	if f.Now != nil {
		return f.Now()
	}
	return time.Now()
}
