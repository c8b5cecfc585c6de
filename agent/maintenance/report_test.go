package maintenance_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"latchd/agent/maintenance"
)

func TestOpeningDocument(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	opens := time.Date(2026, 3, 29, 2, 30, 0, 0, zone)
	for _, test := range []struct {
		name    string
		opening maintenance.Opening
		want    map[string]any
	}{
		{
			"whole",
			maintenance.Opening{Name: "night", Opens: opens, Closes: opens.Add(90*time.Minute + 5*time.Millisecond)},
			map[string]any{
				"name": "night", "local": "Sun 02:30 CET",
				"opensAt": "2026-03-29T01:30:00.000Z", "closesAt": "2026-03-29T03:00:00.005Z",
			},
		},
		{"for ever", maintenance.Opening{}, map[string]any{}},
		{
			"without an end",
			maintenance.Opening{Name: "window 1", Opens: opens.UTC()},
			map[string]any{"name": "window 1", "local": "Sun 02:30 CET", "opensAt": "2026-03-29T01:30:00.000Z"},
		},
	} {
		if diff := cmp.Diff(test.want, test.opening.Document(zone)); diff != "" {
			t.Errorf("%s: %s", test.name, diff)
		}
	}
}
