package hub

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"latchd/internal/atomicfile"
	"latchd/iothub"
)

// localName is a name of every hub, so that operators and devices on the same
// machine can always reach it.
const localName = "localhost"

// localNames are in every server certificate, after the names given.
var localNames = []string{localName, "127.0.0.1", "::1"}

// ErrExists says that a directory already holds a hub.
var ErrExists = errors.New("there is a hub in this directory already; nothing was changed")

// ErrClock says that the clock of this machine cannot be right.
var ErrClock = errors.New("the clock of this machine is not set")

// beginning is before this program was written: a clock that shows less is not
// set (a Raspberry Pi without a network starts in 1970, or where it last was).
var beginning = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// checkClock tells whether certificates may be made by a clock. An authority of
// 1970 would have ended before anybody could trust it.
func checkClock(now time.Time) error {
	if now.Before(beginning) {
		return fmt.Errorf("%w: it says %s, and certificates made by it would have ended already; set it (timedatectl) and try again; nothing was changed",
			ErrClock, now.UTC().Format(time.RFC3339))
	}
	return nil
}

// Init makes a hub in dir, which is created if need be: a certificate
// authority of its own, a server certificate for the names (host names and
// addresses; the local ones are added) and random policy keys.
//
// Where there is a hub already, Init without names is ErrExists; with names it
// gives the hub these names and a certificate for them, and keeps the
// authority, the keys and the devices, so that nobody has to be told anew.
//
// Certificates need the time: with a clock that is not set it is ErrClock.
func Init(dir string, names []string) error { return initAt(dir, names, time.Now()) }

func initAt(dir string, names []string, now time.Time) (err error) {
	if err := checkClock(now); err != nil {
		return err
	}
	for _, name := range names {
		if err := checkName(name); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(dir, privateDirectory); err != nil {
		return fmt.Errorf("make the hub's directory: %w", err)
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	all := withLocalNames(names)
	c, err := readConfig(dir)
	switch {
	case err == nil && len(names) == 0:
		return fmt.Errorf("%s: %w (with --name it gets other names)", dir, ErrExists)
	case err == nil:
		return rename(dir, c, all, now)
	case !errors.Is(err, ErrNoHub):
		return err
	}
	return create(dir, all, now)
}

// create writes a new hub. The configuration comes last: without it there is
// no hub, so an Init that was interrupted can be repeated.
func create(dir string, names []string, now time.Time) error {
	// The journal too: SQLite would replay an old one into a new database.
	for _, name := range []string{caFile, caKeyFile, databaseFile, databaseFile + "-wal", databaseFile + "-shm"} {
		path := filepath.Join(dir, name)
		if _, err := os.Lstat(path); err == nil {
			aside, err := atomicfile.SetAside(path, "unfinished")
			if err != nil {
				return fmt.Errorf("make room for a new hub (%s was there): %w", aside, err)
			}
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for an old hub: %w", err)
		}
	}
	// The owner's directory may have been there before, with other permissions.
	if err := os.Chmod(dir, privateDirectory); err != nil {
		return fmt.Errorf("make the hub's directory private: %w", err)
	}
	ca, err := newAuthority(now)
	if err != nil {
		return err
	}
	if err := ca.write(dir, caFile, caKeyFile); err != nil {
		return err
	}
	if err := issueServer(dir, ca, names, now); err != nil {
		return err
	}
	c := config{Format: configFormat, Names: names, Policies: map[string]policyKey{}}
	for name := range policyRights {
		c.Policies[name] = policyKey{iothub.GenerateKey().Reveal(), iothub.GenerateKey().Reveal()}
	}
	return c.write(dir)
}

func rename(dir string, c config, names []string, now time.Time) error {
	ca, err := readPair(dir, caFile, caKeyFile)
	if err != nil {
		return err
	}
	// Names first: serve makes a new certificate where it lacks one of them.
	c.Names = names
	if err := c.write(dir); err != nil {
		return err
	}
	return issueServer(dir, ca, names, now)
}

func withLocalNames(names []string) []string {
	all := slices.Clone(names)
	for _, local := range localNames {
		if !slices.ContainsFunc(all, func(n string) bool { return strings.EqualFold(n, local) }) {
			all = append(all, local)
		}
	}
	return all
}

// checkName tells what is wrong with a name for the hub.
func checkName(name string) error {
	if net.ParseIP(name) != nil {
		return nil
	}
	allowed := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-' || r == '.'
	}
	const longest = 253 // RFC 1035
	if name == "" || len(name) > longest || strings.ContainsFunc(name, func(r rune) bool { return !allowed(r) }) {
		return fmt.Errorf("%q cannot be a name of the hub: give a host name or an address, without a port", name)
	}
	return nil
}
