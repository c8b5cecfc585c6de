package pi

import (
	"bufio"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// change is what the kernel did to a line: "out" or "in" for a direction, "1"
// or "0" for a level that was set.
type change struct {
	at  time.Duration // since the boot
	to  string
	who string // the program, as in latchd-412
}

func (c change) String() string {
	return fmt.Sprintf("%s (%.6f, %s)", c.to, c.at.Seconds(), c.who)
}

// trace is the kernel's own record of one line, from the moment that the test
// began to look: every direction and level that anybody set through the kernel,
// changed or not, to the microsecond.
type trace struct {
	m      *machine
	number int // of the line, in the kernel's own counting
	mark   string
}

// trace begins to look at a line.
func (m *machine) trace(t *testing.T, l line) *trace {
	t.Helper()
	m.traced++
	tr := &trace{m: m, mark: fmt.Sprintf("latchd-test %d", m.traced)}
	// The kernel's trace counts lines as the old interface in sysfs does.
	label, offset := "pinctrl-bcm2835", int(l)
	if m.board == boardVirt {
		label, offset = "9030000.pl061", pl061Line[l]
	}
	base := m.run(t, fmt.Sprintf("echo '%s' >/sys/kernel/tracing/trace_marker; for c in /sys/class/gpio/gpiochip*; do "+
		"if [ \"$(cat $c/label)\" = %s ]; then cat $c/base; fi; done", tr.mark, label))
	number, err := strconv.Atoi(base)
	if err != nil {
		t.Fatalf("the kernel has no single chip %s: %q", label, base)
	}
	tr.number = number + offset
	return tr
}

// "  latchd-412   [001] .....  123.456789: gpio_value: 475 set 1"
var traceLine = regexp.MustCompile(`^\s*(\S.*?)\s+\[\d+\]\s+\S+\s+(\d+\.\d+): (\w+): (.*)$`)

// changes are those since the beginning, in their order.
func (tr *trace) changes(t *testing.T) []change {
	t.Helper()
	text := tr.m.run(t, "cat /sys/kernel/tracing/trace")
	_, after, found := strings.Cut(text, tr.mark+"\n")
	if !found {
		t.Fatalf("the kernel's trace has lost its beginning")
	}
	var all []change
	for lines := bufio.NewScanner(strings.NewReader(after)); lines.Scan(); {
		part := traceLine.FindStringSubmatch(lines.Text())
		if part == nil {
			continue
		}
		seconds, err := strconv.ParseFloat(part[2], 64)
		if err != nil {
			t.Fatalf("the kernel's trace: %q: %v", lines.Text(), err)
		}
		c := change{at: time.Duration(seconds * 1e9), who: part[1]}
		if c.to = tr.change(part[3], strings.Fields(part[4])); c.to != "" {
			all = append(all, c)
		}
	}
	return all
}

// change reads one event: "475 out (0)", "475 set 1"; "" if it is none of this
// line, or only read it.
func (tr *trace) change(event string, words []string) string {
	switch {
	case len(words) != 3 || words[0] != strconv.Itoa(tr.number):
	case event == "gpio_direction":
		return words[1]
	case event == "gpio_value" && words[1] == "set":
		return words[2]
	}
	return ""
}

// expect demands these changes, and no others, and returns them.
func (tr *trace) expect(t *testing.T, want ...string) []change {
	t.Helper()
	all := tr.changes(t)
	var got []string
	for _, c := range all {
		got = append(got, c.to)
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the kernel's trace of the line is %v, want %v", all, want)
	}
	return all
}
