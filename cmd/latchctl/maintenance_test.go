package main

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"latchd/agent/maintenance"
	"latchd/internal/zone"
	"latchd/iothub"
)

func decodeObject(t *testing.T, text string) map[string]any {
	t.Helper()
	doc, err := iothub.DecodeObject([]byte(text))
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return doc
}

// However the old policy looks, a twin that merges the patch holds the new one
// and nothing besides. Where the old one was not read that holds for the keys
// that a policy may have; those are all that a device does not refuse.
func TestReplacing(t *testing.T) {
	policies := []string{
		`{}`,
		`{"windows":[]}`,
		`{"timeZone":"Europe/Paris","windows":[{"start":"02:30","duration":"2h","name":"night"}],"spread":"5m"}`,
		`{"exclusions":[{"from":"2026-12-24","to":"2026-12-26"}],"policy":{"rebootDevice":"allow","factoryReset":"defer"}}`,
		`{"windows":[{"start":"03:00","duration":3600}],"policy":{"firmwareUpdate":"reject"}}`,
	}
	olds := append(slices.Clone(policies), `{"exclusion":[],"policy":{"reboot":"allow","rebootDevice":"reject"},"deep":{"er":{"a":1}}}`, `{"policy":"defer"}`)
	for _, policy := range policies {
		for _, old := range olds {
			for _, read := range []bool{true, false} {
				if !read && maintenanceKnows(decodeObject(t, old)) != nil {
					continue
				}
				had := map[string]any{maintenanceKey: decodeObject(t, old), "building": "43"}
				known := decodeObject(t, old)
				if !read {
					known = nil
				}
				patch := *desiring(decodeObject(t, policy), known).Desired
				if err := iothub.CheckPatch(patch); err != nil {
					t.Errorf("%s after %s: %v", policy, old, err)
				}
				got := iothub.Merge(had, patch)
				want := map[string]any{maintenanceKey: decodeObject(t, policy), "building": "43"}
				if !iothub.Equal(got, want) {
					t.Errorf("%s after %s (read: %v):\n got %v", policy, old, read, got)
				}
			}
		}
	}
}

func maintenanceKnows(value map[string]any) error {
	_, err := maintenance.Parse(value, 0)
	return err
}

// A key that policies get and that a replacement does not remove would stay in
// force.
func TestEveryKeyIsReplaced(t *testing.T) {
	policy, err := maintenance.Parse(decodeObject(t, `{"timeZone":"UTC","windows":[{"start":"02:30","duration":"2h"}],
		"exclusions":[{"from":"2026-12-24","to":"2026-12-26"}],"spread":"5m",
		"policy":{"rebootDevice":"defer","firmwareUpdate":"defer","factoryReset":"reject"}}`), 0)
	if err != nil {
		t.Fatal(err)
	}
	doc := policy.Document()
	if got := slices.Sorted(maps.Keys(doc)); !slices.Equal(got, slices.Sorted(slices.Values(policyKeys))) {
		t.Errorf("a policy has %v, replaced are %v", got, policyKeys)
	}
	actions, _ := doc[actionsKey].(map[string]any)
	if got := slices.Sorted(maps.Keys(actions)); !slices.Equal(got, slices.Sorted(slices.Values(actionKeys))) {
		t.Errorf("its actions are %v, replaced are %v", got, actionKeys)
	}
}

// A policy is readable, in either form, and what is wrong in it is not hidden.
func TestPolicyRows(t *testing.T) {
	for _, test := range []struct{ policy, want string }{
		{`{}`, `windows=always open`},
		{`{"exclusions":[{"from":"2026-12-24","to":"2026-12-26"}]}`, `windows=always open|excluded=2026-12-24 to 2026-12-26`},
		{
			`{"timeZone":"Europe/Paris","windows":[{"start":"02:30","duration":"PT90M","name":"night","days":["mon","tue"]},{"start":"03:00","duration":7200}],
			 "exclusions":[{"from":"2026-12-24","to":"2026-12-26"},{"from":"2027-01-01","to":"2027-01-01"}],"spread":0,"policy":{"rebootDevice":"allow"}}`,
			"zone=Europe/Paris|window=night: mon, tue at 02:30 for 1h30m|window=window 2: every day at 03:00 for 2h|" +
				"excluded=2026-12-24 to 2026-12-26|excluded=2027-01-01|spread=0s|policy.rebootDevice=allow",
		},
		{`{"windows":[]}`, "windows=none: never open"},
		{
			`{"windows":[{"start":"02:30"},{"start":"02:30","duration":"2h","day":["mon"]},"night"],"exclusions":[{"from":"2026-12-24"}],"spread":"soon","exclusion":[]}`,
			`window={"start":"02:30"}|window={"day":["mon"],"duration":"2h","start":"02:30"}|window=night|excluded={"from":"2026-12-24"}|exclusion=[]|spread=soon`,
		},
		{`{"windows":{"start":"02:30"},"timeZone":5}`, "zone=5|windows.start=02:30"},
	} {
		var got []string
		for _, row := range policyRows("", decodeObject(t, test.policy)) {
			got = append(got, strings.TrimSpace(row[0])+"="+row[1])
		}
		if text := strings.Join(got, "|"); text != test.want {
			t.Errorf("%s:\n got %s\nwant %s", test.policy, text, test.want)
		}
	}
}

