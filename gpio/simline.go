package gpio

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Edge is one entry of a simulated line's log.
type Edge struct {
	At        time.Duration // boot-time clock, microseconds
	Level     Level
	Requested bool // not an edge: the level at which the line was requested
}

// SimulatedLine opens a line that is a file in dir instead of a register in the
// processor. The file, "edges", is at once the level and its history: one line of
// text per edge, as in
//
//	3.200000 low requested
//	12.345678 high
//
// with the seconds since boot, and the last line is the level now. So the level
// outlives the process, as the real one may, and is lost when a simulated reboot
// empties the directory. Setting the level it has adds nothing.
func SimulatedLine(dir string, bootTime func() time.Duration) OpenLine {
	return func(initial Level) (Line, error) {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
		l := &simulatedLine{path: edgesPath(dir), bootTime: bootTime}
		edges, err := Edges(dir)
		if err != nil {
			return nil, err
		}
		if err := dropTorn(l.path); err != nil {
			return nil, err
		}
		if len(edges) > 0 {
			l.level = edges[len(edges)-1].Level
			return l, nil
		}
		l.level = initial
		return l, l.log(Edge{Level: initial, Requested: true})
	}
}

// dropTorn cuts off a last line without its end, which a crash of the whole
// simulated machine may leave.
func dropTorn(path string) error {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(data, '\n') + 1
	if whole == len(data) {
		return nil
	}
	return os.Truncate(path, int64(whole))
}

type simulatedLine struct {
	path     string
	bootTime func() time.Duration
	level    Level
}

func (l *simulatedLine) Set(level Level) error {
	if level == l.level {
		return nil
	}
	if err := l.log(Edge{Level: level}); err != nil {
		return err
	}
	l.level = level
	return nil
}

func (l *simulatedLine) Level() (Level, error) { return l.level, nil }

// log appends an entry with one write, so that a process killed at any moment
// leaves it whole or not at all. What a full disk cut off is taken back.
func (l *simulatedLine) log(e Edge) error {
	f, err := os.OpenFile(l.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return err
	}
	e.At = l.bootTime()
	if _, err := f.WriteString(e.String() + "\n"); err != nil {
		return errors.Join(err, f.Truncate(before.Size()))
	}
	return nil
}

// String is the entry as it stands in the log.
func (e Edge) String() string {
	s := fmt.Sprintf("%.6f %s", e.At.Seconds(), strings.ToLower(e.Level.String()))
	if e.Requested {
		s += " requested"
	}
	return s
}

func edgesPath(dir string) string { return filepath.Join(dir, "edges") }

// Edges reads the log of the simulated line in dir, oldest first. It is empty if
// the line was not opened since the simulated boot. A last line without its end
// is one that is being written, and is left out.
func Edges(dir string) ([]Edge, error) {
	data, err := os.ReadFile(edgesPath(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var edges []Edge
	for number, line := range bytes.SplitAfter(data, []byte("\n")) {
		text, whole := strings.CutSuffix(string(line), "\n")
		if !whole {
			break
		}
		e, err := parseEdge(text)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", edgesPath(dir), number+1, err)
		}
		edges = append(edges, e)
	}
	return edges, nil
}

func parseEdge(text string) (Edge, error) {
	fields := strings.Fields(text)
	if len(fields) == 3 && fields[2] == "requested" {
		fields = fields[:2]
	}
	if len(fields) != 2 {
		return Edge{}, fmt.Errorf("not an edge: %.40q", text)
	}
	seconds, err := strconv.ParseFloat(fields[0], 64)
	if err != nil || !(seconds >= 0 && seconds < 1e9) {
		return Edge{}, fmt.Errorf("not a time: %.40q", fields[0])
	}
	if fields[1] != "low" && fields[1] != "high" {
		return Edge{}, fmt.Errorf("not a level: %.40q", fields[1])
	}
	return Edge{
		At:        time.Duration(seconds * float64(time.Second)).Round(time.Microsecond),
		Level:     fields[1] == "high",
		Requested: strings.HasSuffix(text, " requested"),
	}, nil
}
