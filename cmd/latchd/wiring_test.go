package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"latchd/gpio"
)

// The configurations of docs/wiring.md are in order, on pins that exist, and the
// boot firmware's line next to each leaves the lock's pin at the level that locks.
func TestWiringDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/wiring.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```(toml|config)\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 6 {
		t.Fatalf("found %d blocks", len(blocks))
	}
	for i := 0; i < len(blocks); i += 2 {
		if blocks[i][1] != "toml" || blocks[i+1][1] != "config" {
			t.Fatalf("block %d is %s, the next one %s", i, blocks[i][1], blocks[i+1][1])
		}
		var c config
		if err := c.decode(blocks[i][2]); err != nil {
			t.Errorf("%v in\n%s", err, blocks[i][2])
		}
		settings := c.settings()
		boot := strings.TrimSpace(blocks[i+1][2])
		if strings.HasSuffix(boot, "=ip,pu") {
			checkInputs(t, settings.Wiring, boot)
			continue
		}
		level := "dl"
		if settings.Level(true) == gpio.High {
			level = "dh"
		}
		if want := "gpio=" + strings.TrimPrefix(c.Door.Line, "GPIO") + "=op," + level; boot != want {
			t.Errorf("%s stands by a door that needs %s", boot, want)
		}
	}
	for _, m := range regexp.MustCompile(`GPIO(\d+) \(header pin (\d+)\)|GPIO(\d+), pin (\d+)`).FindAllStringSubmatch(string(text), -1) {
		line, err := gpio.ParseLineName("pin " + m[2] + m[4])
		if err != nil || line.String() != "GPIO"+m[1]+m[3] {
			t.Errorf("%s: that pin is %s (%v)", m[0], line, err)
		}
	}
}

func checkInputs(t *testing.T, w gpio.Wiring, boot string) {
	t.Helper()
	for _, in := range []gpio.InputWiring{w.Contact, w.Bolt, w.Button} {
		number := strings.TrimPrefix(in.Line, "GPIO")
		if !regexp.MustCompile(fmt.Sprintf(`[=,]%s[=,]`, number)).MatchString(boot) {
			t.Errorf("%s leaves %s alone", boot, in.Line)
		}
	}
}
