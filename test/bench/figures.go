package bench

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Spread is what several rounds made of one figure.
type Spread struct{ Median, Lowest, Highest float64 }

// Summarize gives the spread of at least one value. The median of an even
// number of values is the mean of the middle two.
func Summarize(values []float64) Spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return Spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

// Text writes a spread with so many decimals.
func (s Spread) Text(decimals int) string {
	return fmt.Sprintf("%.*f (%.*f–%.*f)", decimals, s.Median, decimals, s.Lowest, decimals, s.Highest)
}

// Percentile is the value that p percent of the sorted durations do not
// exceed (nearest rank), in milliseconds. There must be at least one.
func Percentile(sorted []time.Duration, p float64) float64 {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return milliseconds(sorted[max(rank, 1)-1])
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Memory is what a process takes, in megabytes of a million bytes.
type Memory struct {
	Resident float64 // VmRSS: pages shared with other processes, the program's own text too, count in full
	Peak     float64 // VmHWM: the most that was ever resident
}

// ReadMemory asks Linux about a process.
func ReadMemory(pid int) (m Memory, err error) {
	path := filepath.Join("/proc", strconv.Itoa(pid), "status")
	text, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("read the memory of a process: %w", err)
	}
	for name, into := range map[string]*float64{"VmRSS": &m.Resident, "VmHWM": &m.Peak} {
		if *into, err = kilobytes(string(text), name); err != nil {
			return m, fmt.Errorf("%s: %w", path, err)
		}
	}
	return m, nil
}

// kilobytes finds a line "name:   1234 kB" and gives it in megabytes.
func kilobytes(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(line, ":")
		fields := strings.Fields(value)
		if key != name || len(fields) != 2 || fields[1] != "kB" {
			continue
		}
		n, err := strconv.ParseFloat(fields[0], 64)
		return n * 1024 / 1e6, err
	}
	return 0, fmt.Errorf("there is no %s", name)
}

// clockTick is the unit of times in /proc/PID/stat: USER_HZ is 100 on each
// platform that Go knows (proc(5), sysconf(3)).
const clockTick = 10 * time.Millisecond

// CPUTime is what a process has used so far, in user mode and in the kernel,
// threads that have ended included. It counts in steps of 10 ms.
func CPUTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("read the CPU time of a process: %w", err)
	}
	return cpuTime(string(text))
}

// cpuTime adds utime and stime, the 14th and 15th field. The second one is the
// program's name in parentheses, which may itself hold spaces and parentheses.
func cpuTime(stat string) (time.Duration, error) {
	const utime, stime = 14 - 3, 15 - 3 // counted from the third field
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("%q is not what Linux says of a process", stat)
	}
	user, err1 := strconv.ParseInt(fields[utime], 10, 64)
	system, err2 := strconv.ParseInt(fields[stime], 10, 64)
	if err1 != nil || err2 != nil {
		return 0, fmt.Errorf("%q is not what Linux says of a process", stat)
	}
	return time.Duration(user+system) * clockTick, nil
}
