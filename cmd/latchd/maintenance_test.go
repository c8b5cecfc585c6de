package main

import (
	"strings"
	"testing"
	"time"
)

// While the clock is not trusted, nothing is said of when it opens: by that clock
// it would be wrong. With the clock trusted, it is.
func TestMaintenanceByClockThatIsNotTrusted(t *testing.T) {
	const policy = `"policy":{"timeZone":"UTC","windows":[
		{"name":"night","days":["mon","tue","wed","thu","fri","sat","sun"],"start":"02:30","duration":7200},
		{"name":"noon","days":["mon","tue"],"start":"12:00","duration":5400}],
		"exclusions":[{"from":"2026-12-24","to":"2026-12-26"},{"from":"2027-01-01","to":"2027-01-01"}]}`
	now := time.Date(1970, 1, 1, 3, 0, 0, 0, time.UTC)
	got, err := maintenanceText([]byte(`{`+policy+`,"status":{"open":false,"why":"clock","zoneData":"system"}}`), now, 2, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"The clock is not to be believed yet.", "): 2 windows, 2 exclusions\n",
		"  night: every day at 02:30 for 2h0m\n", "  noon: mon, tue at 12:00 for 1h30m\n",
		"  excluded: 2026-12-24 to 2026-12-26\n", "  excluded: 2027-01-01\n",
		"\nnow      closed, because the clock is not to be believed yet",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	for _, not := range []string{"1970", "open at", "opens next", "\u2588"} {
		if strings.Contains(got, not) {
			t.Errorf("%q is in\n%s", not, got)
		}
	}
	got, err = maintenanceText([]byte(`{`+policy+`,"status":{"open":true,"why":"window"}}`), now, 2, false)
	if err != nil || !strings.Contains(got, "opens next") || strings.Contains(got, "believed") {
		t.Errorf("with a trusted clock: %v\n%s", err, got)
	}
}
