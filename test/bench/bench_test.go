package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	// There is one thing to do at a time here, and a second thread that looks
	// for work would take a processor from those who have some.
	runtime.GOMAXPROCS(1)
	s := site.New(t)
	o := newOperator(s)
	all := contestants(s, *calls, min(warmUp, *calls))
	learnAnswer(s, o, all[0])
	printHeading(s, *rounds, *calls, min(warmUp, *calls))
	columns := make([]Column, len(all))
	for i, c := range all {
		columns[i] = Column{Title: c.title, Apart: c.apart}
	}
	for round := range *rounds {
		began := time.Now()
		for i, sample := range measureRound(s, o, all, round) {
			columns[i].Samples = append(columns[i].Samples, sample)
		}
		fmt.Printf("round %d of %d took %.0f s\n", round+1, *rounds, time.Since(began).Seconds())
	}
	fmt.Print("\n", Table(columns), "\n", Goals(columns[0], columns[1], columns[2]))
}

// blocks is into how many parts the calls of a round are divided. A part takes
// a fraction of a second, so that what else happens on the machine meets all
// contestants.
const blocks = 20

// measureRound starts all contestants, calls them in turn, and stops them. It
// gives a sample of each.
func measureRound(s *site.Site, o *operator, all []contestant, round int) []Sample {
	runs := make([]*run, len(all))
	inTurn(len(all), round, func(i int) {
		runs[i] = begin(s, o, all[i])
	})
	for block := range blocks {
		inTurn(len(all), round+block, func(i int) { runs[i].block(block) })
	}
	samples := make([]Sample, len(all))
	inTurn(len(all), round, func(i int) { samples[i] = runs[i].end() })
	return samples
}

// inTurn calls f for each of n, beginning with another one each time.
func inTurn(n, first int, f func(i int)) {
	for i := range n {
		f((first + i) % n)
	}
}

// run is one contestant in one round.
type run struct {
	contestant
	site      *site.Site
	operator  *operator
	process   *site.Process
	called    int
	start     time.Duration
	cpuBefore time.Duration
	hubCPU    time.Duration
	took      []time.Duration
}

// begin starts a contestant and warms it up.
func begin(s *site.Site, o *operator, c contestant) *run {
	r := &run{contestant: c, site: s, operator: o}
	cmd := c.command()
	began := time.Now()
	r.process = s.StartCommand(c.device+".log", cmd)
	r.call()
	r.start = time.Since(began)
	for range c.warmUp - 1 {
		r.call()
	}
	r.cpuBefore = cpu(s, r.process)
	return r
}

func (r *run) call() time.Duration {
	took, _, err := r.operator.call(r.device, r.method, r.payload(r.called))
	if err != nil {
		r.site.Fatal(err)
	}
	r.called++
	return took
}

// block times its part of the calls.
func (r *run) block(n int) {
	before := cpu(r.site, r.site.Hub)
	for range r.calls*(n+1)/blocks - r.calls*n/blocks {
		r.took = append(r.took, r.call())
	}
	r.hubCPU += cpu(r.site, r.site.Hub) - before
}

// end stops the contestant and gives its figures.
func (r *run) end() Sample {
	own := cpu(r.site, r.process) - r.cpuBefore
	memory, err := ReadMemory(r.process.Cmd.Process.Pid)
	if err != nil {
		r.site.Fatal(err)
	}
	stop(r.site, r.process, r.device)
	slices.Sort(r.took)
	per1000 := func(d time.Duration) float64 { return milliseconds(d) * 1000 / float64(r.calls) }
	return Sample{
		P50: Percentile(r.took, 50), P99: Percentile(r.took, 99),
		Memory: memory, Start: milliseconds(r.start),
		CPU: per1000(own), HubCPU: per1000(r.hubCPU),
	}
}

// cpu is the CPU time of one process: no contestant starts another.
func cpu(s *site.Site, p *site.Process) time.Duration {
	d, err := CPUTime(p.Cmd.Process.Pid)
	if err != nil {
		s.Fatal(err)
	}
	return d
}
