package health

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// tree is the directory below which the machine's files are found.
type tree string

func (f *Facts) tree() tree {
	if f.Root == "" {
		return "/"
	}
	return tree(f.Root)
}

func (t tree) path(name string) string { return filepath.Join(string(t), name) }

// maxFile bounds what is read of a file: those of /proc and /sys have a few lines,
// and a boot configuration some hundred.
const maxFile = 256 << 10

// read is the content of a small file.
func (t tree) read(name string) (string, error) {
	f, err := os.Open(t.path(name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile))
	return string(data), err
}

// text is the content of a file of one line; "" where there is none.
func (t tree) text(name string) string {
	text, err := t.read(name)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimRight(text, "\x00\n "), "\n")
	return plain(line)
}

// number is the number in a file of one line, in the notation of Go.
func (t tree) number(name string) (int64, bool) {
	n, err := strconv.ParseInt(t.text(name), 0, 64)
	return n, err == nil
}

func (t tree) exists(name string) bool {
	_, err := os.Stat(t.path(name))
	return err == nil
}

// glob lists the files that match the pattern, as names in the tree, sorted.
func (t tree) glob(pattern string) []string {
	matches, _ := filepath.Glob(t.path(pattern)) // fails only on a malformed pattern
	for i, match := range matches {
		matches[i] = "/" + strings.TrimPrefix(strings.TrimPrefix(match, string(t)), "/")
	}
	return matches
}

func (t tree) isRaspberryPi() bool {
	return strings.HasPrefix(t.text("proc/device-tree/model"), "Raspberry Pi ")
}

const notAPi = "this is no Raspberry Pi"

// reason is an error without the path that the text names already.
func reason(err error) string {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err.Error()
	}
	return err.Error()
}
