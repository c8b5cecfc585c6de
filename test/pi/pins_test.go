package pi

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// A line of the board by its Raspberry Pi number, GPIO17 being 17.
type line int

// What the tests wire: the lock's line, and two inputs. All are active high,
// because an emulated input that nobody drives is low.
const (
	lockLine    line = 17
	contactLine line = 27
	buttonLine  line = 22
	otherLine   line = 23
)

func (l line) String() string { return fmt.Sprintf("GPIO%d", int(l)) }

// pin is a line as the hardware has it.
type pin struct{ output, high bool }

var (
	driven1 = pin{output: true, high: true}
	driven0 = pin{output: true, high: false}
)

func (p pin) String() string {
	direction, level := "in", 0
	if p.output {
		direction = "out"
	}
	if p.high {
		level = 1
	}
	return fmt.Sprintf("%s %d", direction, level)
}

// The registers of the Raspberry Pi 3's GPIO block (BCM2837 peripherals, 6.1).
const (
	gpfsel = 0x3f200000 // function: three bits for a line, ten lines to a word; 0 is input, 1 output
	gpset  = 0x3f20001c // one bit for a line, 32 lines to a word: makes it high
	gpclr  = 0x3f200028 // makes it low
	gplev  = 0x3f200034 // the level
)

// The registers of the PL061 on the virt board (ARM DDI 0190B, 3.2).
const (
	pl061Data      = 0x09030000 + 0x3fc // level, one bit for a line; bits 9 to 2 of the address select all eight
	pl061Direction = 0x09030000 + 0x400 // 1 is output
)

// pl061Line tells which line of the PL061 bears a name: as in image/virt.dtsi.
var pl061Line = map[line]int{17: 0, 27: 1, 22: 2, 5: 4, 6: 5, 23: 6, 24: 7}

// readPin reads a line from outside.
func (m *machine) readPin(l line) (pin, error) {
	if m.board == boardVirt {
		direction, err := m.qtest.read(pl061Direction)
		if err != nil {
			return pin{}, err
		}
		level, err := m.qtest.read(pl061Data)
		bit := pl061Line[l]
		return pin{output: direction>>bit&1 == 1, high: level>>bit&1 == 1}, err
	}
	n := uint64(l)
	function, err := m.qtest.read(gpfsel + n/10*4)
	if err != nil {
		return pin{}, err
	}
	level, err := m.qtest.read(gplev + n/32*4)
	return pin{output: function>>(n%10*3)&7 == 1, high: level>>(n%32)&1 == 1}, err
}

// pin is readPin in a test.
func (m *machine) pin(t *testing.T, l line) pin {
	t.Helper()
	p, err := m.readPin(l)
	if err != nil {
		t.Fatalf("reading %s: %v", l, err)
	}
	return p
}

// drive sets what the guest reads from an input. A real edge, with its
// interrupt, comes of it on the virt board only.
func (m *machine) drive(t *testing.T, l line, high bool) {
	t.Helper()
	var err error
	switch {
	case m.board == boardVirt:
		level := 0
		if high {
			level = 1
		}
		_, err = m.qtest.say("set_irq_in %s unnamed-gpio-in %d %d", m.gpioDevice, pl061Line[l], level)
	case high:
		err = m.qtest.write(gpset+uint64(l)/32*4, 1<<(l%32))
	default:
		err = m.qtest.write(gpclr+uint64(l)/32*4, 1<<(l%32))
	}
	if err != nil {
		t.Fatalf("driving %s: %v", l, err)
	}
}

// awaitPin waits until the line is so.
func (m *machine) awaitPin(t *testing.T, l line, want pin, within time.Duration) {
	t.Helper()
	var got pin
	err := poll(t.Context(), within, 10*time.Millisecond, func() (done bool, err error) {
		got, err = m.readPin(l)
		return got == want, err
	})
	if err != nil {
		t.Fatalf("%s is %q, not %q, after %s: %v", l, got, want, within, err)
	}
}

// checkPin demands that the line is so now.
func (m *machine) checkPin(t *testing.T, l line, want pin) {
	t.Helper()
	if got := m.pin(t, l); got != want {
		t.Errorf("%s is %q, want %q", l, got, want)
	}
}

// poll asks again and again until it is done or fails, or the time is over.
func poll(ctx context.Context, within, every time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if done, err := ask(); done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
