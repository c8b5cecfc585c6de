package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The door keeps its last good settings under a wrong configuration, so the
// state directory must be found in spite of the error; and whoever mends the
// file wants to see the device at its hub.
func TestAWrongConfigurationStillSaysWhereTheStateIs(t *testing.T) {
	const state = "[state]\ndirectory = \"state\"\n[hub]\nconnection_string_file = \"c\"\n"
	for name, body := range map[string]string{
		"an unknown key":           state + "[door]\nlien = \"GPIO17\"\n",
		"no TOML below":            state + "[door]\nline = \"GPIO17\nactive_level = high\n",
		"no TOML above":            "[door\nline = GPIO17\n" + state,
		"a number where text goes": state + "ca_file = 3\n",
		"an array without its end": state + "ca_file = [\"hub/ca.pem\"\n[door]\nline = \"GPIO17\"\n",
		"a text without its end":   state + "ca_file = \"\"\"hub/ca.pem\n[door]\nline = \"GPIO17\"\n",
		"a header without its end": "[door]\nline = \"GPIO17\"\n" + strings.Replace(state, "]", "", 1),
		"wrong in its own table":   strings.Replace(state, "[hub]", "runtime_directory = 5\n[hub]", 1),
		"a number for a table":     "hub = 3\n" + state,
		"no duration":              "[door]\nunlock_time = \"soon\"\n" + state,
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "latchd.toml")
			if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
				t.Fatal(err)
			}
			var c config
			var err error
			for range 10 { // the decoder's order is another each time
				c, err = loadConfig(file)
				if err != nil && (c.State.Directory != filepath.Join(dir, "state") || c.Hub.ConnectionStringFile != filepath.Join(dir, "c")) {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), "line ") {
				t.Fatalf("the error names no line: %v", err)
			}
			if want := filepath.Join(dir, "state"); c.State.Directory != want {
				t.Errorf("the state directory is %s, want %s", c.State.Directory, want)
			}
			if want := filepath.Join(dir, "c"); c.Hub.ConnectionStringFile != want {
				t.Errorf("the connection string's file is %s, want %s", c.Hub.ConnectionStringFile, want)
			}
		})
	}
}

func TestAWrongConfigurationLeavesNothingOutOfRange(t *testing.T) {
	var c config
	err := c.decode("[reboot]\ndelay = \"100h\"\n[door]\nline = 17\n")
	if err == nil || c.Reboot.Delay != 0 || c.Door != (doorConfig{}) {
		t.Errorf("got %+v and %v", c, err)
	}
	if err = c.decode("[reboot]\ndelay = \"100h\"\n"); err == nil || c.Reboot.Delay != 0 {
		t.Errorf("got %+v and %v", c, err)
	}
	const wrong = "[reboot]\ndelay = \"100h\"\nestimated_duration = \"100h\"\nmax_per_hour = -1\nmax_per_day = 0\n"
	for _, more := range []string{"", "lime = 1\n", "[door]\nline = 17\n"} {
		file := filepath.Join(t.TempDir(), "latchd.toml")
		if err := os.WriteFile(file, []byte(wrong+more), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := loadConfig(file); err == nil || c.Reboot != (rebootConfig{}) {
			t.Errorf("with %q: got %+v and %v", more, c.Reboot, err)
		}
	}
}

func TestAHugeConfigurationIsNotRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "latchd.toml")
	if err := os.WriteFile(file, []byte(strings.Repeat("ca_file = [ \"x\n", 1_000_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := loadConfig(file); err == nil || !strings.Contains(err.Error(), "65536 bytes") {
		t.Errorf("got %v", err)
	}
}

// Whatever the file holds, the agent gets an error that it can show to
// everybody, and no panic.
func FuzzConfiguration(f *testing.F) {
	const key = "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0IDEyMzQ="
	const hub = "[hub]\nconnection_string = \"HostName=h;DeviceId=d;SharedAccessKey=" + key + "\"\n"
	f.Add("[door]\nline = \"GPIO17\"\nactive_level = \"low\"\nfail_mode = \"safe\"\nunlock_time = \"PT5S\"\n")
	f.Add("[door]\nline = 17\n")
	f.Add("[state]\ndirectory = \"a\nb\"\n[reboot]\ndelay = \"2h\"\n[log]\nlevel = \"debug\"\n")
	f.Add("hub = 1\n[[door]]\n")
	f.Add(hub[:len(hub)-2])
	f.Add("connection_string = \"SharedAccessKey=" + key)
	f.Add("\"SharedAccessKey=" + key + "\" = 1\n")
	f.Add("[hub]\nca_file = \"sharedaccesskey=" + key + "\"\n")
	f.Fuzz(func(t *testing.T, body string) {
		for _, file := range []string{body, hub + body, hub[:len(hub)-2] + body} {
			var c config
			err := c.decode(file)
			if err != nil && strings.Contains(err.Error(), key) {
				t.Fatalf("the error tells the key: %v", err)
			}
			if err == nil {
				if _, err := c.settings().Complete(); err != nil {
					t.Fatalf("accepted, and yet no settings: %v", err)
				}
			}
		}
	})
}

func TestAKeyInTheWrongPlaceIsNotRepeated(t *testing.T) {
	const key = "c2VjcmV0a2V5"
	for _, text := range []string{
		`open HostName=h;DeviceId=d;SharedAccessKey=` + key + `: no such file`,
		`"sharedaccesskey=` + key + `" is no option, and SHAREDACCESSKEY=` + key,
	} {
		if got := withoutKey(text); strings.Contains(got, key) || !strings.Contains(got, "***") {
			t.Errorf("%q became %q", text, got)
		}
	}
	if text := "nothing to hide"; withoutKey(text) != text {
		t.Error("it changed what has no key")
	}
	for _, url := range []string{"https://", "http://h", "https://h:99999", "https://h\r\nx", "HostName=h;SharedAccessKey=" + key} {
		c := config{Hub: hubConfig{DateURL: url}}
		if err := c.check(); err == nil || strings.Contains(err.Error(), key) {
			t.Errorf("hub.date_url %q: %v", url, err)
		}
	}
	c := config{Hub: hubConfig{DateURL: "https://hub.example.net:8443/"}}
	if err := c.check(); err != nil {
		t.Error(err)
	}
}
