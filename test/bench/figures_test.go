package bench

import (
	"os"
	"runtime"
	"testing"
	"time"
)

func TestSummarize(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   Spread
	}{
		{[]float64{7}, Spread{7, 7, 7}},
		{[]float64{9, 1}, Spread{5, 1, 9}},
		{[]float64{5, 1, 9, 2, 3}, Spread{3, 1, 9}},
	} {
		if got := Summarize(c.values); got != c.want {
			t.Errorf("Summarize(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestPercentile(t *testing.T) {
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i+1) * time.Millisecond
	}
	for _, c := range []struct {
		of   []time.Duration
		p    float64
		want float64
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 99.5, 100},
		{hundred, 100, 100},
		{hundred[:1], 50, 1},
		{hundred[:3], 50, 2},
	} {
		if got := Percentile(c.of, c.p); got != c.want {
			t.Errorf("percentile %v of %d values is %v, want %v", c.p, len(c.of), got, c.want)
		}
	}
}

func TestCPUTimeOfANameWithParentheses(t *testing.T) {
	const stat = "42 (a) b (c)) S 1 42 42 0 -1 4194304 500 0 0 0 123 45 0 0 20 0 8 0 100 1000 200"
	if got, err := cpuTime(stat); err != nil || got != 1680*time.Millisecond {
		t.Errorf("%v, %v; want 1.68s", got, err)
	}
	for _, bad := range []string{"", "42 (a) S 1 2 3", "42 (a) S 1 42 42 0 -1 4194304 500 0 0 0 x 45 0 0"} {
		if got, err := cpuTime(bad); err == nil {
			t.Errorf("%q gives %v", bad, got)
		}
	}
}

func TestKilobytes(t *testing.T) {
	const text = "Name:\tVmRSS\nVmHWM:\t    2000 kB\nVmRSS:\t    1000 kB\nThreads:\t8\n"
	if got, err := kilobytes(text, "VmRSS"); err != nil || got != 1.024 {
		t.Errorf("%v, %v; want 1.024", got, err)
	}
	if got, err := kilobytes(text, "Threads"); err == nil {
		t.Errorf("a line without a unit gives %v", got)
	}
}

func TestFiguresOfThisProcess(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has /proc")
	}
	m, err := ReadMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.Resident < 1 || m.Peak < m.Resident {
		t.Errorf("implausible: %+v", m)
	}
	if _, err := CPUTime(os.Getpid()); err != nil {
		t.Error(err)
	}
}
