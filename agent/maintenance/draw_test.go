package maintenance

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// Two windows a week, as people have them.
func nightly(zoneName string) map[string]any {
	return map[string]any{"timeZone": zoneName, "windows": []any{
		map[string]any{"name": "night", "days": []any{"mon", "tue", "wed", "thu", "fri"}, "start": "02:30", "duration": "2h"},
		map[string]any{"name": "weekend", "days": []any{"sat"}, "start": "22:00", "duration": "6h"},
	}}
}

func with(doc map[string]any, key string, value any) map[string]any {
	doc[key] = value
	return doc
}

// The pictures are in testdata; UPDATE_GOLDEN=1 go test ./agent/maintenance
// draws them again.
func TestDraw(t *testing.T) {
	christmas := []any{map[string]any{"from": "2026-12-24", "to": "2026-12-26"}, map[string]any{"from": "2026-12-31", "to": "2027-01-01"}}
	everyNight := []any{map[string]any{"name": "night", "start": "01:45", "duration": "1h"}}
	for _, c := range []struct {
		name  string
		doc   map[string]any
		from  string
		weeks int
		color bool
	}{
		{"week", nightly("Europe/Berlin"), "2026-11-18T13:12:00Z", 2, false},
		{"colour", nightly("Europe/Berlin"), "2026-11-18T22:59:59Z", 1, true},
		{"paris-spring", nightly("Europe/Paris"), "2026-03-26T08:00:00Z", 1, false},
		{"paris-autumn", nightly("Europe/Paris"), "2026-10-22T08:00:00Z", 1, false},
		{"paris-autumn-short", with(nightly("Europe/Paris"), "windows", []any{
			map[string]any{"name": "first half", "start": "02:15", "duration": "30m"},
		}), "2026-10-25T00:20:00Z", 1, false},
		{"lord-howe-spring", with(nightly("Australia/Lord_Howe"), "windows", everyNight), "2026-10-01T08:00:00Z", 1, false},
		{"lord-howe-autumn", with(nightly("Australia/Lord_Howe"), "windows", everyNight), "2026-04-02T08:00:00Z", 1, false},
		{"apia-2011", nightly("Pacific/Apia"), "2011-12-27T08:00:00Z", 1, false},
		{"exclusions", with(nightly("Europe/Berlin"), "exclusions", christmas), "2026-12-23T04:00:00Z", 2, false},
		{"empty", with(nightly("Europe/Berlin"), "windows", []any{}), "2026-11-18T13:12:00Z", 1, false},
		{"no-windows", with(with(nightly("UTC"), "windows", nil), "exclusions", christmas), "2026-12-23T04:00:00Z", 1, false},
		{"always", map[string]any{}, "2026-12-23T04:00:00Z", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := mustParse(t, c.doc)
			p.Data = "system 2026b" // of the machine that draws
			from, err := time.Parse(time.RFC3339, c.from)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			if err := Draw(&b, p, from, c.weeks, c.color); err != nil {
				t.Fatal(err)
			}
			checkWidth(t, b.String())
			golden(t, filepath.Join("testdata", "draw", c.name+".txt"), b.String())
		})
	}
}

func checkWidth(t *testing.T, text string) {
	t.Helper()
	for line := range strings.Lines(regexp.MustCompile("\x1b\\[[0-9]*m").ReplaceAllString(text, "")) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 {
			t.Errorf("%d columns: %s", n, line)
		}
		if strings.HasSuffix(line, " \n") {
			t.Errorf("a space at the end of %q", line)
		}
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is not what is drawn; UPDATE_GOLDEN=1 go test ./agent/maintenance draws it again:\n%s", name, diff)
	}
}
