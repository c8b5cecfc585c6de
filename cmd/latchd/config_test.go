package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The door keeps its last good settings under a wrong configuration, so the
// state directory must be found in spite of the error.
func TestAWrongConfigurationStillSaysWhereTheStateIs(t *testing.T) {
	const state = "[state]\ndirectory = \"state\"\n"
	for name, body := range map[string]string{
		"an unknown key":           state + "[door]\nlien = \"GPIO17\"\n",
		"no TOML below":            state + "[door]\nline = \"GPIO17\nactive_level = high\n",
		"no TOML above":            "[door\nline = GPIO17\n" + state,
		"a number where text goes": "[hub]\nca_file = 3\n" + state,
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
				if err != nil && c.State.Directory != filepath.Join(dir, "state") {
					break
				}
			}
			if err == nil || !strings.Contains(err.Error(), "line ") {
				t.Fatalf("the error names no line: %v", err)
			}
			if want := filepath.Join(dir, "state"); c.State.Directory != want {
				t.Errorf("the state directory is %s, want %s", c.State.Directory, want)
			}
		})
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
