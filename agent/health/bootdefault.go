package health

import (
	"context"
	"slices"
	"strconv"
	"strings"
)

// headerChips are the labels of the chips whose line numbers are GPIO numbers of
// the Raspberry Pi's header.
var headerChips = []string{"pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1"}

// headerGPIOs is how many of them the header has: GPIO0 to 27.
const headerGPIOs = 28

// pulledUp is the last of the GPIOs that the processor pulls up when it gets
// power; it pulls those after it on the header down ("BCM2835 ARM Peripherals",
// table 6-31; "BCM2711 ARM Peripherals", section 5.3; "RP1 Peripherals", section
// 3.1.3: the same for all).
const pulledUp = 8

// bootLine is how a line is before the kernel has it: the zero value is an input
// that floats.
type bootLine struct {
	output, drivenHigh    bool
	pulledHigh, pulledLow bool
}

// level is what it comes to; without a pull nobody knows.
func (b bootLine) level() (high, known bool) {
	if b.output {
		return b.drivenHigh, true
	}
	return b.pulledHigh, b.pulledHigh || b.pulledLow
}

func word(high bool) string {
	if high {
		return "high"
	}
	return "low"
}

// powerOn is what the processor does by itself.
func powerOn(gpio int) bootLine {
	return bootLine{pulledHigh: gpio <= pulledUp, pulledLow: gpio > pulledUp}
}

// bootConfigs are where the boot firmware's configuration is: since Debian 12,
// and before.
var bootConfigs = []string{"/boot/firmware/config.txt", "/boot/config.txt"}

func checkBootDefault(_ context.Context, f *Facts) finding {
	switch {
	case f.Door == nil:
		return notHere(noLock)
	case f.Line == nil:
		return notHere(notKernel)
	case !f.tree().isRaspberryPi():
		return notHere(notAPi)
	}
	line, err := f.Line(f.Door.Line)
	if err != nil {
		return notHere("the line cannot be found")
	}
	if !slices.Contains(headerChips, line.Chip) || line.Offset >= headerGPIOs {
		return fine("nobody knows the level of line %d of %s before the kernel starts: fit a resistor towards the locked level", line.Offset, line.Chip)
	}
	file, text := bootConfigs[0], ""
	for _, name := range bootConfigs {
		if content, err := f.tree().read(name); err == nil {
			file, text = name, content
			break
		}
	}
	return f.judgeBootDefault(line.Offset, file, text)
}

func (f *Facts) judgeBootDefault(gpio int, file, text string) finding {
	d, own := f.Door, powerOn(gpio)
	set := configured(own, gpio, text, f.tree().text("proc/device-tree/model"))
	locks := "dl"
	if d.LockedHigh {
		locks = "dh"
	}
	high, known := set.level()
	switch {
	case !known:
		return faultBootFloats.with(d.Line, file, gpio, locks)
	case set.output && high != d.LockedHigh:
		return faultBootDriven.with(d.Line, file, word(high), gpio, locks)
	case high != d.LockedHigh:
		return faultBootPull.with(d.Line, word(high), gpio, locks, file)
	case own.pulledHigh != d.LockedHigh:
		return faultBootEarly.with(file, d.Line, word(own.pulledHigh))
	case set.output:
		return fine("GPIO%d is driven %s by gpio= in %s, and pulled so before that: locked", gpio, word(high), file)
	}
	return fine("GPIO%d is pulled %s from power-on: locked", gpio, word(high))
}

// configured applies the lines gpio= of a boot configuration, of which the
// last one counts for each property. Sections for other models are passed over,
// and so are those with a filter that is not about the model, because what they
// depend on is not known here.
//
// (Raspberry Pi documentation, "config.txt": "GPIO control", "Conditional
// filters".)
func configured(line bootLine, gpio int, text, model string) bootLine {
	applies := true
	for entry := range strings.Lines(text) {
		entry, _, _ = strings.Cut(entry, "#")
		entry = strings.TrimSpace(entry)
		if section, ok := strings.CutPrefix(entry, "["); ok {
			applies = filterFits(strings.TrimSuffix(section, "]"), model)
			continue
		}
		setting, ok := strings.CutPrefix(entry, "gpio=")
		if !ok || !applies {
			continue
		}
		lines, options, _ := strings.Cut(setting, "=")
		if names(lines, gpio) {
			line = line.apply(options)
		}
	}
	return line
}

// names tells whether a list such as "4,17-20" has the number in it.
func names(list string, gpio int) bool {
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			last = first
		}
		from, err1 := strconv.Atoi(first)
		to, err2 := strconv.Atoi(last)
		if err1 == nil && err2 == nil && from <= gpio && gpio <= to {
			return true
		}
	}
	return false
}

func (b bootLine) apply(options string) bootLine {
	for option := range strings.SplitSeq(options, ",") {
		switch strings.ToLower(strings.TrimSpace(option)) {
		case "op":
			b.output = true
		case "ip":
			b.output = false
		case "dh":
			b.drivenHigh = true
		case "dl":
			b.drivenHigh = false
		case "pu":
			b.pulledHigh, b.pulledLow = true, false
		case "pd":
			b.pulledHigh, b.pulledLow = false, true
		case "pn", "np":
			b.pulledHigh, b.pulledLow = false, false
		}
	}
	return b
}

// models are the filters of config.txt by the model that the device tree names.
// A filter fits also where the model is a variant: [pi4] is the 400 and the
// Compute Module 4, too.
var models = []struct{ filter, model string }{
	{"pi5", "5"},
	{"pi5", "500"},
	{"pi5", "Compute Module 5"},
	{"pi500", "500"},
	{"cm5", "Compute Module 5"},
	{"pi4", "4"},
	{"pi4", "400"},
	{"pi4", "Compute Module 4"},
	{"pi400", "400"},
	{"cm4", "Compute Module 4"},
	{"pi3", "3"},
	{"pi3", "Compute Module 3"},
	{"pi3+", "3 Model A Plus"},
	{"pi3+", "3 Model B Plus"},
	{"pi2", "2"},
	{"pi1", "Model"},
	{"pi1", "Compute Module"},
	{"pi0", "Zero"},
	{"pi0w", "Zero W"},
	{"pi02", "Zero 2"},
}

func filterFits(filter, model string) bool {
	if filter == "all" {
		return true
	}
	model = strings.TrimPrefix(model, "Raspberry Pi ")
	for _, m := range models {
		// "4" is the start of "4 Model B Rev 1.4", and not of "400".
		if m.filter == filter && strings.HasPrefix(model+" ", m.model+" ") {
			return true
		}
	}
	return false
}
