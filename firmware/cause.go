package firmware

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
)

// cause finds why the machine booted. seen are the panic records that an earlier
// boot found already: they stay until somebody removes them, and must not explain
// a second boot.
func (t tree) cause(seen []string) (cause, evidence string) {
	for _, record := range t.panicRecords() {
		if !slices.Contains(seen, record) {
			return CausePanic, "panic record " + record
		}
	}
	for _, name := range t.glob("sys/class/watchdog/watchdog*/bootstatus") {
		if status, err := strconv.ParseUint(t.text(name), 0, 32); err == nil && status&cardReset != 0 {
			return CauseWatchdog, fmt.Sprintf("%s is %#x", name, status)
		}
	}
	for _, name := range resetStatusFiles {
		data, err := os.ReadFile(t.path(name))
		if err != nil || len(data) != 4 {
			continue
		}
		status := binary.BigEndian.Uint32(data)
		if status&(powerOnReset|fullReset) == powerOnReset {
			return CausePowerLoss, fmt.Sprintf("/%s is %#x", name, status)
		}
	}
	return CauseUnknown, t.underVoltage()
}

// underVoltage tells of a weak supply, as the Raspberry Pi's firmware saw it since
// this boot. It proves nothing about the boot, but whoever wonders why a machine
// went down without a word should look there first.
func (t tree) underVoltage() string {
	const occurred = 1 << 16 // since the boot (Raspberry Pi documentation, vcgencmd get_throttled)
	for _, name := range t.glob("sys/devices/platform/*/*firmware/get_throttled") {
		if flags, err := strconv.ParseUint(t.text(name), 16, 32); err == nil && flags&occurred != 0 {
			return fmt.Sprintf("the supply voltage was too low since this boot: get_throttled is %#x", flags)
		}
	}
	return ""
}

// cardReset is WDIOF_CARDRESET of linux/watchdog.h: "the card previously reset
// the CPU". Many drivers never set it, the Raspberry Pi's among them.
const cardReset = 0x20

// The Raspberry Pi's reset status register PM_RSTS, as the boot loader found it
// and left it in the device tree: a big-endian cell, called pm_rsts in the
// documentation and rsts by much deployed firmware.
//
// Power-on sets HADPOR. Any reset through the chip's watchdog sets HADWRF: a
// watchdog that ran out, but just as well every ordinary reboot, which Linux does
// by that same watchdog. So this register can show that the power was away, and
// can show nothing else. (The Pi 5's power_reset beside it shows less than its
// name promises: boards were seen that keep an old value through later reboots.)
const (
	powerOnReset = 0x1000 // PM_RSTS_HADPOR
	fullReset    = 0x20   // PM_RSTS_HADWRF
)

var resetStatusFiles = []string{
	"proc/device-tree/chosen/bootloader/pm_rsts",
	"proc/device-tree/chosen/bootloader/rsts",
}

// panicRecords lists the kernel's panics in pstore, memory that survives a
// reboot. Each is told by its name and content, so that the same name used again
// is another record. Usually only root may look there, and systemd-pstore moves
// the records away early in the boot: then there are none.
func (t tree) panicRecords() []string {
	var records []string
	for _, name := range t.glob("sys/fs/pstore/dmesg-*") {
		data, err := os.ReadFile(t.path(name))
		if err != nil {
			continue
		}
		// The first line says why the kernel dumped its log and is one of
		// "Panic#1 Part1", "Oops#1 Part1", "Shutdown#1 Part1", ... After an oops
		// a machine usually runs on.
		if !strings.HasPrefix(string(data), "Panic#") {
			continue
		}
		sum := sha256.Sum256(data)
		records = append(records, fmt.Sprintf("%s %x", path.Base(name), sum[:6]))
	}
	return records
}
