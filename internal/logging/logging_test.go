package logging

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// story logs one record of each kind that has a rule of its own.
func story(log *slog.Logger) {
	log.Debug("not shown at level info")
	log.Info("agent started")
	log.Info("door locked", "mode", "lockdown", "until", time.Date(2026, 11, 22, 2, 41, 7, 0, time.UTC))
	log.Warn("report refused", "status", 429, "retryAfter", 5*time.Second)
	log.Error("lock failed", "error", errors.New("request line 17: device or resource busy"))
	log.Info("forged\n<0>kernel: panic", "value", "one\r\ntwo\u2028three", "bytes", []byte("a\nb"))
	log.Info("not printable \x1b[31m", "key with space\n", "v")
	log.Info("keys of slog's own", "level", slog.LevelError, "msg", "text", "time", time.Unix(0, 0).UTC())
	log.With("device", "front").WithGroup("door").With("n", 1).Info("grouped", "mode", "resting", "msg", "")
	log.Info("", "empty", "message")
	log.Log(context.Background(), slog.LevelError+4, "beyond error")
}

func TestGoldenLines(t *testing.T) {
	tests := []struct {
		golden   string
		journald bool
	}{
		{"human.txt", false},
		{"journald.txt", true},
	}
	for _, test := range tests {
		t.Run(test.golden, func(t *testing.T) {
			// The bubble's clock starts at 2000-01-01T00:00:00Z and stands still.
			synctest.Test(t, func(t *testing.T) {
				var got bytes.Buffer
				story(New(&got, slog.LevelInfo, test.journald))
				path := filepath.Join("testdata", test.golden)
				if os.Getenv("UPDATE_GOLDEN") != "" {
					if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got.String()); diff != "" {
					t.Errorf("lines differ (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestOneRecordIsOneWriteOfOneLine(t *testing.T) {
	var writes []string
	log := New(writerFunc(func(p []byte) (int, error) {
		writes = append(writes, string(p))
		return len(p), nil
	}), slog.LevelInfo, true)
	story(log)
	for _, line := range writes {
		if strings.IndexByte(line, '\n') != len(line)-1 {
			t.Errorf("not exactly one line: %q", line)
		}
		if !strings.HasPrefix(line, "<") || line[2] != '>' {
			t.Errorf("no priority: %q", line)
		}
	}
	if len(writes) != 10 {
		t.Errorf("%d writes, want 10", len(writes))
	}
}

func TestRecordWithoutTime(t *testing.T) {
	var got bytes.Buffer
	handler := New(&got, slog.LevelInfo, false).Handler()
	if err := handler.Handle(t.Context(), slog.NewRecord(time.Time{}, slog.LevelInfo, "no time", 0)); err != nil {
		t.Fatal(err)
	}
	if got.String() != "INFO no time\n" {
		t.Errorf("got %q", got.String())
	}
}

func TestConcurrentLoggersKeepLinesWhole(t *testing.T) {
	var got bytes.Buffer
	log := New(&got, slog.LevelInfo, true)
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for range 100 {
				log.With("a", 1).Info("same line", "b", 2)
			}
		}()
	}
	for range 8 {
		<-done
	}
	if want := strings.Repeat("<6>same line a=1 b=2\n", 800); got.String() != want {
		t.Error("lines were mixed")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
