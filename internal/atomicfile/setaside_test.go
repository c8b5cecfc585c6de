package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSetAsideNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.json")
	put(t, path+".aside-newer-format-2", "somebody's file")
	for i, want := range []string{"ledger.json.aside-newer-format", "ledger.json.aside-newer-format-3", "ledger.json.aside-newer-format-4"} {
		data := fmt.Sprint("content ", i)
		put(t, path, data)
		got, err := SetAside(path, "newer format")
		if err != nil {
			t.Fatal(err)
		}
		if got != filepath.Join(dir, want) {
			t.Errorf("set aside as %s, want %s", got, want)
		}
		if c := content(t, got); c != data {
			t.Errorf("%s holds %q, want %q", want, c, data)
		}
	}
	if c := content(t, path+".aside-newer-format-2"); c != "somebody's file" {
		t.Errorf("a file of somebody else now holds %q", c)
	}
	if got := entries(t, dir); len(got) != 4 {
		t.Errorf("directory holds %q", got)
	}
}

func TestSetAsideFailures(t *testing.T) {
	for _, step := range []string{"create", "rename", "syncDir"} {
		t.Run(step, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "ledger.json")
			put(t, path, "content")
			moved, err := setAside(faulty{fail: map[string]error{step: syscall.EROFS}}, path, "damaged")
			if !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v", err)
			}
			at := path
			if step == "syncDir" {
				at = moved // moved, only not durably: the new name comes with the error
			} else if moved != "" {
				t.Errorf("new name %q, but nothing moved", moved)
			}
			if got := content(t, at); got != "content" {
				t.Errorf("%s holds %q", at, got)
			}
			if got := entries(t, filepath.Dir(path)); len(got) != 1 {
				t.Errorf("directory holds %q", got)
			}
		})
	}
}

func TestSetAsideOfNothing(t *testing.T) {
	dir := t.TempDir()
	if _, err := SetAside(filepath.Join(dir, "none"), "damaged"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if got := entries(t, dir); len(got) != 0 {
		t.Errorf("directory holds %q", got)
	}
}

func TestSetAsideGivesUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.json")
	put(t, path, "content")
	put(t, path+".aside-damaged", "")
	for n := 2; n <= maxAside; n++ {
		put(t, fmt.Sprintf("%s.aside-damaged-%d", path, n), "")
	}
	if _, err := SetAside(path, "damaged"); err == nil {
		t.Error("found a name where there is none")
	}
	if got := content(t, path); got != "content" {
		t.Errorf("content %q", got)
	}
}

func TestAsideWord(t *testing.T) {
	tests := map[string]string{
		"damaged":               "damaged",
		"Format 7":              "format-7",
		"":                      "unusable",
		"../../etc/passwd":      "etc-passwd",
		"größer":                "gr--er",
		strings.Repeat("a", 99): strings.Repeat("a", 32),
		"///":                   "unusable",
	}
	for why, want := range tests {
		if got := asideWord(why); got != want {
			t.Errorf("%q became %q, want %q", why, got, want)
		}
	}
}
