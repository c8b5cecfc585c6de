package outbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"latchd/internal/atomicfile"
	"latchd/internal/backoff"
)

// maxRetry bounds the pause after which a disk that took nothing is tried again:
// what is in memory is lost with the power.
const maxRetry = time.Minute

// write keeps what is added until ctx ends, and then once more.
func (o *Outbox) write(ctx context.Context) {
	retries := backoff.Policy{Cap: maxRetry}
	poke(o.news) // what earlier runs left is to be read
	for {
		select {
		case <-o.news:
		case <-ctx.Done():
			_, err := o.commit()
			o.noteFault(err)
			return
		}
		if backoff.Sleep(ctx, gather) != nil {
			continue
		}
		wrote, err := o.commit()
		o.noteFault(err)
		switch {
		case err != nil:
			poke(o.news)
			_ = retries.Wait(ctx, pace)
		case wrote:
			retries.Reset()
			_ = backoff.Sleep(ctx, pace)
		}
	}
}

// noteFault logs when the disk begins and ends to fail.
func (o *Outbox) noteFault(err error) {
	o.mu.Lock()
	was := o.fault
	o.fault = err
	o.mu.Unlock()
	switch {
	case err != nil && was == nil:
		o.cfg.Log.Error("events cannot be written; they wait in memory and are not sent", "error", err)
	case err == nil && was != nil:
		o.cfg.Log.Info("events can be written again")
	}
}

// burst is what one commit writes.
type burst struct {
	events []Event
	missed uint64
	acked  uint64
}

// commit writes what is new, if anything is, and syncs it once. After an error
// everything is as it was before.
func (o *Outbox) commit() (wrote bool, err error) {
	o.turn <- struct{}{}
	defer func() { <-o.turn }()
	if !o.loaded {
		if err := o.load(); err != nil {
			return false, err
		}
		o.publish()
	}
	o.mu.Lock()
	b := burst{o.fresh, o.missed, o.acked}
	o.fresh, o.missed, o.writing = nil, 0, true
	o.mu.Unlock()
	p, err := o.plan(b)
	if err == nil {
		err = o.keep(p)
	}
	if err != nil {
		o.mu.Lock()
		o.fresh = append(b.events, o.fresh...)
		o.missed += b.missed
		o.boundFresh()
		o.writing = false
		o.mu.Unlock()
		return false, err
	}
	o.q = p.after
	o.publish()
	return len(p.lines) > 0, nil
}

// publish lets the sender see what is on disk.
func (o *Outbox) publish() {
	o.mu.Lock()
	o.waiting, o.writing = o.q.waiting, false
	o.trim()
	o.announce()
	o.mu.Unlock()
	poke(o.ready)
}

// plan is what a commit does to the queue and to the file.
type plan struct {
	after queue
	lines []byte
	sync  bool // false: the lines only say what the hub has
}

// plan works out a commit. The order of its lines matters to a file of which a
// power cut leaves the first part: a loss stands before the events whose numbers
// come behind it, a mark stands behind what it replaces.
func (o *Outbox) plan(b burst) (p plan, err error) {
	p.after = o.q
	q := &p.after
	q.settle(b.acked)
	if b.missed > 0 {
		q.lost.add(q.next, q.next+b.missed-1, b.missed)
		q.next += b.missed
	}
	now, trusted := o.cfg.Now()
	booted := now.Add(-o.cfg.Uptime())
	var events []byte
	if trusted && q.undated(o.cfg.Boot) {
		events, err = q.write(events, record{Type: recordBoot, Boot: o.cfg.Boot, Booted: booted})
	}
	for _, e := range b.events {
		if e.Once != "" && e.Once == q.once || err != nil {
			continue
		}
		if trusted && e.Time.IsZero() && e.Boot == o.cfg.Boot {
			e.Time = wallTime(booted, e.Uptime)
		}
		events, err = q.write(events, record{Type: recordEvent, Seq: q.next, Event: &e})
	}
	for len(q.waiting) > o.cfg.MaxEvents || len(q.waiting) > 1 && q.bytes > o.cfg.MaxBytes {
		q.dropOldest()
	}
	var first []byte
	switch {
	case q.lost != o.q.lost:
		lost := q.lost
		first, err = orFailed(err, first, record{Type: recordLost, Lost: &lost, Done: q.done})
	case q.done != o.q.done:
		first, err = orFailed(err, first, record{Type: recordDone, Done: q.done})
	}
	if !q.lost.isNothing() && o.hasRoom(q) && err == nil {
		mark := Event{Boot: o.cfg.Boot, Uptime: o.cfg.Uptime()}
		if trusted {
			mark.Time = wallTime(booted, mark.Uptime)
		}
		lost := q.lost
		events, err = q.write(events, record{Type: recordMark, Seq: q.next, Event: &mark, Lost: &lost})
	}
	p.lines = append(first, events...)
	p.sync = len(events) > 0 || q.lost != o.q.lost
	return p, err
}

