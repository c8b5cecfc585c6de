package health

import (
	"context"
	"strconv"
	"strings"
)

// journalSettings are where the storage of the journal is set, the weightiest
// last: journald.conf(5).
var journalSettings = []string{
	"usr/lib/systemd/journald.conf", "etc/systemd/journald.conf",
	"usr/lib/systemd/journald.conf.d/*.conf", "run/systemd/journald.conf.d/*.conf", "etc/systemd/journald.conf.d/*.conf",
}

func checkJournal(_ context.Context, f *Facts) finding {
	t := f.tree()
	storage := "auto"
	for _, pattern := range journalSettings {
		for _, file := range t.glob(pattern) {
			text, err := t.read(file)
			if err != nil {
				continue
			}
			for line := range strings.Lines(text) {
				if value, ok := strings.CutPrefix(strings.TrimSpace(line), "Storage="); ok {
					storage = strings.TrimSpace(value)
				}
			}
		}
	}
	switch {
	case !t.exists("run/systemd/system"):
		return notHere("there is no systemd")
	case storage == "persistent":
		return fine("the log is kept on disk (Storage=persistent)")
	case storage != "auto":
		return faultJournal.with("Storage=" + storage)
	case !t.exists("var/log/journal"):
		return faultJournal.with("there is no directory /var/log/journal")
	}
	return fine("the log is kept in /var/log/journal")
}

// throttled are the bits of the Raspberry Pi's get_throttled that matter here:
// the low ones are now, the same ones 16 higher since boot (Raspberry Pi
// documentation, "vcgencmd": get_throttled).
const (
	underVoltageNow = 1 << 0
	cappedNow       = 1 << 1
	throttledNow    = 1 << 2
	softLimitNow    = 1 << 3
	sinceBoot       = 16
	anyThrottling   = (cappedNow | throttledNow | softLimitNow) * (1 + 1<<sinceBoot)

	// throttledFile is soc/soc:firmware/get_throttled on most models; the names
	// before it differ between them.
	throttledFile = "sys/devices/platform/*/*firmware/get_throttled"
)

var throttleBits = []struct {
	bit  int64
	text string
}{
	{underVoltageNow, "under-voltage now"},
	{cappedNow, "frequency capped now"},
	{throttledNow, "throttled now"},
	{softLimitNow, "soft temperature limit now"},
	{underVoltageNow << sinceBoot, "under-voltage has occurred"},
	{cappedNow << sinceBoot, "the frequency was capped"},
	{throttledNow << sinceBoot, "throttling has occurred"},
	{softLimitNow << sinceBoot, "the soft temperature limit was reached"},
}

func checkVoltage(_ context.Context, f *Facts) finding {
	t := f.tree()
	for _, file := range t.glob(throttledFile) {
		// The file has a hexadecimal number without 0x.
		bits, err := strconv.ParseInt(strings.TrimPrefix(t.text(file), "0x"), 16, 64)
		if err != nil {
			continue
		}
		var words []string
		for _, b := range throttleBits {
			if bits&b.bit != 0 {
				words = append(words, b.text)
			}
		}
		text := strings.Join(words, ", ")
		switch {
		case bits&underVoltageNow != 0:
			return faultUnderVoltage.with(text)
		case bits&(underVoltageNow<<sinceBoot) != 0:
			return faultWasUnderVoltage.with(text)
		case bits&anyThrottling != 0:
			return faultThrottled.with(text)
		}
		return fine("no under-voltage and no throttling since boot")
	}
	// Mainline kernels have the alarm alone.
	for _, name := range t.glob("sys/class/hwmon/hwmon*/name") {
		if t.text(name) != "rpi_volt" {
			continue
		}
		if alarm, ok := t.number(strings.TrimSuffix(name, "name") + "in0_lcrit_alarm"); ok {
			if alarm != 0 {
				return faultUnderVoltage.with("in0_lcrit_alarm of rpi_volt")
			}
			return fine("no under-voltage now")
		}
	}
	return notHere("this machine does not tell its supply voltage")
}

const (
	// warm is where a Raspberry Pi begins to slow down, hot where it is at its
	// limit; in thousandths of a degree.
	warm = 80_000
	hot  = 85_000
)

func checkTemperature(_ context.Context, f *Facts) finding {
	t := f.tree()
	highest, known := int64(0), false
	for _, file := range t.glob("sys/class/thermal/thermal_zone*/temp") {
		if n, ok := t.number(file); ok && (!known || n > highest) {
			highest, known = n, true
		}
	}
	degrees := float64(highest) / 1000
	switch {
	case !known:
		return notHere("this machine does not tell its temperature")
	case highest >= hot:
		return faultHot.with(degrees)
	case highest >= warm:
		return faultWarm.with(degrees)
	}
	return fine("%.1f °C", degrees)
}

const (
	// outOfMemory and lowMemory are in kB of MemAvailable. A Raspberry Pi Zero has
	// 430,000 kB, of which an idle system leaves 300,000; the service takes 12,000.
	outOfMemory = 16_000
	lowMemory   = 48_000
)

func checkMemory(_ context.Context, f *Facts) finding {
	text, err := f.tree().read("proc/meminfo")
	if err != nil {
		return notHere("this machine does not tell what memory is left")
	}
	total, _ := meminfo(text, "MemTotal:")
	available, ok := meminfo(text, "MemAvailable:")
	switch {
	case !ok:
		return notHere("this machine does not tell what memory is left")
	case available < outOfMemory:
		return faultMemoryOut.with(available/1000, total/1000)
	case available < lowMemory:
		return faultMemoryLow.with(available/1000, total/1000)
	}
	return fine("%d of %d MB are left", available/1000, total/1000)
}

// meminfo is a number of kB in /proc/meminfo.
func meminfo(text, key string) (kilobytes int64, ok bool) {
	for line := range strings.Lines(text) {
		if field := strings.Fields(line); len(field) >= 2 && field[0] == key {
			n, err := strconv.ParseInt(field[1], 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}
