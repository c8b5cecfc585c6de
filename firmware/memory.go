package firmware

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// memory is the runtime directory of a simulated machine: what it loses when the
// power goes. It is emptied without asking, so a directory is accepted only if
// that cannot hurt: it is new, it is empty, or an earlier simulation marked it.
type memory struct {
	dir  string // absolute
	root *os.Root
}

// memoryMark is the file that makes a directory one of a simulated machine. It is
// hidden, so that "rm -rf DIR/*" pulls the plug and leaves the mark.
const memoryMark = ".latchd-simulated-machine"

const memoryMarkText = "This directory is the memory of a simulated machine of latchd.\n" +
	"Everything in it is removed when that machine reboots.\n"

func openMemory(dir, disk string) (memory, error) {
	if dir == "" {
		return memory{}, errors.New("no runtime directory given")
	}
	refuse := func(why string, args ...any) (memory, error) {
		return memory{}, fmt.Errorf("runtime directory %s would be emptied by a simulated reboot: %w", dir, fmt.Errorf(why, args...))
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return memory{}, fmt.Errorf("runtime directory: %w", err)
	}
	if abs == filepath.Dir(abs) {
		return refuse("it is the root of the file system")
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return memory{}, fmt.Errorf("runtime directory: %w", err)
	}
	if info, err := os.Lstat(abs); err != nil || info.Mode()&fs.ModeSymlink != 0 {
		return refuse("it is a symbolic link")
	}
	program, err := os.Executable()
	if err != nil {
		return memory{}, fmt.Errorf("runtime directory %s: is this program inside: %w", dir, err)
	}
	for what, path := range map[string]string{"the state directory": disk, "this program": program} {
		inside, err := contains(abs, path)
		if err != nil {
			return memory{}, fmt.Errorf("runtime directory %s: is %s inside: %w", dir, what, err)
		}
		if inside {
			return refuse("%s %s is inside", what, path)
		}
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return memory{}, fmt.Errorf("runtime directory: %w", err)
	}
	m := memory{abs, root}
	if err := m.mark(); err != nil {
		m.close()
		return refuse("%w", err)
	}
	return m, nil
}

// mark makes sure that the directory carries the mark, and refuses to put it
// into one that holds something.
func (m memory) mark() error {
	names, err := m.names()
	if err != nil {
		return err
	}
	if len(names) > 0 {
		info, err := m.root.Lstat(memoryMark)
		if err != nil || !info.Mode().IsRegular() {
			return fmt.Errorf("it holds files (%s, ...), and no simulated machine made it", names[0])
		}
		return nil
	}
	f, err := m.root.OpenFile(memoryMark, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(memoryMarkText)
	return errors.Join(err, f.Close())
}

func (m memory) bootFile() string { return filepath.Join(m.dir, bootFile) }

func (m memory) names() ([]string, error) {
	d, err := m.root.Open(".")
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}

// clear is the loss of power: the boot is over first, then everything else goes,
// but not the mark. Symbolic links are removed, not followed.
func (m memory) clear() error {
	err := m.root.Remove(bootFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("empty runtime directory: %w", err)
	}
	names, err := m.names()
	if err != nil {
		return fmt.Errorf("empty runtime directory: %w", err)
	}
	for _, name := range names {
		if name == memoryMark {
			continue
		}
		if err := m.root.RemoveAll(name); err != nil {
			return fmt.Errorf("empty runtime directory: %w", err)
		}
	}
	return nil
}

func (m memory) close() { _ = m.root.Close() }

// contains tells whether path is dir or below it, symbolic links resolved.
func contains(dir, path string) (bool, error) {
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return false, err
	}
	realPath, err := filepath.EvalSymlinks(path)
	if err != nil {
		return false, err
	}
	relative, err := filepath.Rel(realDir, realPath)
	if err != nil {
		return false, nil // nothing in common
	}
	return relative != ".." && !strings.HasPrefix(relative, ".."+string(filepath.Separator)), nil
}
