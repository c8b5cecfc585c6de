package soak

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	_ "modernc.org/sqlite" // to check the hub's database when it is over

	"latchd/test/site"
)

// TestKilledHub kills the hub at random moments while several clients write to
// it. What it has acknowledged is there after the next start, whole, and what
// it has not acknowledged is there whole or not at all.
func TestKilledHub(t *testing.T) {
	t.Parallel()
	l := &load{figures: newFigures(t, "kills of the hub", rounds(100))}
	l.Site = site.New(t)
	l.twins.seen = map[string]sighting{}
	random := rand.New(rand.NewPCG(l.figures.seed, 0))
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var work sync.WaitGroup
	writers := l.writers()
	for _, w := range writers {
		work.Go(func() { w.write(ctx) })
	}
	before := l.databaseSize()
	for range l.figures.count {
		time.Sleep(time.Duration(20+random.IntN(250)) * time.Millisecond)
		recovery := l.killHub()
		for _, w := range writers {
			w.check()
		}
		if t.Failed() {
			break
		}
		l.figures.pass(recovery, "everything acknowledged was there")
	}
	cancel()
	work.Wait()
	for _, w := range writers {
		w.finish()
	}
	l.figures.grew("%d writes were acknowledged, %d more were cut off or refused", l.acknowledged.Load(), l.failed.Load())
	l.figures.grew("database: %d → %d KB", before/1024, l.databaseSize()/1024)
	if !t.Failed() && l.acknowledged.Load() < int64(10*l.figures.count) {
		t.Errorf("only %d writes were acknowledged: that is no load", l.acknowledged.Load())
	}
	l.checkDatabase()
}

// writer is one client of the hub. It remembers what the hub acknowledged.
type writer interface {
	// write writes until ctx ends, whatever becomes of the hub.
	write(ctx context.Context)
	// check compares the hub with the memory, while write goes on.
	check()
	// finish compares everything, after write has ended.
	finish()
}

// load is what all writers share.
type load struct {
	*site.Site
	figures      *figures
	twins        twinWatch
	acknowledged atomic.Int64
	failed       atomic.Int64
}

func (l *load) writers() []writer {
	for _, id := range []string{"shared", "d0", "d1"} {
		l.Object("PUT", "/devices/"+id, fmt.Sprintf(`{"deviceId":%q}`, id))
	}
	d0, d1 := newReporter(l, "d0"), newReporter(l, "d1")
	return []writer{
		&twinWriter{load: l, key: "a"}, &twinWriter{load: l, key: "b"},
		&registrar{load: l, known: map[string]*registered{}},
		d0, d1,
		&jobWriter{load: l, devices: []*reporter{d0, d1}},
		&feedReader{load: l, devices: []*reporter{d0, d1}},
	}
}

// send sends a request and tells what came of it: acknowledged, refused with a
// status, or 0 if nobody knows.
func (l *load) send(ctx context.Context, verb, path, body string, headers ...string) (status int, answer any) {
	status, answer, err := l.TryRequest(ctx, verb, path, body, headers...)
	if err != nil {
		if ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond) // the hub is down: not a busy loop
		}
		status = 0
	}
	if verb != "GET" {
		if status/100 == 2 {
			l.acknowledged.Add(1)
		} else {
			l.failed.Add(1)
		}
	}
	return status, answer
}

// get asks until the hub has an answer.
func (l *load) get(path string) (status int, answer any) {
	l.Helper()
	l.Await("the hub answers", func() bool {
		status, answer = l.send(context.Background(), "GET", path, "")
		return status != 0
	})
	return status, answer
}

// killHub kills the hub, starts it again and gives how long that took.
func (l *load) killHub() time.Duration {
	l.Helper()
	l.figures.wrote(resourcesOf(l.Hub.Cmd.Process.Pid).written)
	l.Hub.Signal(syscall.SIGKILL)
	began := time.Now()
	l.StartHub()
	l.get("/devices/shared")
	return time.Since(began)
}

// sighting is one twin as somebody saw it.
type sighting struct {
	etag     string
	version  int64
	sections [2]int64 // versions of desired and reported
}

// twinWatch looks at every twin that anybody reads: its versions never go back,
// and one etag never stands for two versions.
type twinWatch struct {
	mu    sync.Mutex // guards the fields below
	seen  map[string]sighting
	etags map[string]int64
}

// last is what was known of a twin before a request was sent.
func (w *twinWatch) last(id string) sighting {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[id]
}

// look takes a twin that the hub answered to a request sent after before was
// known. It says what is wrong with it; "" if nothing is.
func (w *twinWatch) look(id string, before sighting, twin any) (problem string) {
	now := sighting{etag: fmt.Sprint(site.At(twin, "etag")), version: number(site.At(twin, "version"))}
	for i, section := range []string{"desired", "reported"} {
		now.sections[i] = number(site.At(twin, "properties", section, "$version"))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.etags == nil {
		w.etags = map[string]int64{}
	}
	// The etag of a twin is that of what the operator writes: tags and desired.
	key := id + " " + now.etag
	if desired, known := w.etags[key]; known && desired != now.sections[0] {
		return fmt.Sprintf("twin %s: the etag %s stood for version %d of desired and now for %d", id, now.etag, desired, now.sections[0])
	}
	w.etags[key] = now.sections[0]
	if now.version < before.version || now.sections[0] < before.sections[0] || now.sections[1] < before.sections[1] {
		return fmt.Sprintf("twin %s: it was %+v, and is %+v", id, before, now)
	}
	if now.version > w.seen[id].version {
		w.seen[id] = now
	}
	return ""
}

func number(v any) int64 {
	var n int64
	_, _ = fmt.Sscan(fmt.Sprint(v), &n)
	return n
}

func (l *load) databaseSize() int64 {
	l.Helper()
	var sum int64
	for name, size := range stored(l.TB, l.Path("hub")) {
		if strings.HasPrefix(name, "hub.db") {
			sum += size
		}
	}
	return sum
}

// checkDatabase stops the hub in order and has SQLite check what it left.
func (l *load) checkDatabase() {
	l.Helper()
	l.Hub.Signal(syscall.SIGTERM)
	db, err := sql.Open("sqlite", "file:"+l.Path("hub/hub.db")+"?mode=ro")
	if err != nil {
		l.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		l.Errorf("the database after the kills: %q, %v", verdict, err)
	}
}
