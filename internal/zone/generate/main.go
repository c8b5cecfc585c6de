// Program generate writes the copy of the time zone data that package zone
// embeds, from the data that comes with the Go toolchain. `make zones` runs it
// in the directory of that package, after each upgrade of Go.
//
// The copy is one stream of compress/flate. It begins with text: a line with
// the version of the data, a line for each different zone, "<bytes> <name>
// <name> ...", and an empty line. Then the zones follow in the order of those
// lines, each as a TZif file (RFC 8536). Many names are links to one zone, which
// is stored once: 56 kB instead of the 450 kB of time/tzdata.
//
// The same input gives the same output, byte for byte, as long as compress/flate
// does. A test of package zone compares the content with the toolchain's.
package main

import (
	"archive/zip"
	"bytes"
	"cmp"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	log.SetFlags(0)
	if err := run("zones.flate"); err != nil {
		log.Fatalf("generate the time zones: %v", err)
	}
}

// A group is a zone and all its names, in order.
type group struct {
	names []string
	data  string
}

func run(output string) error {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return fmt.Errorf("ask for GOROOT: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "lib", "time")
	version, err := versionOf(filepath.Join(dir, "update.bash"))
	if err != nil {
		return err
	}
	groups, err := readZip(filepath.Join(dir, "zoneinfo.zip"))
	if err != nil {
		return err
	}
	packed, err := pack(version, groups)
	if err != nil {
		return err
	}
	return os.WriteFile(output, packed, 0o644)
}

// versionOf finds the version in the script that made the toolchain's data: the
// data themselves do not say it.
func versionOf(script string) (string, error) {
	text, err := os.ReadFile(script)
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if version, ok := strings.CutPrefix(strings.TrimSpace(line), "DATA="); ok && version != "" {
			return version, nil
		}
	}
	return "", fmt.Errorf("%s does not name a version", script)
}

// readZip puts the names of identical zones together.
func readZip(name string) ([]group, error) {
	archive, err := zip.OpenReader(name)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	names := map[string][]string{}
	for _, f := range archive.File {
		data, err := read(f)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.Name, err)
		}
		names[data] = append(names[data], f.Name)
	}
	var groups []group
	for data, n := range names {
		slices.Sort(n)
		groups = append(groups, group{n, data})
	}
	if len(groups) == 0 {
		return nil, errors.New("no zone in " + name)
	}
	// Zones with the same rules of today stand together, because they have much
	// in common: this saves 2 kB of 52.
	slices.SortFunc(groups, func(a, b group) int {
		return cmp.Or(cmp.Compare(footer(a.data), footer(b.data)), cmp.Compare(a.names[0], b.names[0]))
	})
	return groups, nil
}

func read(f *zip.File) (string, error) {
	r, err := f.Open()
	if err != nil {
		return "", err
	}
	defer r.Close()
	data, err := io.ReadAll(r)
	return string(data), err
}

// footer is the last line of a TZif file: the rules after the last change that
// it lists.
func footer(data string) string {
	line := strings.TrimSuffix(data, "\n")
	return line[strings.LastIndexByte(line, '\n')+1:]
}

func pack(version string, groups []group) ([]byte, error) {
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	var content strings.Builder
	content.WriteString(version + "\n")
	for _, g := range groups {
		fmt.Fprintf(&content, "%d %s\n", len(g.data), strings.Join(g.names, " "))
	}
	content.WriteString("\n")
	for _, g := range groups {
		content.WriteString(g.data)
	}
	if _, err := io.WriteString(w, content.String()); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}
