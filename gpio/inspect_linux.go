package gpio

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// flagUsed is set for a line that somebody has (GPIO_V2_LINE_FLAG_USED).
const flagUsed = 1 << 0

// LineInfo is what the kernel says of a line.
type LineInfo struct {
	Chip     string // the chip's label: "pinctrl-bcm2711"
	Offset   int    // of the line on that chip
	Consumer string // who has it; "": nobody
}

// Chips names the kernel's GPIO chips by their labels.
func Chips() ([]string, error) {
	chips, err := kernelChips()
	if len(chips) == 0 {
		chips, err = scanChips()
	}
	var labels []string
	for _, c := range chips {
		labels = append(labels, c.label)
	}
	return labels, err
}

// Inspect asks the kernel about a line; asking changes nothing. The error says why
// the line is not there.
func Inspect(line string) (LineInfo, error) {
	at, err := locate(line)
	if err != nil {
		return LineInfo{}, err
	}
	device, err := os.Open(at.chip.path)
	if err != nil {
		return LineInfo{}, err
	}
	defer device.Close()
	info, err := lineInfo(device, at.offset)
	if err != nil {
		return LineInfo{}, fmt.Errorf("ask about line %d of %s: %w", at.offset, at.chip.label, err)
	}
	found := LineInfo{Chip: at.chip.label, Offset: at.offset, Consumer: unix.ByteSliceToString(info.Consumer[:])}
	// A line that a driver of the kernel's took without a name is taken all the same.
	if found.Consumer == "" && info.Flags&flagUsed != 0 {
		found.Consumer = "the kernel"
	}
	return found, nil
}
