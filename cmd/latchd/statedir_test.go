package main

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
)

func TestStateDirectoryIsForOneAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	release, err := takeState(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeState(dir, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a second agent may use it too")
	}
	// A read-only disk takes no file, and the agent must start on one.
	if names, err := os.ReadDir(dir); err != nil || len(names) > 0 {
		t.Errorf("taking it wrote %v, %v", names, err)
	}
	release()
	release, err = takeState(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Errorf("it is not released: %v", err)
	}
	release()
}

func TestNoStateDirectoryIsNoReasonNotToStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	release, err := takeState(filepath.Join(file, "state"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	release()
}
