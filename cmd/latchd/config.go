package main

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"latchd/gpio"
	"latchd/internal/duration"
	"latchd/iothub"
)

// config is the configuration file. Times are text: "5s", "10m", "PT5S".
type config struct {
	Hub      hubConfig      `toml:"hub"`
	State    stateConfig    `toml:"state"`
	Door     doorConfig     `toml:"door"`
	Reboot   rebootConfig   `toml:"reboot"`
	Simulate simulateConfig `toml:"simulate"`
	Log      logConfig      `toml:"log"`
}

type hubConfig struct {
	ConnectionString     string `toml:"connection_string"`      // or, better, a file that only the service can read:
	ConnectionStringFile string `toml:"connection_string_file"` //
	CAFile               string `toml:"ca_file"`                // of a site's own hub; without it the system's roots count
	CertificateFile      string `toml:"certificate_file"`       // for x509=true
	KeyFile              string `toml:"key_file"`               //
	DateURL              string `toml:"date_url"`               // where the time comes from if NTP is blocked; https://HOST of the hub by itself
}

type stateConfig struct {
	Directory        string `toml:"directory"`         // survives a reboot
	RuntimeDirectory string `toml:"runtime_directory"` // emptied by a reboot
}

type doorConfig struct {
	Line          string `toml:"line"`         // "GPIO17", "pin 11", "pinctrl-bcm2711:17"; without it the device has no lock
	Drive         string `toml:"drive"`        // push-pull, open-drain or open-source
	Bias          string `toml:"bias"`         // as-is, disabled, pull-up or pull-down
	ActiveLevel   string `toml:"active_level"` // high or low: the level that powers the lock
	FailMode      string `toml:"fail_mode"`    // secure or safe: what the lock does without power
	Resting       string `toml:"resting"`
	UnlockTime    text   `toml:"unlock_time"`
	MaxUnlockTime text   `toml:"max_unlock_time"`
	HeldOpenAfter text   `toml:"held_open_after"`
	SettleTime    text   `toml:"settle_time"`

	// HardwareRelease is the installer's word that a release in series with a
	// fail-safe lock opens it without this program; latchd check asks for it.
	HardwareRelease bool `toml:"hardware_release"`

	Contact inputConfig `toml:"contact"` // active when the door is open
	Bolt    inputConfig `toml:"bolt"`    // active when the bolt is thrown
	Button  inputConfig `toml:"button"`  // active while somebody presses it
}

// inputConfig is one input of the door; without a line it is not fitted.
type inputConfig struct {
	Line        string `toml:"line"`
	ActiveLevel string `toml:"active_level"` // high or low
	Bias        string `toml:"bias"`         // as for the lock's line, but pull-up by itself
}

// wiring is the input as the lock wants it. activeLow is what goes without
// saying: all three are switches to ground, of which the contact is closed while
// nothing is the matter.
func (c inputConfig) wiring(activeLow bool) gpio.InputWiring {
	if c.ActiveLevel != "" {
		activeLow = c.ActiveLevel == "low"
	}
	if c.Line == "" {
		return gpio.InputWiring{}
	}
	return gpio.InputWiring{Line: c.Line, ActiveLow: activeLow, Bias: gpio.Bias(c.Bias)}
}

type rebootConfig struct {
	Delay             text `toml:"delay"`
	EstimatedDuration text `toml:"estimated_duration"` // of a reboot: what a maintenance window must have left
	MaxPerHour        *int `toml:"max_per_hour"`
	MaxPerDay         *int `toml:"max_per_day"`
}

type simulateConfig struct {
	DownTime text `toml:"down_time"`
}

type logConfig struct {
	Level slog.Level `toml:"level"`
}

// text is a duration in the file.
type text time.Duration

func (t *text) UnmarshalText(b []byte) error {
	d, err := duration.Parse(string(b))
	*t = text(d)
	return err
}

// Where the service keeps its state when neither the configuration nor
// systemd says otherwise.
const (
	defaultStateDir   = "/var/lib/latchd"
	defaultRuntimeDir = "/run/latchd"
)

// serviceDirs are the directories that need no configuration.
func serviceDirs() stateConfig {
	return stateConfig{
		Directory:        firstOf(os.Getenv("STATE_DIRECTORY"), defaultStateDir),
		RuntimeDirectory: firstOf(os.Getenv("RUNTIME_DIRECTORY"), defaultRuntimeDir),
	}
}

