package gpio

import (
	"fmt"
	"strings"
	"testing"
)

func numbered(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("GPIO%d", i))
	}
	return names
}

// The chips of the boards, as their kernels show them (cut to what matters).
var (
	pi3 = []chip{
		{"/dev/gpiochip0", "gpiochip0", "pinctrl-bcm2835", numbered(54)},
		{"/dev/gpiochip1", "gpiochip1", "raspberrypi-exp-gpio", []string{"BT_ON", "WL_ON"}},
	}
	pi5 = []chip{
		{"/dev/gpiochip10", "gpiochip10", "gpio-brcmstb@107d508500", append([]string{"-", "2712_WAKE"}, numbered(1)...)},
		{"/dev/gpiochip11", "gpiochip11", "gpio-brcmstb@107d517c00", []string{"2712_WAKE"}},
		{"/dev/gpiochip0", "gpiochip0", "pinctrl-rp1", append([]string{"ID_SDA", "ID_SCL"}, numbered(28)[2:]...)},
	}
	mainline = []chip{{"/dev/gpiochip0", "gpiochip0", "pinctrl-bcm2711", append([]string{"ID_SDA", "ID_SCL", "SDA1", "SCL1"}, make([]string, 54)...)}}
	nameless = []chip{{"/dev/gpiochip0", "gpiochip0", "5ffff000.gpio", make([]string, 32)}}
)

func TestFindLine(t *testing.T) {
	for _, test := range []struct {
		chips []chip
		name  string
		want  string // chip and offset, or what the error says
	}{
		{pi3, "GPIO17", "gpiochip0:17"},
		{pi3, "pin 11", "gpiochip0:17"},
		{pi3, "pin 40", "gpiochip0:21"},
		{pi3, "pinctrl-bcm2835:17", "gpiochip0:17"},
		{pi3, "/dev/gpiochip1:1", "gpiochip1:1"},
		{pi3, "WL_ON", "gpiochip1:1"},
		{pi3, "GPIO54", "no line is named GPIO54"},
		{pi3, "pinctrl-bcm2835:54", "has lines 0 to 53"},
		{pi3, "pinctrl-rp1:17", "no chip is pinctrl-rp1; there are pinctrl-bcm2835 (gpiochip0, 54 lines)"},
		{pi5, "GPIO17", "gpiochip0:17"},
		{pi5, "GPIO0", "gpiochip10:2"},
		{pi5, "2712_WAKE", "2 lines are named 2712_WAKE"},
		{mainline, "GPIO17", "gpiochip0:17"},
		{mainline, "SDA1", "gpiochip0:2"},
		{mainline, "GPIO99", "no line is named GPIO99"},
		{nameless, "GPIO17", "no line is named GPIO17"},
		{nameless, "gpiochip0:17", "gpiochip0:17"},
		{nil, "GPIO17", "no GPIO chips at all"},
	} {
		t.Run(test.name, func(t *testing.T) {
			name, err := ParseLineName(test.name)
			if err != nil {
				t.Fatal(err)
			}
			at, err := name.find(test.chips)
			if err != nil {
				if !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
				return
			}
			if got := fmt.Sprintf("%s:%d", at.chip.name, at.offset); got != test.want {
				t.Errorf("%s is %s, want %s", test.name, got, test.want)
			}
		})
	}
}

func TestLineNamesThatAreNone(t *testing.T) {
	for _, text := range []string{
		"", " ", "pin 0", "pin 41", "pin x", "pin 1", "pin 6", "pin 27", "pin 28",
		"chip:", ":17", "chip:-1", "chip:4096", "chip:1.5", "a chip:3", "GPIO 17", strings.Repeat("G", 32),
	} {
		if name, err := ParseLineName(text); err == nil {
			t.Errorf("%q was read as %v", text, name)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("the error does not repeat %q: %v", text, err)
		}
	}
}

func TestNameOfAKeptLine(t *testing.T) {
	chips := []chip{{label: "a:b", name: "gpiochip0", lines: make([]string, 4)}}
	for _, s := range []Settings{
		{FailMode: FailSecure},
		{FailMode: FailSecure, ActiveLow: true},
		{FailMode: FailSafe},
		{FailMode: FailSafe, ActiveLow: true},
	} {
		s.Wiring = Wiring{Drive: OpenDrain, Bias: PullUp}
		k := Kept{Name: keptName(lineAt{chips[0], 3}, s)}
		level, err := k.lockedLevel()
		if err != nil || level != s.Level(true) {
			t.Errorf("%s: locked is %v, %v; want %v", k.Name, level, err, s.Level(true))
		}
		s.Wiring.Line = "a:b:3"
		if got, err := k.settings(chips); got != s || err != nil {
			t.Errorf("%s: %+v, %v", k.Name, got, err)
		}
	}
	for _, name := range []string{"", "lock/", "lock/a_b/3/high", "lock/a_b/3/up/safe/push-pull/as-is", "lock/a_b/3/low/maybe/push-pull/as-is", "lock/a_b/3/low/safe/pull/as-is", "door/a_b/3/low/safe/push-pull/as-is"} {
		if _, err := (Kept{Name: name}).lockedLevel(); err == nil {
			t.Errorf("%q was taken for a line of a lock", name)
		}
	}
	if _, err := (Kept{Name: "lock/c/3/low/safe/push-pull/as-is"}).settings(chips); err == nil {
		t.Error("a chip that is not there was found")
	}
}
