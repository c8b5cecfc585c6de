package agent

import (
	"context"
	"sync"
	"time"
)

// queue runs work one at a time, in the order in which it was added. It is
// not bounded: the hub's client bounds how many methods are in flight.
type queue struct {
	wake chan struct{}

	mu    sync.Mutex // guards the fields below
	work  []func()
	began time.Time // of the work under way; zero: none is
}

// busy is how long the work under way has taken so far.
func (q *queue) busy() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.began.IsZero() {
		return 0
	}
	return time.Since(q.began)
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

func (q *queue) add(f func()) {
	q.mu.Lock()
	q.work = append(q.work, f)
	q.mu.Unlock()
	poke(q.wake)
}

// next takes the next work; what was taken before is done.
func (q *queue) next() func() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.began = time.Time{}
	if len(q.work) == 0 {
		return nil
	}
	q.began = time.Now()
	f := q.work[0]
	q.work = q.work[1:]
	return f
}

// run works until ctx ends; what is still in the queue then is done first, so
// that nobody waits for an answer.
func (q *queue) run(ctx context.Context) {
	for {
		for f := q.next(); f != nil; f = q.next() {
			f()
		}
		select {
		case <-q.wake:
		case <-ctx.Done():
			for f := q.next(); f != nil; f = q.next() {
				f()
			}
			return
		}
	}
}

// poke wakes whoever waits on a channel of one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// turn is a mutex for what may take a disk's time. Unlike with a sync.Mutex,
// whoever waits for it is seen to be idle by tests in fake time.
type turn chan struct{}

func (t turn) lock()   { t <- struct{}{} }
func (t turn) unlock() { <-t }
