package atomicfile

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
)

// tempMark stands in the name of every temporary file of this package, and in
// no other file's name: the sweep removes what carries it.
const tempMark = ".latchd-tmp-"

var (
	// process tells the temporary files of this process from those of others
	// and of earlier ones. A process id would not: it returns after a boot.
	process = rand.Text()[:10]
	serial  atomic.Uint64

	swept sync.Map // absolute directory → *sync.Once
)

// tempName is a name beside path that no other call uses: hidden, so that a
// program that reads a whole directory of state passes over it.
func tempName(path string) string {
	dir, base := filepath.Split(path)
	return filepath.Join(dir, fmt.Sprintf(".%s%s%s-%d", base, tempMark, process, serial.Add(1)))
}

// sweepOnce removes what crashed processes left in dir, at the first write of
// this process into it. Failures are left to the write that follows: if the
// disk is sick it says so better, and if it succeeds the leftovers do no harm.
func sweepOnce(d disk, dir string) {
	key, err := filepath.Abs(dir)
	if err != nil {
		key = dir
	}
	once, _ := swept.LoadOrStore(key, new(sync.Once))
	once.(*sync.Once).Do(func() { sweep(d, dir) })
}

func sweep(d disk, dir string) {
	names, err := d.names(dir)
	if err != nil {
		return
	}
	for _, name := range names {
		_, owner, ours := strings.Cut(name, tempMark)
		if ours && strings.HasPrefix(name, ".") && !strings.HasPrefix(owner, process) {
			_ = d.remove(filepath.Join(dir, name))
		}
	}
}
