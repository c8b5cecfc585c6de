package atomicfile

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

const (
	helperVariable = "ATOMICFILE_TEST_HELPER" // set: this process is the victim
	blockSize      = 64 << 10
)

func TestMain(m *testing.M) {
	if path := os.Getenv(helperVariable); path != "" {
		writeUntilKilled(path)
	}
	os.Exit(m.Run())
}

// writeUntilKilled replaces the file again and again by a block of one letter,
// and tells the parent each time.
func writeUntilKilled(path string) {
	for i := 0; ; i++ {
		if err := WriteFile(path, bytes.Repeat([]byte{'a' + byte(i%26)}, blockSize), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		fmt.Println(i)
	}
}

// A process is killed at a point that nobody chose, twenty times. The file is
// whole each time, and what the kills leave behind does not pile up.
func TestKilledWriterLeavesAWholeFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "state")
	for range 20 {
		killAfter(t, path, 1+rand.IntN(5))
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) != blockSize || bytes.Count(data, data[:1]) != blockSize {
			t.Fatalf("the file is not whole: %d bytes, %d of them %q", len(data), bytes.Count(data, data[:1]), data[0])
		}
		if got := entries(t, dir); len(got) > 2 { // the file, and what this kill left
			t.Fatalf("leftovers pile up: %q", got)
		}
	}
}

// killAfter starts a writer and kills it as soon as it reported so many writes.
func killAfter(t *testing.T, path string, writes int) {
	t.Helper()
	victim := exec.Command(os.Args[0])
	victim.Env = append(os.Environ(), helperVariable+"="+path)
	victim.Stderr = os.Stderr
	out, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for range writes {
		if !lines.Scan() {
			t.Error("the writer ended by itself")
			break
		}
	}
	_ = victim.Process.Kill()
	_ = victim.Wait() // always "killed"
}
