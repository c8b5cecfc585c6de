//go:build !unix

package hub

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// lock makes this process the only one that works on a hub's directory. A file
// that is open cannot be removed on Windows, so a lock that can be removed is a
// dead one.
func lock(dir string) (unlock func() error, err error) {
	path := filepath.Join(dir, lockFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("lock %s: %w", dir, ErrInUse)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, privateFile)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", dir, ErrInUse)
	}
	return f.Close, nil
}
