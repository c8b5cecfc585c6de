package zone

import (
	"bufio"
	"bytes"
	"compress/flate"
	_ "embed"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// packed is the time zone data of the Go toolchain that this program was written
// with. `make zones` writes it; the program there says how it is laid out.
//
//go:embed zones.flate
var packed []byte

// A group is a zone of the embedded copy.
type group struct {
	names []string
	size  int64
}

// embedded gives the TZif data of a zone in the embedded copy, and the copy's
// version. known is how the copy spells the name, "" if it has no such zone:
// names differ by more than their case.
func embedded(name string) (data []byte, version, known string, err error) {
	r := bufio.NewReader(flate.NewReader(bytes.NewReader(packed)))
	version, groups, err := list(r)
	if err != nil {
		return nil, version, "", fmt.Errorf("read the embedded time zones: %w", err)
	}
	skip := int64(0)
	for _, g := range groups {
		i := slices.IndexFunc(g.names, func(n string) bool { return strings.EqualFold(n, name) })
		if i < 0 {
			skip += g.size
			continue
		}
		data = make([]byte, g.size)
		if _, err = io.CopyN(io.Discard, r, skip); err == nil {
			_, err = io.ReadFull(r, data)
		}
		if err != nil {
			return nil, version, g.names[i], fmt.Errorf("read the embedded time zones: %w", err)
		}
		return data, version, g.names[i], nil
	}
	return nil, version, "", nil
}

// Names are the names that the embedded copy has, in order: for completion and
// for tests. Load may know others, of newer data on the system.
func Names() ([]string, error) {
	_, groups, err := list(bufio.NewReader(flate.NewReader(bytes.NewReader(packed))))
	if err != nil {
		return nil, fmt.Errorf("read the embedded time zones: %w", err)
	}
	var names []string
	for _, g := range groups {
		names = append(names, g.names...)
	}
	slices.Sort(names)
	return names, nil
}

// list reads what stands before the zones.
func list(r *bufio.Reader) (version string, groups []group, err error) {
	if version, err = r.ReadString('\n'); err != nil {
		return "", nil, err
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil || line == "\n" {
			return strings.TrimSuffix(version, "\n"), groups, err
		}
		words := strings.Fields(line)
		size, err := strconv.ParseInt(words[0], 10, 64)
		if err != nil {
			return "", nil, err
		}
		groups = append(groups, group{words[1:], size})
	}
}
