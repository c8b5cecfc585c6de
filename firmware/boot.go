package firmware

import (
	"crypto/rand"
	"fmt"
)

// Boot is what is known about the boot that the machine is in.
type Boot struct {
	// ID is the kernel's boot id, a lower-case UUID. In a container it is the host's.
	ID string `json:"id"`
	// Cause is the cause as found, for a boot that nobody asked for. It says
	// nothing about whether somebody did.
	Cause string `json:"cause"`
	// Evidence is what shows the cause, for the log. With CauseUnknown it is at most a hint.
	Evidence string `json:"evidence,omitempty"`
	// Container names the kind of container that this program runs in ("docker",
	// "systemd-nspawn"); empty if it sees the machine itself.
	Container string `json:"container,omitempty"`
}

// Causes of a boot, in the words of the device's public interface.
const (
	CausePanic     = "panic"     // the kernel panicked
	CausePowerLoss = "powerLoss" // the power was away
	CauseWatchdog  = "watchdog"  // a hardware watchdog reset the machine
	CauseUnknown   = "unknown"   // nothing shows why
)

// checkBootID tells whether id has the shape in which Linux prints a boot id:
// 8-4-4-4-12 lower-case hexadecimal digits.
func checkBootID(id string) error {
	const shape = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	if len(id) != len(shape) {
		return fmt.Errorf("boot id %q is not a UUID", id)
	}
	for i := range len(shape) {
		c := id[i]
		hex := c >= '0' && c <= '9' || c >= 'a' && c <= 'f'
		if shape[i] == 'x' && !hex || shape[i] == '-' && c != '-' {
			return fmt.Errorf("boot id %q is not a UUID", id)
		}
	}
	return nil
}

// newBootID makes a boot id as the kernel does: a random UUID (version 4, RFC 9562).
func newBootID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
