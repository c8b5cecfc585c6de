package soak

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// resources is what a process holds, as proc(5) tells.
type resources struct {
	descriptors int
	resident    int64 // KB
	written     int64 // bytes that it made the kernel write to a disk
}

// resourcesOf reads what a process holds. A process that is gone holds
// nothing.
func resourcesOf(pid int) resources {
	var r resources
	if names, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid)); err == nil {
		r.descriptors = len(names)
	}
	r.resident = procNumber(pid, "status", "VmRSS:")
	r.written = procNumber(pid, "io", "write_bytes:")
	return r
}

func procNumber(pid int, file, key string) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// stored is what lies in a directory: each file's size by its name.
func stored(t testing.TB, dir string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		sizes[name] = info.Size()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sizes
}

// The command journal grows by contract, by an entry of a few hundred bytes for
// each command; it is compacted beyond what must be kept.
const (
	journal    = "commands.journal"
	perCommand = 1024
	perAttempt = 256
)

func total(sizes map[string]int64) int64 {
	var sum int64
	for _, size := range sizes {
		sum += size
	}
	return sum
}
