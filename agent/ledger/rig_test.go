package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var (
	quiet   = slog.New(slog.DiscardHandler)
	day0    = time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)
	errDisk = errors.New("the disk is gone")
)

// command is the command that tests use where only the id matters.
func command(id string) Command { return Command{ID: id, Method: "unlockDoor", Hash: "h"} }

func answerOf(text string) Answer {
	return Answer{Status: 200, Payload: json.RawMessage(`{"Response":"` + text + `"}`)}
}

// begin begins a command that must be new.
func begin(t *testing.T, c *Commands, cmd Command, now time.Time) *Started {
	t.Helper()
	s, stored, err := c.Begin(context.Background(), cmd, now, true)
	if err != nil || stored != nil || s == nil {
		t.Fatalf("begin %s: %v, stored %v", cmd.ID, err, stored)
	}
	return s
}

// carryOut begins a command and ends it with an answer that names it.
func carryOut(t *testing.T, c *Commands, id string, now time.Time) {
	t.Helper()
	if err := begin(t, c, command(id), now).End(answerOf(id)); err != nil {
		t.Fatalf("end %s: %v", id, err)
	}
}

// outcome says in a word what Begin makes of a repeat.
func outcome(c *Commands, cmd Command) string {
	s, stored, err := c.Begin(context.Background(), cmd, day0, true)
	var inFlight *InFlightError
	switch {
	case errors.As(err, &inFlight):
		return "in flight"
	case errors.Is(err, ErrInterrupted):
		return "interrupted"
	case errors.Is(err, ErrConflict):
		return "conflict"
	case errors.Is(err, ErrFull):
		return "full"
	case errors.Is(err, ErrUnwritable):
		return "unwritable"
	case err != nil:
		return err.Error()
	case stored != nil:
		return fmt.Sprintf("%d %s", stored.Status, stored.Payload)
	}
	_ = s.Drop()
	return "new"
}

func journalIn(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "commands.journal")
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func write(t *testing.T, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// asides are the words under which files were set aside beside path.
func asides(t *testing.T, path string) string {
	t.Helper()
	names, err := filepath.Glob(path + ".aside-*")
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range names {
		names[i] = strings.TrimPrefix(n, path+".aside-")
	}
	return strings.Join(names, " ")
}

// fillDisk puts /dev/full in the place of the journal's file: every write
// fails as on a full disk.
func fillDisk(t *testing.T, c *Commands) (free func()) {
	t.Helper()
	full, err := os.OpenFile("/dev/full", os.O_RDWR, 0)
	if err != nil {
		t.Skip("needs /dev/full")
	}
	file := c.journal.file
	c.journal.file = full
	return func() {
		c.journal.file = file
		_ = full.Close()
	}
}

func lines(text []byte) int { return bytes.Count(text, []byte("\n")) }
