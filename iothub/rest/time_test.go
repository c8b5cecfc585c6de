package rest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestTimeIsRead(t *testing.T) {
	at := time.Date(2026, 11, 22, 2, 31, 7, 0, time.UTC)
	for _, test := range []struct {
		text string
		want time.Time
	}{
		{"2026-11-22T02:31:07Z", at},
		{"2026-11-22T02:31:07z", at},
		{"2026-11-22T02:31:07", at},
		{"2026-11-22T02:31:07+00:00", at},
		{"2026-11-22T03:31:07+01:00", at},
		{"2026-11-21T18:31:07-08:00", at},
		{"2026-11-22T02:31:07.1Z", at.Add(100 * time.Millisecond)},
		{"2026-11-22T02:31:07.102Z", at.Add(102 * time.Millisecond)},
		{"2026-11-22T02:31:07.5481Z", at.Add(548_100 * time.Microsecond)},
		{"2026-11-22T02:31:07.862759Z", at.Add(862_759 * time.Microsecond)},
		{"2026-11-22T02:31:07.2649798Z", at.Add(264_979_800)},
		{"2026-11-22T02:31:07.2649798", at.Add(264_979_800)},
		{"2026-11-22T02:31:07.123456789Z", at.Add(123_456_789)},
		{"2026-11-22T02:31:07.1234567890Z", at.Add(123_456_789)},
		{"2026-11-22T02:31:07.2649798+00:00", at.Add(264_979_800)},
		{"0001-01-01T00:00:00Z", time.Time{}},
		{"0001-01-01T00:00:00", time.Time{}},
		{"0001-01-01T00:00:00.0000000Z", time.Time{}},
		{"0001-01-01T00:00:00+01:00", time.Time{}},
		{"9999-12-31T23:59:59.9999999Z", time.Date(9999, 12, 31, 23, 59, 59, 999_999_900, time.UTC)},
	} {
		got, err := ParseTime(test.text)
		if err != nil || !got.Equal(test.want) || got.Location() != time.UTC {
			t.Errorf("%s is read as %s, error %v", test.text, got, err)
		}
		var inJSON struct{ At, Pointer *Time }
		if err := json.Unmarshal([]byte(`{"at":"`+test.text+`","pointer":null}`), &inJSON); err != nil || !inJSON.At.Equal(test.want) || inJSON.Pointer != nil {
			t.Errorf("%s in JSON is read as %v, error %v", test.text, inJSON, err)
		}
	}
	for _, text := range []string{"null", `""`} {
		got := Time{at}
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.IsZero() {
			t.Errorf("%s is read as %s, error %v", text, got, err)
		}
	}
}

func TestWrongTimes(t *testing.T) {
	for _, text := range []string{
		`"x"`, `"2026-11-22"`, `"2026-11-22 02:31:07Z"`, `"2026-11-22T02:31Z"`, `"2026-11-31T02:31:07Z"`, `"2026-11-22T24:31:07Z"`,
		`"2026-11-22T02:31:07Zx"`, `"20261122T023107Z"`, `"9999-12-31T23:59:59-01:00"`, `"10000-01-01T00:00:00Z"`, `" "`,
		`1795314667`, `true`, `{}`, `["2026-11-22T02:31:07Z"]`, `"` + strings.Repeat("2", 10_000) + `"`,
	} {
		got := Time{time.Unix(1, 0)}
		if err := json.Unmarshal([]byte(text), &got); err == nil || len(err.Error()) > 200 || !got.Equal(time.Unix(1, 0)) {
			t.Errorf("%.100s is read as %s, error %v", text, got, err)
		}
	}
}

func TestTimeIsWritten(t *testing.T) {
	for _, test := range []struct {
		at   time.Time
		want string
	}{
		{time.Time{}, `"0001-01-01T00:00:00Z"`},
		{time.Date(2026, 11, 22, 3, 31, 7, 102_000_000, time.FixedZone("", 3600)), `"2026-11-22T02:31:07.1020000Z"`},
		{time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC), `"9999-12-31T23:59:59.9999999Z"`},
	} {
		text, err := json.Marshal(Time{test.at})
		if err != nil || string(text) != test.want {
			t.Errorf("%s is written as %s, error %v", test.at, text, err)
		}
		var again Time
		if err := json.Unmarshal(text, &again); err != nil || !again.Equal(test.at.Truncate(100)) {
			t.Errorf("%s is read again as %s, error %v", text, again, err)
		}
	}
	if text, err := json.Marshal(Time{time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600))}); err == nil {
		t.Errorf("the year 10000 is written as %s", text)
	}
}

func FuzzTime(f *testing.F) {
	for _, seed := range []string{
		"2026-11-22T02:31:07.2649798Z", "2026-11-22T02:31:07", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "2026-11-22t02:31:07z",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseTime(text)
		if err != nil {
			return
		}
		written, err := json.Marshal(Time{at})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		var again Time
		if err := json.Unmarshal(written, &again); err != nil || !again.Equal(at.Truncate(100)) {
			t.Errorf("%q is written as %s and read as %s, error %v", text, written, again, err)
		}
	})
}
