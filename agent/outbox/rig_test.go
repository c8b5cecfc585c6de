package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errDisk = errors.New("the disk is gone")

// rig is an outbox in a bubble of fake time, with a hub that holds what it is
// given and a disk that fails when it is told to.
type rig struct {
	*testing.T
	dir     string
	boot    string
	booted  time.Time
	trusted bool
	bounds  [2]int // events and bytes

	*Outbox
	end  context.CancelFunc
	done chan struct{}

	mu     sync.Mutex // guards the fields below
	got    []Entry
	away   bool
	refuse error
	fail   error // of the disk
	syncs  int
	writes int                  // of whole files
	onSync func(durable []byte) // sees each journal that is durable
}

func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := &rig{T: t, dir: dir, boot: "boot-1", booted: time.Now().Add(-time.Minute), trusted: true}
		test(r)
		if r.Outbox != nil {
			r.stop()
		}
	})
}

func (r *rig) make() *Outbox {
	o := New(Config{
		Dir: r.dir, Boot: r.boot,
		Uptime: func() time.Duration { return time.Since(r.booted) },
		Now:    func() (time.Time, bool) { return time.Now(), r.trusted },
		Log:    slog.New(slog.DiscardHandler), MaxEvents: r.bounds[0], MaxBytes: r.bounds[1],
	})
	sync, replace := o.journal.sync, o.journal.replace
	o.journal.sync = func(f *os.File) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.syncs++
		if r.fail != nil {
			return r.fail
		}
		err := sync(f)
		r.seen()
		return err
	}
	o.journal.replace = func(path string, data []byte, perm os.FileMode) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.writes++
		if r.fail != nil {
			return r.fail
		}
		err := replace(path, data, perm)
		r.seen()
		return err
	}
	return o
}

// seen is called with mu held.
func (r *rig) seen() {
	if r.onSync == nil {
		return
	}
	if text, err := os.ReadFile(r.path()); err == nil {
		r.onSync(text)
	}
}

func (r *rig) path() string { return filepath.Join(r.dir, JournalFile) }

// start begins a run of the program.
func (r *rig) start() {
	r.Outbox = r.make()
	ctx, cancel := context.WithCancel(context.Background())
	r.end, r.done = cancel, make(chan struct{})
	go func(o *Outbox, done chan struct{}) {
		defer close(done)
		o.Run(ctx, r.deliver)
	}(r.Outbox, r.done)
	r.pass(2 * pace)
}

// stop is an ordered end.
func (r *rig) stop() {
	r.end()
	<-r.done
	r.Outbox = nil
}

// kill is the end of the process: what is on disk now is all that is left.
func (r *rig) kill() {
	r.Helper()
	copyTo := r.dir + "+"
	if err := os.CopyFS(copyTo, os.DirFS(r.dir)); err != nil {
		r.Fatal(err)
	}
	r.stop()
	r.dir = copyTo
}

func (r *rig) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// happen adds events by name and lets them be written.
func (r *rig) happen(names ...string) {
	r.tell(names...)
	r.pass(2 * pace)
}

func (r *rig) tell(names ...string) {
	events := make([]Event, len(names))
	for i, name := range names {
		events[i] = Event{Name: name, Boot: r.boot, Uptime: time.Since(r.booted)}
	}
	r.Add(events...)
}

func (r *rig) set(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
}

func (r *rig) deliver(ctx context.Context, entries []Entry) (int, error) {
	r.mu.Lock()
	away := r.away
	r.mu.Unlock()
	if away {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		return 0, r.refuse
	}
	r.got = append(r.got, entries...)
	return len(entries), nil
}

// hub is what the hub has, in a line.
func (r *rig) hub() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return list(r.got)
}

func list(entries []Entry) string {
	var all []string
	for _, e := range entries {
		if e.Lost != nil {
			all = append(all, fmt.Sprintf("%d:lost(%d-%d,%d)", e.Seq, e.Lost.From, e.Lost.To, e.Lost.Count))
			continue
		}
		all = append(all, fmt.Sprintf("%d:%s", e.Seq, e.Name))
	}
	return strings.Join(all, " ")
}

func (r *rig) want(hub string) {
	r.Helper()
	if got := r.hub(); got != hub {
		r.Errorf("the hub has\n%s\nwant\n%s", got, hub)
	}
}

func (r *rig) read() []byte {
	r.Helper()
	text, err := os.ReadFile(r.path())
	if err != nil {
		r.Fatal(err)
	}
	return text
}
