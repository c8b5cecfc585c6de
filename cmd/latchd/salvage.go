package main

import (
	"strings"

	"github.com/BurntSushi/toml"
)

// salvage reads what a file with a mistake says beside it: a slip of the pen
// must not move the state directory, nor cut the device off from its hub. It
// reads line by line, because of a bracket or a quote that is not closed the
// decoder tells only where it noticed, and of several keys it reads a few, in
// no certain order.
//
// It leaves out the door, of which half is worse than nothing: without its
// active level a line would be driven the wrong way. The lock has its last good
// settings.
func (c *config) salvage(body string) {
	*c = config{}
	kept := struct {
		Hub      *hubConfig
		State    *stateConfig
		Reboot   *rebootConfig
		Simulate *simulateConfig
		Log      *logConfig
	}{&c.Hub, &c.State, &c.Reboot, &c.Simulate, &c.Log}
	header := ""
	for line := range strings.Lines(body) {
		if table, ok := tableOf(line); ok {
			header = "[" + table + "]\n"
			continue
		}
		_, _ = toml.Decode(header+line, &kept) // the mistake is told already
	}
	_ = c.check() // drops what is out of range
}

// tableOf reads a table's header; its end may be missing.
func tableOf(line string) (name string, ok bool) {
	name, ok = strings.CutPrefix(strings.TrimSpace(line), "[")
	if !ok {
		return "", false
	}
	name, _, _ = strings.Cut(name, "#")
	name, _, _ = strings.Cut(name, "]")
	return strings.Trim(name, "[ \t"), true
}
