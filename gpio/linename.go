package gpio

import (
	"fmt"
	"strconv"
	"strings"
)

// LineName names a line of the kernel's GPIO character device, in one of three
// ways. The zero value names none.
type LineName struct {
	name   string // the kernel's own name, "GPIO17"
	chip   string // label, name or path of the chip: "pinctrl-bcm2711", "gpiochip0", "/dev/gpiochip0"
	offset int    // of the line on that chip
}

// maxLines bounds an offset: no chip has as many lines.
const maxLines = 4096

// headerLines are the GPIO numbers on the 40-pin header, which has been the same
// on every Raspberry Pi since the Model B+ (2014); 0 is power, ground or the
// identification EEPROM's bus (pins 27 and 28), which must be left alone.
var headerLines = [41]int{
	3: 2, 5: 3, 7: 4, 8: 14, 10: 15, 11: 17, 12: 18, 13: 27, 15: 22, 16: 23,
	18: 24, 19: 10, 21: 9, 22: 25, 23: 11, 24: 8, 26: 7, 29: 5, 31: 6, 32: 12,
	33: 13, 35: 19, 36: 16, 37: 26, 38: 20, 40: 21,
}

// ParseLineName reads the name of a line:
//
//	GPIO17                  the kernel's name of the line
//	pin 11                  a pin of the 40-pin header
//	pinctrl-bcm2711:17      the label of a chip, and the line's offset on it;
//	gpiochip0:17            or the chip's device
//
// Only the label is safe to write down: the numbers of chips differ from kernel to
// kernel.
func ParseLineName(text string) (LineName, error) {
	wrong := func(why string) (LineName, error) {
		return LineName{}, fmt.Errorf("%q names no line: %s; it must be like GPIO17, pin 11 or pinctrl-bcm2711:17", text, why)
	}
	if pin, ok := strings.CutPrefix(text, "pin "); ok {
		n, err := strconv.Atoi(strings.TrimSpace(pin))
		if err != nil || n < 1 || n >= len(headerLines) {
			return wrong("the header has pins 1 to 40")
		}
		if headerLines[n] == 0 {
			return wrong(fmt.Sprintf("pin %d is power, ground or reserved", n))
		}
		return LineName{name: fmt.Sprintf("GPIO%d", headerLines[n])}, nil
	}
	if i := strings.LastIndexByte(text, ':'); i >= 0 {
		offset, err := strconv.Atoi(text[i+1:])
		if err != nil || offset < 0 || offset >= maxLines {
			return wrong("what follows the colon must be the offset of a line")
		}
		if i == 0 || strings.ContainsAny(text[:i], " \t\n") {
			return wrong("what stands before the colon must be a chip")
		}
		return LineName{chip: text[:i], offset: offset}, nil
	}
	if text == "" || len(text) > 31 || strings.ContainsAny(text, " \t\n") {
		return wrong("that cannot be a line's name")
	}
	return LineName{name: text}, nil
}

// String is the name in the way it was given, the header's pins aside.
func (n LineName) String() string {
	if n.chip != "" {
		return fmt.Sprintf("%s:%d", n.chip, n.offset)
	}
	return n.name
}

// chip is what the kernel says of a GPIO chip.
type chip struct {
	path  string // /dev/gpiochip0
	name  string // gpiochip0
	label string // pinctrl-bcm2835
	lines []string
}

// lineAt is where a line is.
type lineAt struct {
	chip   chip
	offset int
}

// find tells where the line is. A name that two chips have is the one on the
// processor's own chip (labelled pinctrl-…), if there is one such: on the
// Raspberry Pi 5 other chips repeat names.
func (n LineName) find(chips []chip) (lineAt, error) {
	if n.chip != "" {
		return n.findOffset(chips)
	}
	var all, ownChip []lineAt
	for _, c := range chips {
		for offset, name := range c.lines {
			if name != n.name {
				continue
			}
			at := lineAt{c, offset}
			all = append(all, at)
			if c.processors() {
				ownChip = append(ownChip, at)
			}
		}
	}
	switch {
	case len(ownChip) == 1:
		return ownChip[0], nil
	case len(all) == 1:
		return all[0], nil
	case len(all) > 1:
		return lineAt{}, fmt.Errorf("%d lines are named %s; name the one you mean as CHIP:OFFSET", len(all), n)
	}
	return n.findUnnamed(chips)
}

// findUnnamed is for kernels that name the lines of a Raspberry Pi by their use, or
// not at all: there the number of a GPIO is its offset on the processor's chip.
func (n LineName) findUnnamed(chips []chip) (lineAt, error) {
	number, isGPIO := strings.CutPrefix(n.name, "GPIO")
	if offset, err := strconv.Atoi(number); isGPIO && err == nil {
		for _, c := range chips {
			if raspberryChips[c.label] && offset >= 0 && offset < len(c.lines) && !c.hasNumbers() {
				return lineAt{c, offset}, nil
			}
		}
	}
	return lineAt{}, fmt.Errorf("no line is named %s; there are %s", n, describe(chips))
}

// raspberryChips are the labels of the chips behind the 40-pin header.
var raspberryChips = map[string]bool{
	"pinctrl-bcm2835": true, // Raspberry Pi 1 to 3, Zero, Zero 2
	"pinctrl-bcm2711": true, // 4, 400
	"pinctrl-rp1":     true, // 5, 500
}

func (n LineName) findOffset(chips []chip) (lineAt, error) {
	var found []chip
	for _, c := range chips {
		if n.chip == c.label || n.chip == c.name || n.chip == c.path {
			found = append(found, c)
		}
	}
	switch {
	case len(found) == 0:
		return lineAt{}, fmt.Errorf("no chip is %s; there are %s", n.chip, describe(chips))
	case len(found) > 1:
		return lineAt{}, fmt.Errorf("%d chips are labelled %s; name its device instead", len(found), n.chip)
	case n.offset >= len(found[0].lines):
		return lineAt{}, fmt.Errorf("%s has lines 0 to %d, and no line %d", n.chip, len(found[0].lines)-1, n.offset)
	}
	return lineAt{found[0], n.offset}, nil
}

func (c chip) processors() bool { return strings.HasPrefix(c.label, "pinctrl-") }

// hasNumbers tells whether the kernel names this chip's lines by GPIO number. Then
// a number that is not among the names is not there.
func (c chip) hasNumbers() bool {
	for _, name := range c.lines {
		if digits, ok := strings.CutPrefix(name, "GPIO"); ok {
			if _, err := strconv.Atoi(digits); err == nil {
				return true
			}
		}
	}
	return false
}

// describe lists the chips for an error.
func describe(chips []chip) string {
	if len(chips) == 0 {
		return "no GPIO chips at all (is this user in the group that may open /dev/gpiochip*?)"
	}
	var each []string
	for _, c := range chips {
		each = append(each, fmt.Sprintf("%s (%s, %d lines)", c.label, c.name, len(c.lines)))
	}
	return strings.Join(each, ", ")
}
