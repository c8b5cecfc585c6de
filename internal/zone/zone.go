// Package zone finds the rules of time zones by their IANA names: the system's
// data, which its package manager keeps up to date, else the copy in this
// program. It says which of the two it was, because two devices with different
// data may open a window an hour apart.
//
// The system comes first even where its data are older than the copy: they are
// what an administrator can see, change and upgrade, and what every other program
// on the machine goes by. The copy is for machines without the data (Windows, a
// container, a stripped image) and for a zone whose file is missing or damaged.
//
// What Load gave is remembered until the files change, so that a program which
// runs for years asks again whenever it matters and gets upgraded rules without a
// restart. It is not a way to learn the zone that the machine itself is set to.
package zone

import (
	"fmt"
	"strings"
	"sync"
	"time"
)

// Data is where the rules of a zone came from, as reported: "system 2026b",
// "embedded 2025c". "system" alone: it does not say its version.
type Data string

// A zone is what Load gave and what it depends on.
type zone struct {
	location *time.Location
	data     Data
	dir      string // "" if no source has the zone
	file     stamp
	version  stamp
}

var (
	mu    sync.Mutex
	known = map[string]zone{} // by name; only names that were found
)

// Load finds the zone of an IANA name, such as "Europe/Berlin" or "UTC". The
// same *time.Location comes back until the data of the zone change; finding that
// they did not takes a few stats. Load may be called from many goroutines.
//
// It refuses what is no zone's name, although the system may have a file there:
// "", "Local", paths, and the other forms of the data ("posix/...", "right/...",
// "localtime", "posixrules"), which only some systems have or which mean another
// thing on each. Names differ by case on every system.
func Load(name string) (*time.Location, Data, error) {
	if !isName(name) {
		return nil, "", notFound(name)
	}
	mu.Lock()
	defer mu.Unlock()
	dir, file := locate(name)
	version := stamp{}
	if dir != "" {
		version = versionStamp(dir)
	}
	z, ok := known[name]
	if ok && z.dir == dir && z.file.same(file) && z.version.same(version) {
		return z.location, z.data, nil
	}
	location, data, err := load(name, dir)
	if err != nil {
		return nil, "", err
	}
	known[name] = zone{location, data, dir, file, version}
	return location, data, nil
}

// load reads a zone from a source, else from the embedded copy.
func load(name, dir string) (*time.Location, Data, error) {
	copied, copiedVersion, spelled, err := embedded(name)
	if err != nil {
		return nil, "", err
	}
	if spelled != "" && spelled != name {
		return nil, "", fmt.Errorf("%w (it is spelled %q)", notFound(name), spelled)
	}
	if dir != "" {
		if location, err := system(dir, name); err == nil {
			return utc(name, location), join("system", versionOf(dir)), nil
		}
	}
	if spelled == "" {
		return nil, "", notFound(name)
	}
	location, err := time.LoadLocationFromTZData(name, copied)
	if err != nil {
		return nil, "", fmt.Errorf("read the embedded time zone %s: %w", name, err)
	}
	return utc(name, location), join("embedded", copiedVersion), nil
}

// utc gives time.UTC for its name, which programs compare with.
func utc(name string, location *time.Location) *time.Location {
	if name == "UTC" {
		return time.UTC
	}
	return location
}

func join(source, version string) Data {
	return Data(strings.TrimSpace(source + " " + version))
}

func notFound(name string) error {
	return fmt.Errorf(`no time zone is called %.70q (write an IANA name such as "Europe/Berlin")`, name)
}

// maxName is far more than the longest name takes: America/Argentina/ComodRivadavia
// has 32 characters.
const maxName = 64

// isName tells whether a text may be the name of a zone. Letters, digits, "+",
// "-" and "_" are what IANA's names have, in parts divided by "/"; without "." no
// path leads out of the directory of the zones.
func isName(name string) bool {
	if len(name) > maxName {
		return false
	}
	for part := range strings.SplitSeq(name, "/") {
		if part == "" || strings.Trim(part, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+-_") != "" {
			return false
		}
	}
	first, _, _ := strings.Cut(name, "/")
	switch first {
	case "Local", "localtime", "posixrules", "posix", "right":
		return false
	}
	return true
}
