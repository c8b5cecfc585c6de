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
// "lock/pinctrl-bcm2835/17/high/secure/push-pull/as-is": chip, offset, active level,
// fail mode, drive and bias. A name may hold any printable character but the colon
// (sd_pid_notify_with_fds(3)), which becomes an underscore.
func keptName(at lineAt, s Settings) string {
	return KeptPrefix + strings.Join([]string{
		cleanLabel(at.chip.label), strconv.Itoa(at.offset),
		strings.ToLower(Level(!s.ActiveLow).String()), string(s.FailMode),
		string(s.Wiring.Drive), string(s.Wiring.Bias),
	}, "/")
}

func cleanLabel(label string) string { return strings.NewReplacer(":", "_", "/", "_").Replace(label) }

// parse reads what the name says: where the line is, its active level and its fail
// mode.
func (k Kept) parse() (label, offset string, s Settings, err error) {
	part := strings.Split(k.Name, "/")
	if len(part) == 7 && part[0]+"/" == KeptPrefix && (part[3] == "high" || part[3] == "low") {
		s = Settings{
			FailMode: FailMode(part[4]), ActiveLow: part[3] == "low",
			Wiring: Wiring{Drive: Drive(part[5]), Bias: Bias(part[6])},
		}
		if s.FailMode == FailSecure || s.FailMode == FailSafe {
			return part[1], part[2], s, s.Wiring.check()
		}
	}
	return "", "", Settings{}, fmt.Errorf("the kept descriptor %q is no lock's line", k.Name)
}

// lockedLevel is the level that locks.
func (k Kept) lockedLevel() (Level, error) {
	_, _, s, err := k.parse()
	return s.Level(true), err
}

// settings are those of a lock of which only the name of its line is known.
func (k Kept) settings(chips []chip) (Settings, error) {
	label, offset, s, err := k.parse()
	if err != nil {
		return s, err
	}
	for _, c := range chips {
		if cleanLabel(c.label) == label {
			s.Wiring.Line = c.label + ":" + offset
			return s, nil
		}
	}
	return s, fmt.Errorf("the kept line %q is of a chip that is not there; there are %s", k.Name, describe(chips))
}
