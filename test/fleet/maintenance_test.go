package fleet

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/agent"
	"latchd/test/site"
)

// sizes of the fleet: in every test run, and in the soak.
const (
	someDevices = 100
	manyDevices = 1000
)

// answers is what latchctl says of many devices.
type answers struct {
	Accepted, Refused, Unanswered, None int
	Devices                             []struct {
		DeviceID, Answer string
		DesiredVersion   int64
		AC               int
		AV               int64
		AD               string
	}
}

// A policy for a whole site: one command, one query for who took it, who did
// not and why. Each device that refuses has a reason of its own, and one that
// is away is not waited for.
func TestMaintenanceOfManyDevices(t *testing.T) {
	n := someDevices
	if site.IsSoak() {
		n = manyDevices
	}
	var members []member
	slow, typo, away := 0, 0, 0
	for i := range n {
		m := member{id: fmt.Sprintf("d-%04d", i), site: "lab"}
		switch i % 50 {
		case 7: // a window of two hours is too short for it
			m.local = agent.Local{RebootTime: 3 * time.Hour}
			slow++
		case 23: // somebody once misspelt exclusions, and a merge leaves that there
			m.desired = map[string]any{"maintenance": map[string]any{"exclusion": []any{}}}
			typo++
		case 31, 32, 33: // an older policy, of which nothing may stay
			m.desired = map[string]any{"maintenance": map[string]any{
				"exclusions": []any{map[string]any{"from": "1970-01-01", "to": "9999-12-31"}}, "spread": "1m",
				"policy": map[string]any{"rebootDevice": "reject"},
			}}
		case 41:
			m.away = true
			away++
		}
		members = append(members, m)
	}
	members = append(members, member{id: "elsewhere", site: "office"})
	f := newFleet(t, members)
	f.Write("windows.json", `{"timeZone":"Europe/Berlin","windows":[{"name":"night","start":"02:30","duration":"2h"}]}`)

	began := time.Now()
	set, code := f.Try("latchctl", "maintenance", "set", "--where", "tags.site='lab'", "--file", f.Path("windows.json"), "-o", "json", "--wait-timeout", "5m")
	t.Logf("%d devices were told and asked in %s", n, time.Since(began).Round(time.Millisecond))
	if code != 5 {
		t.Errorf("set: exit status %d", code)
	}
	refused := slow + typo
	for what, text := range map[string]string{
		"set": set, "show": f.Output("latchctl", "maintenance", "show", "--where", "tags.site='lab'", "-o", "json"),
	} {
		var got answers
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		if got.Accepted != n-refused-away || got.Refused != refused || got.Unanswered != away || got.None != 0 || len(got.Devices) != n {
			t.Errorf("%s: %d accepted, %d refused, %d silent, %d without, %d rows; wanted were %d, %d, %d, 0, %d",
				what, got.Accepted, got.Refused, got.Unanswered, got.None, len(got.Devices), n-refused-away, refused, away, n)
		}
		checkReasons(t, members, got)
	}
	// What the devices hold, by the hub's own word.
	for condition, want := range map[string]int{
		"properties.reported.maintenance.ac = 200 AND properties.reported.maintenance.av = properties.desired.$version": n - refused - away,
		"properties.reported.maintenance.ac = 400": refused,
		"properties.reported.maintenance.value.timeZone = 'Europe/Berlin' AND properties.desired.maintenance.exclusions = ''": 0,
		"IS_DEFINED(properties.desired.maintenance.exclusions) OR IS_DEFINED(properties.desired.maintenance.spread)":          0,
		"IS_DEFINED(properties.desired.maintenance.policy)":                                                                   0,
		"tags.site = 'office' AND NOT IS_DEFINED(properties.desired.maintenance)":                                             1,
		"IS_DEFINED(properties.reported.maintenanceStatus.next) AND tags.site = 'lab'":                                        n - refused - away,
	} {
		if got := f.count(condition); got != want {
			t.Errorf("%s: %d devices, want %d", condition, got, want)
		}
	}

	// A job knows the keys that a policy may have, and so leaves a misspelt one
	// where it is; told by itself, the device is rid of it.
	f.Output("latchctl", "maintenance", "set", "d-0023", "--file", f.Path("windows.json"), "--wait-timeout", "5m")

	// A condition that the change itself takes its devices out of.
	out, code := f.Try("latchctl", "maintenance", "clear", "--where", "IS_DEFINED(properties.desired.maintenance)", "-o", "json", "--wait-timeout", "5m")
	var cleared answers
	if err := json.Unmarshal([]byte(out), &cleared); err != nil {
		t.Fatal(err)
	}
	// A device that never connected has reported no policy that it could take back.
	if code != 0 || cleared.None != n || len(cleared.Devices) != n {
		t.Errorf("clear: exit status %d, %d rows, %d without a policy; wanted were %d", code, len(cleared.Devices), cleared.None, n)
	}
	if out, code := f.Try("latchctl", "maintenance", "clear", "--where", "IS_DEFINED(properties.desired.maintenance)"); code != 3 {
		t.Errorf("clear of nobody: exit status %d\n%s", code, out)
	}
	if got := f.count("IS_DEFINED(properties.reported.maintenance)"); got != 0 {
		t.Errorf("%d devices still have a policy", got)
	}
}

// checkReasons wants each device's own reason.
func checkReasons(t *testing.T, members []member, got answers) {
	t.Helper()
	of := map[string]member{}
	for _, m := range members {
		of[m.id] = m
	}
	for _, d := range got.Devices {
		m := of[d.DeviceID]
		answer, reason := "accepted", "1 window"
		switch {
		case m.away:
			answer, reason = "unanswered", ""
		case m.local.RebootTime > 0:
			answer, reason = "refused", "maintenance.windows: "
		case m.desired != nil && strings.Contains(fmt.Sprint(m.desired), "exclusion:"):
			answer, reason = "refused", "maintenance.exclusion: "
		}
		if d.Answer != answer || !strings.HasPrefix(d.AD, reason) {
			t.Errorf("%s: %+v, want %s: %s", d.DeviceID, d, answer, reason)
		}
	}
}
