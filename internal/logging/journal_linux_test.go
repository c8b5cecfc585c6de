package logging

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestToJournal(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	own := fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)

	tests := []struct {
		name, stream string
		want         bool
	}{
		{"this stream", own, true},
		{"not under systemd", "", false},
		{"inherited, but redirected since", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1), false},
		{"damaged", own + ":1", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("JOURNAL_STREAM", test.stream)
			if got := ToJournal(f); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}

	t.Setenv("JOURNAL_STREAM", own)
	if ToJournal(nil) {
		t.Error("true for no file at all")
	}
}
