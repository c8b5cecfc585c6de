package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"latchd/test/site"
)

var (
	measure = flag.Bool("measure", false, "measure (minutes), instead of testing the tools that do")
	modules = flag.String("modules", "", "with -measure: the `DIR`ectory where npm put the Node SDK")
	rounds  = flag.Int("rounds", 5, "how often each contestant is measured")
	calls   = flag.Int("calls", 10_000, "calls in a round")
)

// warmUp is how many calls come before those that are timed: Node compiles
// what it has seen often, and all connections have their buffers by then.
const warmUp = 1000

func TestMain(m *testing.M) {
	flag.Parse()
	if *measure {
		os.Exit(site.Main(m))
	}
	os.Exit(m.Run())
}

// TestBench measures all contestants and prints the table.
func TestBench(t *testing.T) {
	if !*measure {
		t.Skip("it measures and tests nothing; make bench runs it")
	}
	if _, err := os.Stat(filepath.Join(*modules, "azure-iot-device")); err != nil {
		t.Fatalf("the Node SDK is not installed (make bench does that): %v", err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(site.Programs(), "echo"), "latchd/test/bench/echo")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		t.Fatal("build the bare client:", err)
	}
	s := site.New(t)
	o := newOperator(s)
	all := contestants(s, *calls, min(warmUp, *calls))
	learnAnswer(s, o, all[0])
	printHeading(s, *rounds, *calls, min(warmUp, *calls))
	samples := make([][]Sample, len(all))
	for round := range *rounds {
		fmt.Printf("round %d:", round+1)
		for i := range all {
			i = (i + round) % len(all)
			fmt.Printf(" %s", all[i].device)
			samples[i] = append(samples[i], all[i].sample(s, o, round))
		}
		fmt.Println()
	}
	columns := make([]Column, len(all))
	for i, c := range all {
		columns[i] = Column{Title: c.title, Apart: c.apart, Samples: samples[i]}
	}
	fmt.Print("\n", Table(columns), "\n", Goals(columns[0], columns[1]))
}

// sample starts a contestant, measures it, and stops it.
func (c contestant) sample(s *site.Site, o *operator, round int) Sample {
	call := func(i int) time.Duration {
		took, _, err := o.call(c.device, c.method, c.payload(i))
		if err != nil {
			s.Fatal(err)
		}
		return took
	}
	cmd := c.command()
	began := time.Now()
	p := s.StartCommand(c.device+".log", cmd)
	call(0)
	start := time.Since(began)
	for i := range c.warmUp - 1 {
		call(1 + i)
	}
	pid, hub := p.Cmd.Process.Pid, s.Hub.Cmd.Process.Pid
	ownBefore, hubBefore := cpu(s, pid), cpu(s, hub)
	took := make([]time.Duration, c.calls)
	for i := range took {
		took[i] = call(c.warmUp + i)
	}
	ownAfter, hubAfter := cpu(s, pid), cpu(s, hub)
	memory, err := ReadMemory(pid)
	if err != nil {
		s.Fatal(err)
	}
	stop(s, p, c.device)
	slices.Sort(took)
	per1000 := func(d time.Duration) float64 { return milliseconds(d) * 1000 / float64(c.calls) }
	return Sample{
		P50: Percentile(took, 50), P99: Percentile(took, 99),
		Memory: memory, Start: milliseconds(start),
		CPU: per1000(ownAfter - ownBefore), HubCPU: per1000(hubAfter - hubBefore),
	}
}

// cpu is the CPU time of one process: no contestant starts another.
func cpu(s *site.Site, pid int) time.Duration {
	d, err := CPUTime(pid)
	if err != nil {
		s.Fatal(err)
	}
	return d
}
