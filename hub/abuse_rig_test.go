package hub_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"latchd/hub"
)

// vitals are what a process that leaks has more and more of.
type vitals struct {
	Goroutines int
	Files      int    // open file descriptors; 0 where there is no /proc
	Heap       uint64 // bytes in use after a collection
	Peak       uint64 // the most memory that was ever resident, in bytes; 0 where there is no /proc
}

// tellVitals answers each line on standard input with the vitals of this
// process, as one line of JSON.
func tellVitals() {
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		debug.FreeOSMemory() // collects first
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		v := vitals{Goroutines: runtime.NumGoroutine(), Heap: m.HeapAlloc}
		if files, err := os.ReadDir("/proc/self/fd"); err == nil {
			v.Files = len(files)
		}
		if status, err := os.ReadFile("/proc/self/status"); err == nil {
			if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
				_, _ = fmt.Sscan(after, &v.Peak)
				v.Peak <<= 10 // it is in kB
			}
		}
		_ = json.NewEncoder(os.Stdout).Encode(v)
	}
}

// abused is a hub in a process of its own, with a device and an operator on it
// who behave well and watch whether they are served.
type abused struct {
	*rig
	vitals func() vitals
	log    *lockedBuffer // what the hub logged as errors

	once  sync.Once
	owner string // a token, made once
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newAbused(t *testing.T) *abused {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	a := &abused{log: &lockedBuffer{}}
	var questions io.Writer
	var answers *json.Decoder
	a.rig = childRig(t, dir, func(c *exec.Cmd) {
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		c.Stderr = a.log
		questions, answers = in, json.NewDecoder(out)
	})
	a.vitals = func() (v vitals) {
		t.Helper()
		_, err := io.WriteString(questions, "\n")
		if err == nil {
			err = answers.Decode(&v)
		}
		if err != nil {
			t.Fatalf("the hub does not tell its vitals, it has crashed: %v\n%s", err, a.log)
		}
		return v
	}
	return a
}

// Margins of what may be there after an abuse that was not before: caches, the
// connections of the well-behaved, buffers of the database. What leaks with
// each of a thousand attempts is far beyond.
const (
	moreGoroutines = 10
	moreFiles      = 25 // six connections to the database open when they are first needed
	moreHeap       = 48 << 20
	// A process under the race detector takes five to ten times the memory.
	mostResident = 1 << 30
)

// endure runs an abuse while a device and an operator go on with their work.
// The abuse has closed its connections when it returns. Then the hub must be
// as it was.
func (a *abused) endure(abuse func()) {
	t := a.t
	t.Helper()
	device := a.online("witness", nil)
	work := a.witness() // once before, so that its connections count as being there
	before := a.vitals()
	ctx, cancel := context.WithCancel(context.Background())
	var rounds int
	var witnessed error
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil && witnessed == nil {
			witnessed = work(rounds)
			rounds++
			time.Sleep(50 * time.Millisecond) // they are not abusers themselves
		}
	})
	abuse()
	cancel()
	running.Wait()
	if witnessed == nil { // and after it
		witnessed = work(rounds)
	}
	if witnessed != nil {
		t.Errorf("those who behave noticed the abuse: %v", witnessed)
	}
	device.mu.Lock()
	if device.downs > 0 {
		t.Errorf("the well-behaved device lost its connection %d times", device.downs)
	}
	device.mu.Unlock()
	var after vitals
	deadline := time.Now().Add(patience)
	for {
		after = a.vitals()
		if after.Goroutines <= before.Goroutines+moreGoroutines && after.Files <= before.Files+moreFiles && after.Heap <= before.Heap+moreHeap {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("something leaks: before %+v, after %+v", before, after)
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if after.Peak > mostResident {
		t.Errorf("the hub took %d MB", after.Peak>>20)
	}
	if log := a.log.String(); log != "" {
		t.Errorf("the hub logged errors:\n%.4000s", log)
	}
	t.Logf("%d rounds of the well-behaved; before %+v, after %+v", rounds, before, after)
}

// slowest is how long a well-behaved call may take meanwhile. It is far from
// what it does take, and near enough to notice one that waits for an abuser.
const slowest = 10 * time.Second

// witness makes the work of one round: the operator calls a method, changes a
// twin, asks for it, and queries.
func (a *abused) witness() func(round int) error {
	token := a.token("iothubowner")
	ask := func(method, path, body, has string) error {
		req, err := http.NewRequest(method, "https://"+a.https+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", token)
		began := time.Now()
		resp, err := a.client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		if resp.StatusCode != http.StatusOK || !strings.Contains(string(text), has) {
			return fmt.Errorf("%s %s: status %d: %s", method, path, resp.StatusCode, text)
		}
		if took := time.Since(began); took > slowest {
			return fmt.Errorf("%s %s took %s", method, path, took)
		}
		return nil
	}
	return func(round int) error {
		for _, call := range [][4]string{
			{"POST", "/twins/witness/methods", fmt.Sprintf(`{"methodName":"m","payload":%d}`, round), fmt.Sprintf(`{"status":200,"payload":{"method":"m","payload":%d}}`, round)},
			{"PATCH", "/twins/witness", fmt.Sprintf(`{"properties":{"desired":{"round":%d}}}`, round), fmt.Sprintf(`"round":%d`, round)},
			{"GET", "/twins/witness", "", `"connectionState":"Connected"`},
			{"POST", "/devices/query", `{"query":"SELECT deviceId FROM devices WHERE deviceId = 'witness'"}`, `[{"deviceId":"witness"}]`},
		} {
			if err := ask(call[0], call[1], call[2], call[3]); err != nil {
				return err
			}
		}
		return nil
	}
}

func decode(t *testing.T, text []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
}
