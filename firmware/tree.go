package firmware

import (
	"os"
	"path/filepath"
	"strings"
	"unicode"
)

// tree is the directory below which a machine's files are found: "/" for this
// machine, a directory of testdata for a recorded one.
type tree string

func (t tree) path(name string) string { return filepath.Join(string(t), name) }

// text is the content of a small file without the NUL that ends device tree
// strings, without surrounding space, and cut to one line. A file that is
// missing or unreadable is "": on most machines most of these files are.
func (t tree) text(name string) string {
	data, err := os.ReadFile(t.path(name))
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(strings.TrimRight(string(data), "\x00\n "), "\n")
	return plain(line)
}

// list is the content of a device tree property that holds several strings.
func (t tree) list(name string) []string {
	data, err := os.ReadFile(t.path(name))
	if err != nil {
		return nil
	}
	var list []string
	for entry := range strings.SplitSeq(string(data), "\x00") {
		if entry = plain(entry); entry != "" {
			list = append(list, entry)
		}
	}
	return list
}

// field is the value of the first "key: value" line in a file like /proc/meminfo.
func (t tree) field(name, key string) string {
	data, err := os.ReadFile(t.path(name))
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if k, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return plain(value)
		}
	}
	return ""
}

func (t tree) exists(name string) bool {
	_, err := os.Lstat(t.path(name))
	return err == nil
}

// glob lists the files that match pattern, as names in the tree, sorted.
func (t tree) glob(pattern string) []string {
	matches, _ := filepath.Glob(t.path(pattern)) // fails only on a malformed pattern
	names := make([]string, len(matches))
	for i, match := range matches {
		names[i] = strings.TrimPrefix(match, strings.TrimSuffix(string(t), "/"))
	}
	return names
}

// maxText bounds a text that comes from outside, such as a BIOS vendor's idea of
// a product name: it goes into a report that has little room.
const maxText = 128

// plain makes text from outside fit for a report: valid UTF-8, printable, trimmed, short.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.ReplaceAll(s, "\t", " "))
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText])
	}
	return strings.TrimSpace(s)
}
