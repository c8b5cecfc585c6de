package zone

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// sources are where systems keep their time zone data: the list of Go's time
// package. A variable for tests.
var sources = []string{
	"/usr/share/zoneinfo",
	"/usr/share/lib/zoneinfo",
	"/usr/lib/locale/TZ",
	"/etc/zoneinfo",
}

// maxZoneSize is what is read of a file at most. The largest zones take 4 kB.
const maxZoneSize = 256 << 10

// A stamp tells one state of a file from another. Package managers replace files
// by renaming, which shows in the inode; the zero stamp is "no such file".
type stamp struct {
	info fs.FileInfo
}

// stampOf follows symbolic links, which are normal among zones: what counts is
// the file behind them. Only a regular file has a stamp: a directory is no zone,
// and a pipe would block its reader.
func stampOf(name string) stamp {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) exists() bool { return s.info != nil }

func (s stamp) same(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == o.info
	}
	return os.SameFile(s.info, o.info) && s.info.ModTime().Equal(o.info.ModTime()) && s.info.Size() == o.info.Size()
}

// locate finds the file of a zone in the first source that has it.
func locate(name string) (dir string, s stamp) {
	for _, dir := range sources {
		if s := stampOf(filepath.Join(dir, filepath.FromSlash(name))); s.exists() {
			return dir, s
		}
	}
	return "", stamp{}
}

// system reads a zone from a source.
func system(dir, name string) (*time.Location, error) {
	data, err := readFile(filepath.Join(dir, filepath.FromSlash(name)))
	if err != nil {
		return nil, err
	}
	return time.LoadLocationFromTZData(name, data)
}

func readFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxZoneSize+1))
	if err == nil && len(data) > maxZoneSize {
		err = fmt.Errorf("%s is too large for a time zone", name)
	}
	return data, err
}

// versionFiles are where a source says the version of its data, the first in a
// comment on its first line: tzdata.zi is on Debian and most others, +VERSION on
// macOS and the BSDs.
var versionFiles = []string{"tzdata.zi", "+VERSION"}

// versionStamp tells when the version of a source may have changed.
func versionStamp(dir string) stamp {
	for _, name := range versionFiles {
		if s := stampOf(filepath.Join(dir, name)); s.exists() {
			return s
		}
	}
	return stamp{}
}

// versionOf reads the version of a source, such as "2025b"; "" if it has none.
func versionOf(dir string) string {
	for _, name := range versionFiles {
		line, err := firstLine(filepath.Join(dir, name))
		if err != nil {
			continue
		}
		version := strings.TrimSpace(strings.TrimPrefix(line, "# version "))
		if isVersion(version) {
			return version
		}
	}
	return ""
}

// firstLine reads no further, because tzdata.zi takes 110 kB.
func firstLine(name string) (string, error) {
	if !stampOf(name).exists() {
		return "", fs.ErrNotExist
	}
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	buffer := make([]byte, 64)
	n, err := io.ReadFull(f, buffer)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	line, _, _ := bytes.Cut(buffer[:n], []byte("\n"))
	return string(line), nil
}

// isVersion knows "2025b" and what distributions make of it, such as
// "2025b-dirty". The version is reported, so nothing else may pass.
func isVersion(text string) bool {
	if len(text) < 5 || len(text) > 24 {
		return false
	}
	for i, c := range []byte(text) {
		digit, letter := '0' <= c && c <= '9', 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if i < 4 && !digit || !digit && !letter && !strings.ContainsRune(".-+~", rune(c)) {
			return false
		}
	}
	return true
}
