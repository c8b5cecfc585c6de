// Package version says which build of latchd, latchctl or latchhub is running.
//
// `make build` stamps the three variables at link time, from the commit and not from the clock, so that the
// same commit gives the same bytes on every machine. A program built without the stamp (`go build`, `go run`,
// `go install`) falls back to what the Go tool recorded about the module and its version control, and says
// "devel" where that is silent too. Nothing here is ever empty, and nothing here can fail.
//
// It is not the place for versions of a wire format or of a state file: those belong to whoever reads them.
package version

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set by the linker, for example:
//
//	go build -ldflags "-X latchd/internal/version.Version=1.2.0 -X …"
//
// Left empty, they are filled from the build information before main starts. They are read-only afterwards.
var (
	// Version is the release without a leading v, "1.2.0", with build metadata when the tree is past it,
	// "1.2.0+3.g1a2b3c4"; "devel" when nobody knows.
	Version string
	// Commit is the full commit id, or "unknown".
	Commit string
	// Date is the time of the commit (not of the build), RFC 3339 in UTC, or "unknown".
	Date string
)

func init() {
	info, _ := debug.ReadBuildInfo()
	Version, Commit, Date = complete(Version, Commit, Date, info)
}

// String is the one line that --version prints after the program's name.
func String() string {
	return line(Version, Commit, Date)
}

// abbreviated is the length to which a commit is cut for people, as git does in a repository of this size.
const abbreviated = 12

func line(version, commit, date string) string {
	return fmt.Sprintf("%s (commit %.*s, %s, %s %s/%s)",
		version, abbreviated, commit, date, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// complete fills what the linker left empty from info, which may be nil.
func complete(version, commit, date string, info *debug.BuildInfo) (string, string, string) {
	if info != nil {
		// "(devel)" is what the Go tool writes for a main module without a known version.
		if v := info.Main.Version; version == "" && v != "(devel)" {
			version = strings.TrimPrefix(v, "v")
		}
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision" && commit == "":
				commit = s.Value
			case s.Key == "vcs.time" && date == "":
				date = s.Value
			}
		}
	}
	return cmp.Or(version, "devel"), cmp.Or(commit, "unknown"), cmp.Or(date, "unknown")
}
