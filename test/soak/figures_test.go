package soak

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// figures is what one soak found. Its methods may be called from several
// goroutines.
type figures struct {
	name  string
	seed  uint64
	count int
	began time.Time
	ended time.Time

	mu         sync.Mutex // guards the fields below
	passed     int
	recoveries []time.Duration
	lateness   []time.Duration
	written    int64 // bytes
	growth     []string
	outcomes   map[string]int
}

var (
	allMu      sync.Mutex // guards allFigures
	allFigures []*figures
)

// newFigures begins the figures of a soak; they are printed at the end of the
// run.
func newFigures(t *testing.T, name string, count int) *figures {
	f := &figures{name: name, seed: seed(t), count: count, began: time.Now(), outcomes: map[string]int{}}
	allMu.Lock()
	allFigures = append(allFigures, f)
	allMu.Unlock()
	t.Cleanup(func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = time.Now()
		for _, outcome := range slices.Sorted(maps.Keys(f.outcomes)) {
			t.Logf("%4d × %s", f.outcomes[outcome], outcome)
		}
	})
	return f
}

// pass counts a round in which all was well, and what came of it.
func (f *figures) pass(recovery time.Duration, outcome string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.passed++
	f.recoveries = append(f.recoveries, recovery)
	f.outcomes[outcome]++
}

// saw counts something that happened beside the rounds.
func (f *figures) saw(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.outcomes[what]++
}

// late notes how late a timer was.
func (f *figures) late(by time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lateness = append(f.lateness, max(by, 0))
}

// wrote adds what a process wrote to the disk.
func (f *figures) wrote(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += bytes
}

// grew notes what something was at first and in the end.
func (f *figures) grew(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.growth = append(f.growth, fmt.Sprintf(format, args...))
}

func printFigures(to io.Writer) {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "soak\tcount\tpassed\tseconds\tmedian recovery\tslowest\ttimers\tworst lateness\tdisk writes\tseed\t")
	for _, f := range allFigures {
		late := "-"
		if len(f.lateness) > 0 {
			late = milliseconds(slices.Max(f.lateness))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.0f\t%s\t%s\t%d\t%s\t%d KB\t%d\t\n",
			f.name, f.count, f.passed, f.ended.Sub(f.began).Seconds(),
			milliseconds(median(f.recoveries)), milliseconds(worst(f.recoveries)),
			len(f.lateness), late, f.written/1024, f.seed)
	}
	_ = w.Flush()
	for _, f := range allFigures {
		fmt.Fprintf(to, "\n%s\n", f.name)
		for _, line := range f.growth {
			fmt.Fprintf(to, "       %s\n", line)
		}
		for _, outcome := range slices.Sorted(maps.Keys(f.outcomes)) {
			fmt.Fprintf(to, "  %4d %s\n", f.outcomes[outcome], outcome)
		}
	}
}

func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

func worst(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	return slices.Max(all)
}
