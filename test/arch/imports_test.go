package arch

import (
	"slices"
	"strings"
	"testing"
)

// mayImport is the map of the house: which of our packages a package may import. "gpio" is that package alone,
// "gpio/..." also what is beneath it. The longest key that fits a package is its row; a package without a row
// fails the test, because a new room is a decision, and this is where it is written down.
//
// A command flows one way, hub → iothub → agent → gpio or firmware → hardware, and what is true flows back. So
// nothing below knows what is above it: the hardware packages know neither hub nor agent, the agent declares the
// lock and the machine it needs as interfaces, and only the programs in cmd wire the parts together.
var mayImport = map[string][]string{
	"cmd/latchd":   {"agent/...", "gpio", "firmware", "iothub", "iothub/device", "internal/..."},
	"cmd/latchctl": {"iothub", "iothub/rest", "iothub/service/...", "agent/maintenance", "internal/..."},
	"cmd/latchhub": {"hub", "internal/..."},

	"agent/...":         {"agent/...", "iothub", "internal/..."},
	"agent/maintenance": {"internal/..."}, // pure: the hub and latchctl use it too, and must not get the agent with it

	"hub":        {"hub/broker", "hub/query", "iothub", "iothub/rest", "agent/maintenance", "internal/..."},
	"hub/broker": {"iothub", "internal/..."},
	"hub/query":  {"iothub", "internal/..."},

	"gpio/...":     {"gpio/...", "internal/..."},
	"firmware/...": {"firmware/...", "internal/..."},

	"iothub":             {"internal/..."},
	"iothub/rest":        {"iothub", "internal/..."},
	"iothub/device":      {"iothub", "internal/..."},
	"iothub/service/...": {"iothub", "iothub/rest", "iothub/service/...", "internal/..."},

	"internal/...":   {},
	"internal/clock": {"internal/atomicfile", "internal/backoff"}, // it keeps a file and tries again
	"test/...":       {"..."},
}

// Tests may reach across rooms to put real parts together, except these: they must run where there is no hub.
var localTests = []string{"gpio/...", "firmware/..."}

func TestImports(t *testing.T) {
	for _, s := range sources(t) {
		if s.test && !slices.ContainsFunc(localTests, func(pattern string) bool { return matches(pattern, s.dir()) }) {
			continue
		}
		row, ok := rowOf(s.dir())
		if !ok {
			t.Errorf("%s: package %s has no row in the table of who may import whom (test/arch/imports_test.go)", s.name, s.dir())
			continue
		}
		for _, imported := range s.imports() {
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok || ours == s.dir() { // its own package is what an external test imports first
				continue
			}
			if !slices.ContainsFunc(mayImport[row], func(pattern string) bool { return matches(pattern, ours) }) {
				t.Errorf("%s imports %s; %q may import only %q", s.name, ours, row, mayImport[row])
			}
		}
	}
}

// rowOf returns the longest key of the table that fits dir.
func rowOf(dir string) (row string, ok bool) {
	for key := range mayImport {
		// An exact key beats the subtree of the same name.
		if matches(key, dir) && (!ok || key == dir || row != dir && len(key) > len(row)) {
			row, ok = key, true
		}
	}
	return row, ok
}

// matches reports whether dir is the package that pattern names, or beneath it if pattern ends in "...".
func matches(pattern, dir string) bool {
	tree, ok := strings.CutSuffix(pattern, "...")
	if !ok {
		return dir == pattern
	}
	return strings.HasPrefix(dir+"/", tree)
}

func TestRowOf(t *testing.T) {
	for dir, want := range map[string]string{
		"agent":                   "agent/...",
		"agent/ledger":            "agent/...",
		"agent/maintenance":       "agent/maintenance",
		"agent/maintenance/zones": "agent/...",
		"hub":                     "hub",
		"hub/query":               "hub/query",
		"hub/page":                "",
		"iothub":                  "iothub",
		"iothub/service/campaign": "iothub/service/...",
		"internal":                "internal/...",
		"gpiofake":                "",
		"cmd/latchdx":             "",
	} {
		if got, ok := rowOf(dir); got != want || ok != (want != "") {
			t.Errorf("rowOf(%q) = %q, %v; want %q", dir, got, ok, want)
		}
	}
}
