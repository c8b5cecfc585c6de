package version

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

func TestComplete(t *testing.T) {
	vcs := []debug.BuildSetting{{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-22T02:31:07Z"}}
	tests := []struct {
		name    string
		stamped [3]string
		info    *debug.BuildInfo
		want    [3]string
	}{
		{"nothing is known", [3]string{}, nil, [3]string{"devel", "unknown", "unknown"}},
		{"built from a checkout", [3]string{}, &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}, Settings: vcs}, [3]string{"devel", "0123456789abcdef", "2026-11-22T02:31:07Z"}},
		{"installed from a release", [3]string{}, &debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}}, [3]string{"1.2.0", "unknown", "unknown"}},
		{"the stamp wins", [3]string{"1.3.0", "fedc", "2026-12-01T00:00:00Z"}, &debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}, Settings: vcs}, [3]string{"1.3.0", "fedc", "2026-12-01T00:00:00Z"}},
		{"half a stamp", [3]string{"1.3.0", "", ""}, &debug.BuildInfo{Main: debug.Module{Version: "v1.2.0"}, Settings: vcs}, [3]string{"1.3.0", "0123456789abcdef", "2026-11-22T02:31:07Z"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			version, commit, date := complete(tt.stamped[0], tt.stamped[1], tt.stamped[2], tt.info)
			if got := [3]string{version, commit, date}; got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestStringIsOneLine(t *testing.T) {
	got := line("1.2.0", "0123456789abcdef0123", "2026-11-22T02:31:07Z")
	if !strings.HasPrefix(got, "1.2.0 (commit 0123456789ab, 2026-11-22T02:31:07Z, go1.") {
		t.Errorf("got %q", got)
	}
	if s := String(); s == "" || strings.Contains(s, "\n") {
		t.Errorf("String() = %q, want one line", s)
	}
}

// The names in tools/stamp.sh are only text to the linker, which ignores a name that does not exist: a renamed
// variable would quietly ship programs without a version.
func TestStampReachesTheVariables(t *testing.T) {
	stamp, err := exec.Command("../../tools/stamp.sh").Output()
	if err != nil {
		t.Fatalf("tools/stamp.sh: %v", err)
	}
	program := filepath.Join(t.TempDir(), "probe")
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", string(stamp), "-o", program, "./testdata/probe")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v\n%s", err, out)
	}
	out, err := exec.Command(program).CombinedOutput()
	if err != nil {
		t.Fatalf("running the probe: %v\n%s", err, out)
	}
	for flag := range strings.FieldsSeq(string(stamp)) {
		_, value, _ := strings.Cut(flag, "=")
		if !strings.Contains(string(out), value[:min(len(value), abbreviated)]) {
			t.Errorf("stamped %s, but the program says %q", flag, out)
		}
	}
}
