//go:build !unix

package hub

import (
	"fmt"
	"runtime"
)

// lock refuses: without a lock of the kernel's two hubs could serve one
// directory, and a method could be sent twice.
func lock(dir string) (unlock func() error, err error) {
	return nil, fmt.Errorf("lock %s: latchhub runs on Unix systems only, not on %s", dir, runtime.GOOS)
}
