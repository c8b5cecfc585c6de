//go:build !windows

package atomicfile

import (
	"errors"
	"os"
	"syscall"
)

func (kernel) syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	// Some network and shared-folder file systems cannot sync a directory at all
	// (fsync(2): EINVAL). More cannot be done there, and it is no sign of trouble.
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil
	}
	return err
}
