package logging

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// maxQueued bounds what waits to be written, in lines: some minutes of a busy
// device, in at most a few hundred kilobytes.
const maxQueued = 1024

// Queue is a writer that never waits. A journal that does not read, because its disk
// hangs, must not hold up who has something to say: whoever drives a door least of
// all. What does not fit is dropped and counted.
type Queue struct {
	to   io.Writer
	wake chan struct{}
	done chan struct{} // closed by Close

	mu      sync.Mutex // guards the fields below
	lines   [][]byte
	dropped int
	idle    *sync.Cond // nothing waits and nothing is being written
	writing bool
	closed  bool
}

// NewQueue writes to a writer from a goroutine of its own. Close it at the end.
func NewQueue(to io.Writer) *Queue {
	q := &Queue{to: to, wake: make(chan struct{}, 1), done: make(chan struct{})}
	q.idle = sync.NewCond(&q.mu)
	go q.run()
	return q
}

// Write takes one line. It always succeeds.
func (q *Queue) Write(line []byte) (int, error) {
	q.mu.Lock()
	switch {
	case q.closed:
	case len(q.lines) >= maxQueued:
		q.dropped++
	default:
		q.lines = append(q.lines, append([]byte(nil), line...))
	}
	q.mu.Unlock()
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

func (q *Queue) run() {
	for {
		for line := q.take(); line != nil; line = q.take() {
			_, _ = q.to.Write(line) // there is nobody to tell
		}
		select {
		case <-q.wake:
		case <-q.done:
			return
		}
	}
}

// take takes the next line; nil if there is none. What was taken before is written.
func (q *Queue) take() []byte {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writing = true
	switch {
	case len(q.lines) > 0:
		line := q.lines[0]
		q.lines = q.lines[1:]
		return line
	case q.dropped > 0:
		line := fmt.Appendf(nil, "%d lines of the log were lost, because nobody took them\n", q.dropped)
		q.dropped = 0
		return line
	}
	q.writing = false
	q.idle.Broadcast()
	return nil
}

// Close waits until everything is written, for a while at most, and ends the
// goroutine. What is said afterwards is dropped.
func (q *Queue) Close(atMost time.Duration) {
	late := time.AfterFunc(atMost, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.closed = true
		q.idle.Broadcast()
	})
	defer late.Stop()
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (q.writing || len(q.lines) > 0 || q.dropped > 0) {
		q.idle.Wait()
	}
	if q.closed {
		return // it hangs, and is left behind
	}
	q.closed = true
	close(q.done)
}
