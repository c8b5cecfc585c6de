package outbox

import (
	"bytes"
	"time"
)

// queue is what the journal says: the events that wait, and the numbers. It is
// pure; a copy of the value is a copy, because entries are never changed in
// place by a copy that another one shares.
type queue struct {
	waiting []Entry
	bytes   int    // of the records that wait
	next    uint64 // the number of the next event
	done    uint64 // none up to this number waits any more
	lost    Lost   // what no mark tells of yet
	once    string // the last Event.Once
}

// condition of a journal that was read.
type condition int

const (
	whole   condition = iota
	torn              // half a line at its end: a write that was cut short, and never synced
	damaged           // unreadable lines: what was synced may be missing
	newer             // written by a newer version of the program
)

// parse reads a journal. end is where the whole lines of a torn one end.
func parse(text []byte) (q queue, end int, c condition) {
	q.next = 1
	var last uint64 // number
	for n := 0; end < len(text); n++ {
		i := bytes.IndexByte(text[end:], '\n')
		if i < 0 {
			if c == whole {
				c = torn
			}
			break
		}
		line := text[end : end+i]
		end += i + 1
		r, ok := parseRecord(line)
		switch {
		case !ok:
			c = damaged
			continue
		case r.Type == recordHead && n == 0:
			if r.Format > format {
				return queue{next: 1}, 0, newer
			}
		case r.Type == recordHead, r.Type == recordReserved:
			c = damaged
			continue
		case n == 0:
			c = damaged
		case r.Seq > 0 && r.Seq <= last:
			c = damaged
			continue
		}
		last = max(last, r.Seq)
		q.take(r, len(line)+1)
	}
	if end == 0 {
		c = damaged // a journal is made with its head
	}
	return q, end, c
}

// take adds a record that was read or written.
func (q *queue) take(r record, size int) {
	switch r.Type {
	case recordHead:
		q.next, q.once = max(q.next, r.Next), r.Once
		q.settle(r.Done)
	case recordEvent, recordMark:
		e := Entry{Seq: r.Seq, Event: *r.Event, size: size}
		if r.Type == recordMark {
			e.Lost, q.lost = r.Lost, Lost{}
		}
		if e.Once != "" {
			q.once = e.Once
		}
		q.next = max(q.next, r.Seq+1)
		if r.Seq > q.done {
			q.waiting = append(q.waiting, e)
			q.bytes += size
		}
	case recordDone:
		q.settle(r.Done)
	case recordLost:
		q.settle(r.Done)
		q.lost = *r.Lost
		q.next = max(q.next, r.Lost.To+1)
	case recordBoot:
		q.date(r.Boot, r.Booted)
	}
}

// settle forgets what the hub has, or will never get.
func (q *queue) settle(done uint64) {
	for len(q.waiting) > 0 && q.waiting[0].Seq <= done {
		q.bytes -= q.waiting[0].size
		q.waiting = q.waiting[1:]
	}
	q.done = max(q.done, done)
	q.next = max(q.next, q.done+1)
}

// undated tells whether an event of that boot waits whose time is not known.
func (q *queue) undated(boot string) bool {
	for _, e := range q.waiting {
		if e.Boot == boot && e.Time.IsZero() {
			return true
		}
	}
	return false
}

// date gives the events of a boot the times that were not known.
func (q *queue) date(boot string, booted time.Time) {
	dated := make([]Entry, 0, len(q.waiting)+1)
	for _, e := range q.waiting {
		if e.Boot == boot && e.Time.IsZero() {
			e.Time = booted.Add(e.Uptime).UTC().Truncate(time.Millisecond)
		}
		dated = append(dated, e)
	}
	q.waiting = dated
}

// dropOldest makes room. What is dropped is lost, unless the hub got it and the
// acknowledgement was lost.
func (q *queue) dropOldest() {
	e := q.waiting[0]
	q.lost.add(e.Seq, e.Seq, 1)
	if e.Lost != nil {
		q.lost.add(e.Lost.From, e.Lost.To, e.Lost.Count)
	}
	q.settle(e.Seq)
}

// encode writes the queue as a journal of its own.
func (q *queue) encode() ([]byte, error) {
	head := record{Type: recordHead, Format: format, Next: q.next, Done: q.done, Once: q.once}
	text, err := appendRecord(nil, head)
	for i := range q.waiting {
		if err != nil {
			return nil, err
		}
		text, err = appendRecord(text, q.waiting[i].record())
	}
	if err == nil && !q.lost.isNothing() { // behind the marks, which end a loss
		text, err = appendRecord(text, record{Type: recordLost, Lost: &q.lost, Done: q.done})
	}
	return text, err
}

func (e *Entry) record() record {
	if e.Lost != nil {
		return record{Type: recordMark, Seq: e.Seq, Event: &e.Event, Lost: e.Lost}
	}
	return record{Type: recordEvent, Seq: e.Seq, Event: &e.Event}
}