// loadConfig reads the configuration, strictly: an unknown key is an error
// with its line. With an error it still gives what could be read, because a
// bad configuration must not keep the device from its hub; the door does not
// use it then.
func loadConfig(path string) (config, error) {
	var c config
	body, err := readConfig(path)
	if err == nil {
		err = c.decode(body)
	}
	if err != nil { // what was not looked at any more may be wrong too
		_ = c.Reboot.check()
	}
	c.resolve(filepath.Dir(path)) // with an error too: the door's last good settings are where the file says
	dirs := serviceDirs()
	c.State.Directory = firstOf(c.State.Directory, dirs.Directory)
	c.State.RuntimeDirectory = firstOf(c.State.RuntimeDirectory, dirs.RuntimeDirectory)
	if err != nil {
		// An error that repeats a value may repeat a key that is in the wrong place.
		if text := withoutKey(err.Error()); text != err.Error() {
			err = errors.New(text)
		}
		return c, fmt.Errorf("configuration %s: %w", path, err)
	}
	return c, nil
}

// maxConfig bounds the file, in bytes: the door waits while it is read. The
// whole of what can be said takes a tenth of that.
const maxConfig = 64 << 10

func readConfig(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	body, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(body) > maxConfig {
		err = fmt.Errorf("it has more than %d bytes, so it is no configuration", maxConfig)
	}
	return string(body), err
}

func (c *config) decode(body string) error {
	meta, err := toml.Decode(body, c)
	if err != nil {
		c.salvage(body)
		if p, ok := errors.AsType[toml.ParseError](err); ok {
			return fmt.Errorf("line %d: %s", lineAt(body, p), withoutQuote(p.Message))
		}
		return err
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return fmt.Errorf("line %d: unknown key%s", lineOf(body, unknown[0]), keyText(unknown[0]))
	}
	return c.check()
}

// keyText names a key that may be shown. A longer one, or one with a value in
// it, is no slip of the pen, and may be a connection string in the wrong place.
func keyText(key toml.Key) string {
	const longest = 64
	if text := key.String(); len(text) <= longest && !strings.Contains(text, "=") {
		return " " + text
	}
	return ""
}

// withoutQuote leaves out what a message of the library quotes from the file,
// if that is more than a character: it may be a connection string.
func withoutQuote(message string) string {
	for _, quotes := range []string{", but got ", " but found "} {
		if before, quoted, ok := strings.Cut(message, quotes); ok && len(quoted) > len(`'\U0010FFFF' instead`) {
			return before
		}
	}
	return message
}

// lineAt is the line of a syntax error. It is counted from the offset, because
// for a line that ends too early the library names the next one.
func lineAt(body string, e toml.ParseError) int {
	return 1 + strings.Count(body[:min(max(e.Position.Start, 0), len(body))], "\n")
}

// lineOf finds the line of a key that the decoder did not know. The decoder
// gives no positions for those, so this reads the text: the table's header,
// then the key's own line.
func lineOf(body string, key toml.Key) int {
	table, name := strings.Join(key[:len(key)-1], "."), key[len(key)-1]
	current, header := "", 0
	for i, line := range strings.Split(body, "\n") {
		line = strings.TrimSpace(line)
		if name, ok := tableOf(line); ok {
			current = name
			if current == key.String() {
				return i + 1
			}
			if current == table {
				header = i + 1
			}
			continue
		}
		left, _, ok := strings.Cut(line, "=")
		if left = strings.Trim(left, " \t\"'"); ok && (current == table && left == name || left == key.String()) {
			return i + 1
		}
	}
	return header
}

// check takes out what is wrong, because the agent goes on without it, and tells
// the first of it.
func (r *rebootConfig) check() (first error) {
	wrong := func(format string, args ...any) {
		if first == nil {
			first = fmt.Errorf(format, args...)
		}
	}
	for _, limit := range []struct {
		key     string
		value   *text
		longest time.Duration
	}{{"delay", &r.Delay, longestDelay}, {"estimated_duration", &r.EstimatedDuration, longestReboot}} {
		if d := time.Duration(*limit.value); d > limit.longest {
			*limit.value = 0
			wrong("reboot.%s is %s; at most %s is allowed", limit.key, d, limit.longest)
		}
	}
	for _, limit := range []struct {
		key  string
		most **int
	}{{"max_per_hour", &r.MaxPerHour}, {"max_per_day", &r.MaxPerDay}} {
		if n := *limit.most; n != nil && (*n < 1 || *n > mostReboots) {
			*limit.most = nil
			wrong("reboot.%s is %d; it must be from 1 to %d", limit.key, *n, mostReboots)
		}
	}
	return first
}

