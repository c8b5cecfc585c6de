package main

import (
	"os"
	"path/filepath"
	"testing"
)

// The door keeps its last good settings under a wrong configuration, so the
// state directory must be found in spite of the error.
func TestAWrongConfigurationStillSaysWhereTheStateIs(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "latchd.toml")
	if err := os.WriteFile(file, []byte("[state]\ndirectory = \"state\"\n[door]\nlien = \"GPIO17\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := loadConfig(file)
	if err == nil {
		t.Fatal("the configuration is wrong, and yet accepted")
	}
	if want := filepath.Join(dir, "state"); c.State.Directory != want {
		t.Errorf("the state directory is %s, want %s", c.State.Directory, want)
	}
}
