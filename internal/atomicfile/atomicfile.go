// Package atomicfile replaces small files so that a power cut leaves the old
// content or the new one, never a mixture and never an empty file.
//
// The model is the usual one, with the step that most programs forget. The new
// content goes to a temporary file in the same directory (rename is atomic only
// within one file system), gets its permissions, is synced, and is renamed over
// the old file. Then the directory is synced: without that the rename itself may
// be lost, and a device that had acknowledged a command comes back from a power
// cut with the state of before.
//
// Invariants:
//   - When WriteFile returns nil, the new content survives a power cut.
//   - Whatever happens, the named file holds the whole old or the whole new content.
//   - A file that cannot be understood is set aside under a free name, not deleted.
//
// Temporary files do not pile up. A failed write removes its own. One that a
// crash left behind is removed when a later process first writes into the same
// directory. Should that process take away the temporary file of another one
// that is alive, the victim notices at its rename and writes again.
//
// It is not a lock: of two writers of one file the last one wins. It does not
// follow a symbolic link at the path, it replaces it. On FAT a rename is not
// atomic, so state does not belong there.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxAttempts bounds how often WriteFile starts again after another process
// swept its temporary file. A process sweeps a directory once in its life, so
// even the second time is rare.
const maxAttempts = 3

// WriteFile makes data the content of the file at path, with exactly the
// permissions perm (the umask does not apply). The directory must exist.
//
// An error names the step and the file that failed. After an error the old
// content is still in place, with one exception that the text tells: when only
// the sync of the directory failed, the new content is visible but a power cut
// may bring the old one back.
func WriteFile(path string, data []byte, perm os.FileMode) error {
	return writeFile(kernel{}, path, data, perm)
}

// SyncDir makes the names in directory dir durable: files created, renamed or
// removed there before the call survive a power cut after it. It does nothing on
// file systems that cannot sync a directory (some network and shared folders), nor
// on Windows, which has no such call.
func SyncDir(dir string) error {
	if err := (kernel{}).syncDir(dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

func writeFile(d disk, path string, data []byte, perm os.FileMode) error {
	dir := filepath.Dir(path)
	sweepOnce(d, dir)
	var err error
	for range maxAttempts {
		var temp string
		if temp, err = writeTemp(d, path, data, perm); err != nil {
			return err
		}
		if err = d.rename(temp, path); err == nil {
			break
		}
		_ = d.remove(temp)
		err = fmt.Errorf("replace %s: %w", path, err)
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err != nil {
		return err
	}
	if err := d.syncDir(dir); err != nil {
		return fmt.Errorf("replace %s: the new content is in place, but may be lost in a power cut: sync directory %s: %w", path, dir, err)
	}
	return nil
}

// writeTemp puts data, synced, into a new temporary file beside path. If any
// step fails the file is removed again.
func writeTemp(d disk, path string, data []byte, perm os.FileMode) (temp string, err error) {
	temp = tempName(path)
	f, err := d.create(temp)
	if err != nil {
		return "", fmt.Errorf("create temporary file for %s: %w", path, err)
	}
	fail := func(step string, err error) (string, error) {
		_ = f.Close()
		_ = d.remove(temp)
		return "", fmt.Errorf("%s temporary file for %s: %w", step, path, err)
	}
	// Before the content, so that a secret is never readable too widely.
	if err := f.Chmod(perm); err != nil {
		return fail("set permissions of", err)
	}
	if _, err := f.Write(data); err != nil {
		return fail("write", err)
	}
	if err := f.Sync(); err != nil {
		return fail("sync", err)
	}
	// Windows does not rename an open file.
	if err := f.Close(); err != nil {
		return fail("close", err)
	}
	return temp, nil
}

// SetAside renames the file at path, which this version cannot use (a newer
// format, damaged content), to a free name in the same directory and returns
// that name: path.aside-WHY, then path.aside-WHY-2 and so on. Nothing is ever
// overwritten or deleted, so the content stays for a person or for a newer
// version. why is a word or two; what does not suit a file name becomes "-".
//
// If only the sync of the directory fails, newPath is returned with the error:
// the file has moved, but a power cut may bring the old name back.
func SetAside(path, why string) (newPath string, err error) {
	return setAside(kernel{}, path, why)
}

// maxAside bounds the search for a free name. A directory with that many files
// set aside has a problem that one more name does not solve.
const maxAside = 1000

func setAside(d disk, path, why string) (string, error) {
	if err := d.exists(path); err != nil {
		return "", fmt.Errorf("set aside %s: %w", path, err)
	}
	base := path + ".aside-" + asideWord(why)
	for n := 1; n <= maxAside; n++ {
		name := base
		if n > 1 {
			name = fmt.Sprintf("%s-%d", base, n)
		}
		// An empty file reserves the name, and the rename replaces only that.
		// (There is no portable rename that refuses to overwrite.)
		f, err := d.create(name)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("set aside %s: %w", path, err)
		}
		_ = f.Close() // nothing was written that could be lost
		if err := d.rename(path, name); err != nil {
			_ = d.remove(name)
			return "", fmt.Errorf("set aside %s: %w", path, err)
		}
		if err := d.syncDir(filepath.Dir(path)); err != nil {
			return name, fmt.Errorf("set aside %s as %s: sync directory: %w", path, name, err)
		}
		return name, nil
	}
	return "", fmt.Errorf("set aside %s: %d files are set aside already", path, maxAside)
}

// asideWord makes why fit into a file name: at most 32 bytes of a-z, 0-9 and "-".
func asideWord(why string) string {
	word := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(why))
	word = strings.Trim(word[:min(len(word), 32)], "-")
	if word == "" {
		return "unusable"
	}
	return word
}
