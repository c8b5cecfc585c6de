package outbox

import (
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"latchd/internal/backoff"
)

const (
	// DefaultMaxEvents is how many events wait on disk: a busy door makes two to
	// three thousand a day, and a hub may be away over a long weekend.
	DefaultMaxEvents = 10_000
	// DefaultMaxBytes bounds their records: 400 bytes each on the average, where
	// 250 are usual. They are in memory too.
	DefaultMaxBytes = 4 << 20

	// maxFresh is how many events wait in memory while the disk takes none.
	maxFresh = 1024
	// gather is how long the first event of a burst waits for the others: a press,
	// the unlock and the opening of the door are one sync. It is well below what a
	// person notices.
	gather = 50 * time.Millisecond
	// pace is the time between two syncs at least, so that somebody who plays with
	// the button does not wear out the card.
	pace = time.Second
	// window is how many events are under way to the hub at a time.
	window = 16
)

// Config is what an Outbox is made of.
type Config struct {
	Dir    string                          // must exist and survive a reboot
	Boot   string                          // the id of this boot
	Uptime func() time.Duration            // the boot-time clock
	Now    func() (now time.Time, ok bool) // the wall clock, and whether it is trusted
	Log    *slog.Logger

	MaxEvents, MaxBytes int // 0: the defaults
}

// Deliver hands entries to the hub, in order, and tells how many of them, from
// the first on, the hub has acknowledged. It waits while there is no hub. An
// error means that the others are to be tried again after a pause.
type Deliver func(ctx context.Context, entries []Entry) (delivered int, err error)

// Outbox keeps events until they are delivered. Its methods may be called from
// any goroutine; one Run or Finish at a time.
type Outbox struct {
	cfg Config

	// turn is held by whoever works on the disk, which may hang. It guards the
	// fields up to mu.
	turn     chan struct{}
	loaded   bool
	journal  journal
	reserved reservation
	q        queue

	news  chan struct{} // pokes the writer
	ready chan struct{} // pokes the sender

	mu      sync.Mutex    // guards the fields below; never held while waiting
	fresh   []Event       // not on disk yet
	missed  uint64        // lost before they were on disk
	writing bool          // events that were fresh are being written
	waiting []Entry       // on disk
	acked   uint64        // what the hub has
	fault   error         // why the disk takes nothing; nil: it does
	changed chan struct{} // closed and replaced when something was written or delivered
}

// New makes an outbox. It does not touch the disk: Run does, so that a disk that
// hangs keeps nobody from starting.
func New(cfg Config) *Outbox {
	if cfg.MaxEvents == 0 {
		cfg.MaxEvents = DefaultMaxEvents
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = DefaultMaxBytes
	}
	return &Outbox{
		cfg:      cfg,
		turn:     make(chan struct{}, 1),
		journal:  newJournal(filepath.Join(cfg.Dir, JournalFile)),
		reserved: reservation{path: filepath.Join(cfg.Dir, ReservationFile)},
		news:     make(chan struct{}, 1),
		ready:    make(chan struct{}, 1),
		changed:  make(chan struct{}),
	}
}

// The names of the files in Config.Dir.
const (
	JournalFile     = "events.journal"
	ReservationFile = "events.reserved"
)

// Add takes events, oldest first. It waits for nothing. When the disk takes none
// for so long that memory must be bounded, the oldest are lost and counted.
func (o *Outbox) Add(events ...Event) {
	o.mu.Lock()
	o.fresh = append(o.fresh, events...)
	o.boundFresh()
	o.mu.Unlock()
	poke(o.news)
}

// Missed says that n events were lost before they could be added.
func (o *Outbox) Missed(n int) {
	if n <= 0 {
		return
	}
	o.mu.Lock()
	o.missed += uint64(n)
	o.mu.Unlock()
	poke(o.news)
}

// ClockChanged says that the wall clock became trusted: events of this boot that
// wait get the times that were not known.
func (o *Outbox) ClockChanged() { poke(o.news) }

// Waiting is how many events wait, and why the disk takes no more (nil: it does).
func (o *Outbox) Waiting() (events int, fault error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.fresh) + len(o.waiting), o.fault
}

