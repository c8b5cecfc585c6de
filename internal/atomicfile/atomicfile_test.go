package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// faulty is the real disk, except that the calls named in fail return an error.
type faulty struct {
	kernel
	fail map[string]error
}

func (d faulty) create(name string) (file, error) {
	if err := d.fail["create"]; err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	f, err := d.kernel.create(name)
	if err != nil {
		return nil, err
	}
	return faultyFile{f, d.fail}, nil
}

func (d faulty) rename(from, to string) error {
	if err := d.fail["rename"]; err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return d.kernel.rename(from, to)
}

func (d faulty) syncDir(dir string) error {
	if err := d.fail["syncDir"]; err != nil {
		return err
	}
	return d.kernel.syncDir(dir)
}

type faultyFile struct {
	file
	fail map[string]error
}

func (f faultyFile) Chmod(mode os.FileMode) error {
	if err := f.fail["chmod"]; err != nil {
		return err
	}
	return f.file.Chmod(mode)
}

// Write fails as a full disk does: part of the data is written before the error.
func (f faultyFile) Write(p []byte) (int, error) {
	if err := f.fail["write"]; err != nil {
		n, _ := f.file.Write(p[:len(p)/2])
		return n, err
	}
	return f.file.Write(p)
}

func (f faultyFile) Sync() error {
	if err := f.fail["sync"]; err != nil {
		return err
	}
	return f.file.Sync()
}

func (f faultyFile) Close() error {
	err := f.file.Close()
	if injected := f.fail["close"]; injected != nil {
		return injected
	}
	return err
}

// entries lists dir, which must hold nothing but what a test put there.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	names, err := kernel{}.names(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func content(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// put writes a file without this package.
func put(t *testing.T, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestWriteFileCreatesAndReplaces(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	for _, data := range []string{"first", "", "third, longer"} {
		if err := WriteFile(path, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
		if got := content(t, path); got != data {
			t.Errorf("content %q, want %q", got, data)
		}
	}
	if got := entries(t, filepath.Dir(path)); !slices.Equal(got, []string{"state.json"}) {
		t.Errorf("directory holds %q", got)
	}
}

func TestPermissionsAreExact(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such permissions")
	}
	path := filepath.Join(t.TempDir(), "key")
	put(t, path, "old, readable by all")
	for _, perm := range []os.FileMode{0o600, 0o666, 0o644} { // 0666 passes no usual umask
		if err := WriteFile(path, []byte("x"), perm); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != perm {
			t.Errorf("permissions %v, want %v", info.Mode().Perm(), perm)
		}
	}
}

func TestRelativePathAndOwnDirectory(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := WriteFile("plain", []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := entries(t, "."); !slices.Equal(got, []string{"plain"}) {
		t.Errorf("directory holds %q", got)
	}
}

func TestFailedStepLeavesTheOldContent(t *testing.T) {
	tests := []struct {
		step string
		err  error
		says string
	}{
		{"create", syscall.EROFS, "create temporary file for "},
		{"create", syscall.ENOSPC, "create temporary file for "},
		{"chmod", syscall.EPERM, "set permissions of temporary file for "},
		{"write", syscall.ENOSPC, "write temporary file for "},
		{"sync", syscall.EIO, "sync temporary file for "},
		{"close", syscall.EIO, "close temporary file for "},
		{"rename", syscall.EROFS, "replace "},
	}
	for _, test := range tests {
		t.Run(test.step+" "+test.err.Error(), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state.json")
			put(t, path, "old")
			err := writeFile(faulty{fail: map[string]error{test.step: test.err}}, path, []byte("new content"), 0o600)
			if !errors.Is(err, test.err) {
				t.Fatalf("got %v, want %v inside", err, test.err)
			}
			if !strings.HasPrefix(err.Error(), test.says+path) {
				t.Errorf("%q does not say what failed on what", err)
			}
			if got := content(t, path); got != "old" {
				t.Errorf("content %q, want the old one", got)
			}
			if got := entries(t, filepath.Dir(path)); !slices.Equal(got, []string{"state.json"}) {
				t.Errorf("directory holds %q", got)
			}
		})
	}
}

func TestFailedDirectorySyncIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	put(t, path, "old")
	err := writeFile(faulty{fail: map[string]error{"syncDir": syscall.EIO}}, path, []byte("new"), 0o600)
	if !errors.Is(err, syscall.EIO) || !strings.Contains(err.Error(), "may be lost in a power cut") {
		t.Errorf("got %v", err)
	}
	if got := content(t, path); got != "new" {
		t.Errorf("content %q, want the new one, as the error says", got)
	}
}

func TestMissingDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "state.json")
	if err := WriteFile(path, nil, 0o600); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
	if err := SyncDir(filepath.Dir(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("SyncDir: got %v", err)
	}
}

func TestTargetIsADirectory(t *testing.T) {
	dir := t.TempDir()
	target := filepath.Join(dir, "state.json")
	if err := os.Mkdir(target, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(target, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if got := entries(t, dir); !slices.Equal(got, []string{"state.json"}) {
		t.Errorf("directory holds %q", got)
	}
}

func TestLeftoversOfACrashAreSwept(t *testing.T) {
	dir := t.TempDir()
	left := ".gone-for-ever.json" + tempMark + "EARLIERONE-7"
	ours := ".other.json" + tempMark + process + "-1" // a write of this process in flight
	for _, name := range []string{left, ours, ".hidden", "state.json.aside-damaged", "looks" + tempMark + "alike"} {
		put(t, filepath.Join(dir, name), "")
	}
	if err := WriteFile(filepath.Join(dir, "state.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	want := []string{".hidden", ours, "looks" + tempMark + "alike", "state.json", "state.json.aside-damaged"}
	if got := entries(t, dir); !slices.Equal(got, want) {
		t.Errorf("directory holds\n%q, want\n%q", got, want)
	}
}

// thief sweeps away the temporary file just before the rename, as another
// process does that starts in this moment.
type thief struct {
	kernel
	thefts *int
}

func (d thief) rename(from, to string) error {
	if *d.thefts > 0 {
		*d.thefts--
		_ = d.kernel.remove(from)
	}
	return d.kernel.rename(from, to)
}

func TestSweptByAnotherProcessWritesAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	thefts := maxAttempts - 1
	if err := writeFile(thief{thefts: &thefts}, path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := content(t, path); got != "new" {
		t.Errorf("content %q", got)
	}
	thefts = maxAttempts
	if err := writeFile(thief{thefts: &thefts}, path, []byte("newer"), 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error after %d attempts", err, maxAttempts)
	}
	if got := content(t, path); got != "new" {
		t.Errorf("content %q, want the one before", got)
	}
}
