package gpio

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Kept is a line that outlived a process, because the service manager held its
// descriptor. Its name says what the line is, so that it can be locked even where
// no configuration can be read.
type Kept struct {
	Name string // as KeptName made it
	File *os.File
}

// KeptPrefix begins the name of a lock's line among the descriptors that the
// service manager keeps.
const KeptPrefix = "lock/"

// keptName is the name under which a lock's line is kept, as in
// "lock/pinctrl-bcm2835/17/high/secure": chip, offset, active level, fail mode. A
// name may hold any printable character but the colon (sd_pid_notify_with_fds(3)),
// which becomes an underscore.
func keptName(at lineAt, s Settings) string {
	return KeptPrefix + strings.Join([]string{
		cleanLabel(at.chip.label), strconv.Itoa(at.offset),
		strings.ToLower(Level(!s.ActiveLow).String()), string(s.FailMode),
	}, "/")
}

func cleanLabel(label string) string { return strings.NewReplacer(":", "_", "/", "_").Replace(label) }

// lockedLevel reads from the name which level locks.
func (k Kept) lockedLevel() (Level, error) {
	part := strings.Split(k.Name, "/")
	wrong := fmt.Errorf("the kept descriptor %q is no lock's line", k.Name)
	if len(part) != 5 || part[0]+"/" != KeptPrefix {
		return Low, wrong
	}
	if part[3] != "high" && part[3] != "low" {
		return Low, wrong
	}
	mode := FailMode(part[4])
	if mode != FailSecure && mode != FailSafe {
		return Low, wrong
	}
	return Settings{FailMode: mode, ActiveLow: part[3] == "low"}.Level(true), nil
}
