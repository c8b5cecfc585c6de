package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"latchd/iothub"
)

func TestADesiredFileThatCannotBeUsedIsSetAside(t *testing.T) {
	for name, row := range map[string]struct{ text, aside string }{
		"newer":         {`{"format":2,"accepted":7}`, "newer-format"},
		"empty":         {``, "damaged"},
		"half":          {`{"format":1,"acc`, "damaged"},
		"zeros":         {"\x00\x00", "damaged"},
		"no format":     {`{"accepted":{}}`, "damaged"},
		"nothing kept":  {`{"format":1}`, "damaged"},
		"a wrong type":  {`{"format":1,"accepted":[],"version":1}`, "damaged"},
		"a wrong boot":  {`{"format":1,"accepted":{},"confirmed":{"doorPolicy":7}}`, "damaged"},
		"one too many":  {`{"format":1,"accepted":{}} {}`, "damaged"},
		"a good one":    {`{"format":1,"version":7,"accepted":{"building":43},"confirmed":{"building":"boot-1"}}`, ""},
		"a good, empty": {`{"format":1,"version":7,"accepted":{},"confirmed":null}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "desired.json")
			if err := os.WriteFile(path, []byte(row.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := loadDesired(path, slog.New(slog.DiscardHandler))
			if err != nil || s.accepted == nil || s.acks == nil || s.confirmed == nil {
				t.Fatalf("%+v, error %v", s, err)
			}
			if row.aside == "" {
				if s.version != 7 {
					t.Errorf("read as %+v", s)
				}
				return
			}
			text, err := os.ReadFile(path + ".aside-" + row.aside)
			if err != nil || string(text) != row.text {
				t.Errorf("set aside is %q, error %v", text, err)
			}
		})
	}
}

// What was accepted by an earlier version, or was changed by hand, goes
// through the same check as a new value.
func TestARestoredValueIsChecked(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.stop()
		text := `{"format":1,"version":7,"accepted":{"doorPolicy":{"resting":"ajar"}},"confirmed":{"doorPolicy":"boot-1"}}`
		if err := os.WriteFile(r.desiredFile(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		r.door.policy = DoorPolicy{Resting: "locked"}
		r.start()
		if r.door.policy.Resting != "locked" {
			r.Errorf("in force: %+v", r.door.policy)
		}
	})
}

func TestALongReasonIsClipped(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.Desired(iothub.Section{Version: 2, Properties: map[string]any{"doorPolicy": map[string]any{strings.Repeat("é", 600): 1}}})
		ad, _ := r.twin("doorPolicy")["ad"].(string)
		if n := len([]rune(ad)); n != 512 {
			r.Errorf("ad has %d characters", n)
		}
	})
}

func FuzzDecodeDesired(f *testing.F) {
	f.Add([]byte(`{"format":1,"version":7,"accepted":{"building":43,"doorPolicy":{"resting":"unlocked","unlockTime":5,"heldOpenAfter":30}},"confirmed":{"building":"boot-1"}}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"accepted":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, why := decodeDesired(text)
		if s.accepted == nil || s.acks == nil || s.confirmed == nil {
			t.Errorf("a map is missing (%q)", why)
		}
		if why != "" && (len(s.accepted) > 0 || len(s.confirmed) > 0) {
			t.Errorf("%s, and yet %v", why, s)
		}
		a := &Agent{Config: Config{Door: &fakeDoor{}, Log: slog.New(slog.DiscardHandler)}, log: slog.New(slog.DiscardHandler), desired: s}
		a.restoreDesired() // whatever it holds, it is checked first
	})
}

// The hub's policy is put on top of a local one that was read again.
func TestReloadedSettingsAreUnderTheHubs(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.Desired(iothub.Section{Version: 7, Properties: map[string]any{"doorPolicy": map[string]any{"heldOpenAfter": "10s"}}})
		local := DoorPolicy{Resting: "locked", UnlockTime: 7e9, HeldOpenAfter: 60e9}
		r.Reload(Local{DoorPolicy: local, Fault: "line 3 is wrong"})
		if got := r.door.policy; got.HeldOpenAfter != 10e9 || !got.FromHub {
			t.Errorf("in force is %+v", got)
		}
		if got := r.local(); got.RebootDelay != DefaultRebootDelay || got.Fault != "line 3 is wrong" {
			t.Errorf("local: %+v", got)
		}
	})
}
