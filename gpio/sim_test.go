package gpio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSimulatedLineRecordsItsEdges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "sim")
	now := 3 * time.Second
	open := SimulatedLine(dir, func() time.Duration { return now })
	if edges, err := Edges(dir); err != nil || len(edges) != 0 {
		t.Fatalf("before: %v, %v", edges, err)
	}
	line, err := open(High)
	if err != nil {
		t.Fatal(err)
	}
	set := func(at time.Duration, l Level) {
		t.Helper()
		now = at
		if err := line.Set(l); err != nil {
			t.Fatal(err)
		}
		if got, err := line.Level(); got != l || err != nil {
			t.Errorf("level %s, %v", got, err)
		}
	}
	set(4*time.Second, High)
	set(5*time.Second, Low)
	set(6*time.Second, Low)

	// The process dies in the middle of a write; the next one adopts the level.
	f, err := os.OpenFile(edgesPath(dir), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("6.5000"); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if line, err = open(High); err != nil {
		t.Fatal(err)
	}
	if l, _ := line.Level(); l != Low {
		t.Errorf("adopted %s", l)
	}
	set(7*time.Second+123456789, High)
	data, err := os.ReadFile(edgesPath(dir))
	if err != nil {
		t.Fatal(err)
	}
	const want = "3.000000 high requested\n5.000000 low\n7.123457 high\n"
	if string(data) != want {
		t.Errorf("log:\n%swant:\n%s", data, want)
	}
	edges, err := Edges(dir)
	if err != nil || len(edges) != 3 || !edges[0].Requested || edges[2] != (Edge{At: 7123457 * time.Microsecond, Level: High}) {
		t.Errorf("%v, %v", edges, err)
	}
}

func TestDamagedEdgeLogIsAnError(t *testing.T) {
	for _, text := range []string{"x\n", "1.0 middle\n", "-1 low\n", "NaN low\n", "1e99 low\n", "1 low high\n", "\n"} {
		dir := t.TempDir()
		if err := os.WriteFile(edgesPath(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Edges(dir); err == nil || !strings.Contains(err.Error(), "line 1") {
			t.Errorf("%q: %v", text, err)
		}
		if _, err := SimulatedLine(dir, nil)(Low); err == nil {
			t.Errorf("%q: opened", text)
		}
	}
}

func TestSimulatedInputs(t *testing.T) {
	dir := t.TempDir()
	for name, row := range map[string]struct {
		in               *SimulatedInput
		active, inactive string
	}{
		"contact": {SimulatedContact(dir), "open", "closed"},
		"bolt":    {SimulatedBolt(dir), "thrown", "withdrawn"},
		"button":  {SimulatedButton(dir), "pressed", "released"},
	} {
		path := filepath.Join(dir, name)
		check := func(want Signal, fails bool) {
			t.Helper()
			if s, err := row.in.Read(); s != want || (err != nil) != fails {
				t.Errorf("%s: %d, %v", name, s, err)
			}
		}
		write := func(text string) {
			t.Helper()
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		check(Absent, false)
		write(row.active)
		check(Active, false)
		write(" " + row.inactive + "\n")
		check(Inactive, false)
		write("")
		check(Absent, true)
		write("ajar")
		check(Absent, true)
		for _, s := range []Signal{Active, Inactive, Absent, Absent} {
			if err := row.in.Set(s); err != nil {
				t.Error(err)
			}
			check(s, false)
		}
	}
}
