package atomicfile

import (
	"io"
	"os"
)

// disk is what the package asks of the operating system. Tests put a disk in
// its place that fails at a chosen step, or that loses what was not synced.
type disk interface {
	// create makes a new file that only the owner may read; one that exists is fs.ErrExist.
	create(name string) (file, error)
	rename(from, to string) error
	remove(name string) error
	// exists is nil if name is there, whatever it is.
	exists(name string) error
	// names lists the directory.
	names(dir string) ([]string, error)
	syncDir(dir string) error
}

type file interface {
	io.WriteCloser
	Chmod(os.FileMode) error
	Sync() error
}

// kernel is the real disk.
type kernel struct{}

func (kernel) create(name string) (file, error) {
	return os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
}

func (kernel) rename(from, to string) error { return os.Rename(from, to) }
func (kernel) remove(name string) error     { return os.Remove(name) }

func (kernel) exists(name string) error {
	_, err := os.Lstat(name)
	return err
}

func (kernel) names(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Readdirnames(-1)
}