func TestSpanText(t *testing.T) {
	for value, want := range map[any]string{"2h": "2h", "90m": "1h30m", "10m": "10m", "30s": "30s", "1h0m5s": "1h0m5s", "100h": "100h", "1m30s": "1m30s"} {
		if got, ok := spanText(value); got != want || !ok {
			t.Errorf("%v: %s, want %s", value, got, want)
		}
	}
}

func TestAnswer(t *testing.T) {
	ack := func(status int, version int64) *acknowledgement {
		return &acknowledgement{Status: status, Version: version}
	}
	for _, test := range []struct {
		ack     *acknowledgement
		desired bool
		want    string
	}{
		{nil, false, noPolicy},
		{nil, true, unanswered},
		{ack(200, 7), false, unanswered}, // it has not seen yet that the policy is gone
		{ack(200, 6), true, unanswered},
		{ack(400, 6), true, unanswered},
		{ack(200, 7), true, accepted},
		{ack(400, 7), true, refused},
		{ack(200, 8), true, accepted}, // the twin was read a moment before
	} {
		if got := test.ack.answer(test.desired, 7); got != test.want {
			t.Errorf("%+v, desired %v: %s, want %s", test.ack, test.desired, got, test.want)
		}
	}
}

// A date begins where its zone says: not always at midnight, and at the first
// midnight where there are two.
func TestPreviewFrom(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for _, test := range []struct{ zone, text, want string }{
		{"UTC", "", "2026-11-22T02:00:00Z"},
		{"Europe/Paris", "2026-11-22T02:30:00+01:00", "2026-11-22T01:30:00Z"},
		{"Europe/Paris", "2026-11-22", "2026-11-21T23:00:00Z"},
		{"Europe/Paris", "2026-11-22T02:30", "2026-11-22T01:30:00Z"},
		{"Europe/Paris", "2027-03-28T02:30", "2027-03-28T01:00:00Z"},        // was skipped
		{"Europe/Paris", "2027-10-31T02:30", "2027-10-31T00:30:00Z"},        // was there twice
		{"Pacific/Apia", "2011-12-30T12:00", "2011-12-30T10:00:00Z"},        // a day that was left out
		{"Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30:00Z"}, // skips half an hour
		{"Europe/Paris", "2026-11-22T24:00", ""},
		{"Pacific/Kiritimati", "2026-11-22", "2026-11-21T10:00:00Z"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z"}, // began at 01:00
		{"America/Havana", "2026-11-01", "2026-11-01T04:00:00Z"},    // had midnight twice
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z"},      // was left out
		{"UTC", "1970-01-01", "1970-01-01T00:00:00Z"},
		{"UTC", "1969-12-31", ""},
		{"UTC", "9997-12-31", "9997-12-31T00:00:00Z"},
		{"UTC", "9998-01-01", ""},
		{"UTC", "2026-02-30", ""},
		{"UTC", "tomorrow", ""},
	} {
		in, _, err := zone.Load(test.zone)
		if err != nil {
			t.Fatal(err)
		}
		got, err := previewFrom(test.text, in, now)
		text := got.UTC().Format(time.RFC3339)
		if test.want == "" && err == nil || test.want != "" && (err != nil || text != test.want) {
			t.Errorf("%s in %s: %s, %v, want %s", test.text, test.zone, text, err, test.want)
		}
	}
}