// hasRoom tells whether a mark may be added: not while each event drops another,
// or there would be as many marks as events.
func (o *Outbox) hasRoom(q *queue) bool {
	return len(q.waiting) <= o.cfg.MaxEvents*3/4 && q.bytes <= o.cfg.MaxBytes*3/4
}

// write adds a record to the lines and to the queue.
func (q *queue) write(lines []byte, r record) ([]byte, error) {
	was := len(lines)
	lines, err := appendRecord(lines, r)
	if err != nil {
		return lines, fmt.Errorf("write an event: %w", err)
	}
	q.take(r, len(lines)-was)
	return lines, nil
}

func orFailed(err error, lines []byte, r record) ([]byte, error) {
	if err != nil {
		return lines, err
	}
	return appendRecord(lines, r)
}

// slack is how much longer than twice of what waits the journal may be, in bytes.
const slack = 64 << 10

// keep makes the plan durable.
func (o *Outbox) keep(p plan) error {
	if len(p.lines) == 0 {
		return nil
	}
	if o.journal.file == nil {
		// The journal first: a reservation without one means that it was lost.
		text, err := o.q.encode()
		if err == nil {
			err = o.journal.rewrite(text)
		}
		if err != nil {
			return err
		}
	}
	if err := o.reserved.cover(p.after.next-1, o.journal.replace); err != nil {
		return err
	}
	if o.journal.size+int64(len(p.lines)) > int64(2*p.after.bytes+slack) {
		text, err := p.after.encode()
		if err == nil {
			err = o.journal.rewrite(text)
		}
		if err == nil {
			return nil
		}
		o.cfg.Log.Warn("the event journal is not made shorter", "error", err)
	}
	return o.journal.append(p.lines, p.sync)
}

// load reads what earlier runs left. An error means that it is not known, and
// must not be overwritten.
func (o *Outbox) load() error {
	text, err := os.ReadFile(o.journal.path)
	absent := errors.Is(err, fs.ErrNotExist)
	if err != nil && !absent {
		return fmt.Errorf("read the event journal: %w", err)
	}
	if err := o.reserved.read(); err != nil {
		return err
	}
	q, end, c := queue{next: 1}, 0, damaged
	switch {
	case !absent:
		q, end, c = parse(text)
	case o.reserved.upTo == 0: // the first start
		o.q, o.loaded = q, true
		return nil
	}
	if c == whole || c == torn {
		o.q, o.loaded = q, true
		if err := o.journal.open(int64(end), c == torn); err != nil {
			// A disk that is read-only is no reason not to deliver what is on it.
			o.cfg.Log.Warn("events that wait are delivered, but it cannot be recorded", "error", err)
		}
		return nil
	}
	if !absent {
		if err := o.setAside(c); err != nil {
			return err
		}
	}
	o.q, o.loaded = q.behind(o.reserved.upTo), true
	o.cfg.Log.Warn("events were lost with their journal", "from", o.q.lost.From, "to", o.q.lost.To, "kept", len(o.q.waiting))
	return nil
}

func (o *Outbox) setAside(c condition) error {
	why := "damaged"
	if c == newer {
		why = "newer-format"
	}
	aside, err := atomicfile.SetAside(o.journal.path, why)
	if err != nil {
		return fmt.Errorf("the event journal cannot be used (%s): %w", why, err)
	}
	o.cfg.Log.Warn("the event journal was set aside", "file", aside, "why", why)
	return nil
}

// behind is the queue of a journal of which something is missing: its numbers go
// on behind all that may be in use.
func (q queue) behind(reserved uint64) queue {
	if reserved < q.next { // the reservation is lost too
		reserved = q.next - 1 + ahead
	}
	q.lost.add(q.done+1, reserved, 0)
	q.next = reserved + 1
	return q
}