const (
	longestDelay  = time.Hour // the contract's
	longestReboot = 6 * time.Hour
	mostReboots   = 1000 // nobody needs more, and each is remembered for a day
)

func (c *config) check() error {
	if err := c.Reboot.check(); err != nil {
		return err
	}
	for _, choice := range []struct {
		key, value string
		of         []string
	}{
		{"door.active_level", c.Door.ActiveLevel, []string{"", "high", "low"}},
		{"door.contact.active_level", c.Door.Contact.ActiveLevel, []string{"", "high", "low"}},
		{"door.bolt.active_level", c.Door.Bolt.ActiveLevel, []string{"", "high", "low"}},
		{"door.button.active_level", c.Door.Button.ActiveLevel, []string{"", "high", "low"}},
		{"door.fail_mode", c.Door.FailMode, []string{"", "secure", "safe"}},
		{"door.resting", c.Door.Resting, []string{"", "locked", "unlocked"}},
	} {
		if !slices.Contains(choice.of, choice.value) {
			return fmt.Errorf("%s is %q; it must be %s", choice.key, choice.value, strings.Join(choice.of[1:], " or "))
		}
	}
	if c.State.Directory != "" && c.State.Directory == c.State.RuntimeDirectory {
		return fmt.Errorf("state.directory and state.runtime_directory are both %.100q; a reboot empties one of them", c.State.Directory)
	}
	if c.Hub.ConnectionString != "" && c.Hub.ConnectionStringFile != "" {
		return errors.New("hub.connection_string and hub.connection_string_file exclude each other")
	}
	if err := checkDateURL(c.Hub.DateURL); err != nil {
		return err
	}
	if err := c.Hub.keyForFile(); err != nil {
		return err
	}
	if c.Hub.ConnectionString != "" {
		if _, err := iothub.ParseDeviceConnectionString(c.Hub.ConnectionString); err != nil {
			return fmt.Errorf("hub.connection_string: %w", err)
		}
	}
	if _, err := c.settings().Complete(); err != nil {
		return fmt.Errorf("door: %w", err)
	}
	return nil
}

func checkDateURL(text string) error {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	if err == nil && (u.Scheme != "https" || u.Hostname() == "") {
		err = errors.New("it must be like https://hub.example.net")
	}
	if err == nil && u.Port() != "" {
		_, err = strconv.ParseUint(u.Port(), 10, 16)
	}
	if err != nil { // without the value, which may be anything, a key too
		var wrong *url.Error
		if errors.As(err, &wrong) {
			err = wrong.Err
		}
		return fmt.Errorf("hub.date_url cannot be used: %w", err)
	}
	return nil
}

// keyForFile finds a mistake that is easily made, and must not be told by the
// error of opening such a file: that has the key in it.
func (h hubConfig) keyForFile() error {
	for _, file := range []struct{ key, name string }{
		{"connection_string_file", h.ConnectionStringFile},
		{"ca_file", h.CAFile},
		{"certificate_file", h.CertificateFile},
		{"key_file", h.KeyFile},
		{"date_url", h.DateURL},
	} {
		if strings.Contains(strings.ToLower(file.name), "sharedaccesskey") {
			return fmt.Errorf("hub.%s holds a connection string where the name of a file belongs", file.key)
		}
	}
	return nil
}

// resolve makes relative paths relative to the configuration file.
func (c *config) resolve(dir string) {
	for _, p := range []*string{
		&c.Hub.ConnectionStringFile, &c.Hub.CAFile, &c.Hub.CertificateFile, &c.Hub.KeyFile,
		&c.State.Directory, &c.State.RuntimeDirectory,
	} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(dir, *p)
		}
	}
}

// settings are the door's facts as the lock wants them.
func (c *config) settings() gpio.Settings {
	return gpio.Settings{
		FailMode:      gpio.FailMode(c.Door.FailMode),
		ActiveLow:     c.Door.ActiveLevel == "low",
		MaxUnlockTime: time.Duration(c.Door.MaxUnlockTime),
		SettleTime:    time.Duration(c.Door.SettleTime),
		Wiring: gpio.Wiring{
			Line: c.Door.Line, Drive: gpio.Drive(c.Door.Drive), Bias: gpio.Bias(c.Door.Bias),
			Contact: c.Door.Contact.wiring(false), Bolt: c.Door.Bolt.wiring(true), Button: c.Door.Button.wiring(true),
		},
		Policy: gpio.Policy{
			Resting:       gpio.Resting(c.Door.Resting),
			UnlockTime:    time.Duration(c.Door.UnlockTime),
			HeldOpenAfter: time.Duration(c.Door.HeldOpenAfter),
		},
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
