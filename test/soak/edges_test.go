package soak

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockSlack is how far apart two clocks may read one moment: the kernel tells
// its boot-time clock in hundredths of a second.
const clockSlack = 30 * time.Millisecond

// edge is an entry in the log of a simulated line.
type edge struct {
	at        time.Time
	unlocked  bool // the level, as the lock takes it
	requested bool // no edge, but the level at which the line was taken
}

func (e edge) String() string {
	name := "locked"
	if e.unlocked {
		name = "unlocked"
	}
	if e.requested {
		name += " (line taken)"
	}
	return clock(e.at) + " " + name
}

// line is the lock's line in one boot. It holds the log open, so that it can be
// read to its end although a reboot removes the file.
type line struct {
	log    *os.File
	booted time.Time
	seen   int // entries that were looked at
}

// openLine opens the log of the boot that the machine is in. The caller closes it.
func (d *device) openLine() *line {
	d.Helper()
	l := &line{}
	d.Await("the line of "+d.id+" is there", func() bool {
		before := d.boot()
		log, err := os.Open(d.Path(d.id + ".run/gpio/edges"))
		if err != nil {
			return false
		}
		if before.Boot.ID == "" || d.boot() != before { // it may be the file of a boot that ends
			_ = log.Close()
			return false
		}
		l.log, l.booted = log, time.Now().Add(before.BootedAt-uptime(d.TB))
		return true
	})
	return l
}

// uptime reads the boot-time clock of the real machine.
func uptime(t testing.TB) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseFloat(strings.Fields(string(text))[0], 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}

// all reads the whole log.
func (l *line) all(t testing.TB) []edge {
	t.Helper()
	text, err := io.ReadAll(io.NewSectionReader(l.log, 0, 1<<30))
	if err != nil {
		t.Fatal(err)
	}
	var edges []edge
	for entry := range strings.Lines(string(text)) {
		if !strings.HasSuffix(entry, "\n") {
			break // it is being written
		}
		fields := strings.Fields(entry)
		seconds, err := strconv.ParseFloat(fields[0], 64)
		if err != nil {
			t.Fatalf("the log of the line says %q", entry)
		}
		// The lock is fail-secure and active-high, the defaults: low locks.
		edges = append(edges, edge{
			at:       l.booted.Add(time.Duration(seconds * float64(time.Second))),
			unlocked: fields[1] == "high", requested: len(fields) == 3,
		})
	}
	return edges
}

// news gives the entries since the last call.
func (l *line) news(t testing.TB) []edge {
	t.Helper()
	all := l.all(t)
	fresh := all[l.seen:]
	l.seen = len(all)
	return fresh
}

// cause is something that may move the line, once.
type cause struct {
	what     string
	unlocks  bool
	from, to time.Time
	deadline time.Time // of a timer; zero: it is none
}

// explain finds a cause for each edge, and gives those that it used.
func explain(edges []edge, causes []cause) (used []cause, err error) {
	left := append([]cause(nil), causes...)
next:
	for _, e := range edges {
		for i, c := range left {
			if c.unlocks == e.unlocked && !e.at.Before(c.from.Add(-clockSlack)) && !e.at.After(c.to.Add(clockSlack)) {
				if !c.deadline.IsZero() {
					c.to = e.at
				}
				used = append(used, c)
				left = append(left[:i], left[i+1:]...)
				continue next
			}
		}
		return used, fmt.Errorf("nothing explains the edge %s; what may have moved the line: %s", e, describe(causes))
	}
	return used, nil
}

func describe(causes []cause) string {
	var text strings.Builder
	for _, c := range causes {
		fmt.Fprintf(&text, "\n\t%s (unlocks: %t) from %s to %s", c.what, c.unlocks, clock(c.from), clock(c.to))
	}
	return text.String()
}

func (l *line) close() { _ = l.log.Close() }