// boundFresh is called with mu held.
func (o *Outbox) boundFresh() {
	if n := len(o.fresh) - maxFresh; n > 0 {
		o.missed += uint64(n)
		o.fresh = append([]Event(nil), o.fresh[n:]...)
	}
}

// Run writes and delivers until ctx ends; what was added until then is written
// first. A Deliver that does not return when ctx ends, or a disk that hangs,
// holds it up.
func (o *Outbox) Run(ctx context.Context, deliver Deliver) {
	var work sync.WaitGroup
	if deliver != nil {
		work.Go(func() { o.send(ctx, deliver) })
	}
	o.write(ctx)
	work.Wait()
}

// Finish is Run until nothing waits any more, or ctx ends; without a Deliver it
// only writes. It returns soon after that even if the disk hangs.
func (o *Outbox) Finish(ctx context.Context, deliver Deliver) {
	run, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		o.Run(run, deliver)
	}()
	o.awaitEmpty(ctx, deliver == nil)
	cancel()
	timeout := time.NewTimer(finishWithin)
	defer timeout.Stop()
	select {
	case <-done:
	case <-timeout.C:
	}
}

// finishWithin bounds the last write, when a program stops.
const finishWithin = time.Second

// awaitEmpty waits until everything is delivered, or is at least written.
func (o *Outbox) awaitEmpty(ctx context.Context, written bool) {
	for {
		o.mu.Lock()
		isEmpty, changed := len(o.fresh) == 0 && !o.writing && o.missed == 0 && (written || len(o.waiting) == 0), o.changed
		o.mu.Unlock()
		if isEmpty {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// announce is called with mu held.
func (o *Outbox) announce() {
	close(o.changed)
	o.changed = make(chan struct{})
}

// poke wakes whoever waits on a channel of one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// send delivers what is on disk, one window after another.
func (o *Outbox) send(ctx context.Context, deliver Deliver) {
	var pauses backoff.Policy
	for {
		batch := o.batch()
		if len(batch) == 0 {
			select {
			case <-o.ready:
				continue
			case <-ctx.Done():
				return
			}
		}
		n, err := deliver(ctx, batch)
		if n > 0 {
			o.acknowledge(batch[n-1].Seq)
			pauses.Reset()
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			o.cfg.Log.Info("events were not delivered; they wait", "error", err)
			// The hub's client paces its connections. This is for a hub that ends the
			// connection for the events' sake: reports and methods get their time too.
			if pauses.Wait(ctx, sendPause) != nil {
				return
			}
		}
	}
}

// sendPause is the least pause after a delivery that failed.
const sendPause = time.Second

// batch is what is delivered next.
func (o *Outbox) batch() []Entry {
	o.mu.Lock()
	batch := append([]Entry(nil), o.waiting[:min(len(o.waiting), window)]...)
	o.mu.Unlock()
	now, trusted := o.cfg.Now()
	if !trusted {
		return batch
	}
	booted := now.Add(-o.cfg.Uptime())
	for i := range batch {
		e := &batch[i]
		if !e.Time.IsZero() && !e.Time.After(now) {
			continue
		}
		// Not known when it was written, or the clock was set back since and the
		// time was wrong. That of another boot cannot be put right.
		e.Time = time.Time{}
		if e.Boot == o.cfg.Boot {
			e.Time = wallTime(booted, e.Uptime)
		}
	}
	return batch
}

// wallTime is cut, not rounded: what has happened is never later than now.
func wallTime(booted time.Time, uptime time.Duration) time.Time {
	return booted.Add(uptime).Round(0).UTC().Truncate(time.Millisecond)
}

func (o *Outbox) acknowledge(seq uint64) {
	o.mu.Lock()
	o.acked = max(o.acked, seq)
	o.trim()
	o.announce()
	o.mu.Unlock()
	poke(o.news)
}

// trim is called with mu held.
func (o *Outbox) trim() {
	for len(o.waiting) > 0 && o.waiting[0].Seq <= o.acked {
		o.waiting = o.waiting[1:]
	}
}
