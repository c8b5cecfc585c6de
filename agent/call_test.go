package agent

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
)

// answers counts answers and keeps the first.
type answers struct {
	n     atomic.Int32
	first atomic.Pointer[iothub.MethodResponse]
	at    time.Time
	out   chan struct{} // if set, closed at the first
}

func (a *answers) respond(r iothub.MethodResponse) {
	if a.n.Add(1) == 1 {
		a.at = time.Now()
		a.first.Store(&r)
		if a.out != nil {
			close(a.out)
		}
	}
}

func TestCall(t *testing.T) {
	ok := reply(200, "done")
	for name, row := range map[string]struct {
		wait   time.Duration // before it is run
		begins bool          // it moves something
		takes  time.Duration // before that
		then   time.Duration // and after
		moves  bool
		status int // 0: the one of two that comes first, as long as it is true
		after  time.Duration
	}{
		"at once":                              {0, true, 0, 0, true, 200, 0},
		"in time":                              {time.Second, true, time.Second, time.Second, true, 200, 3 * time.Second},
		"run too late":                         {time.Minute, true, 0, 0, false, 503, answerWithin},
		"time up before it begins":             {0, true, time.Minute, 0, false, 503, answerWithin},
		"time up after it began":               {0, true, time.Second, time.Minute, true, 503, answerWithin},
		"a look that takes too long":           {0, false, time.Minute, 0, false, 503, answerWithin},
		"time up in the instant of its begin":  {0, true, answerWithin, 0, false, 0, answerWithin},
		"time up in the instant of its answer": {0, true, 0, answerWithin, true, 0, answerWithin},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got answers
				moved := false
				begin := time.Now()
				c := newCall(context.Background(), "lockDoor", got.respond)
				time.Sleep(row.wait)
				c.run(func() answer {
					time.Sleep(row.takes)
					if row.begins && !c.begin() {
						return notBegun()
					}
					moved = row.begins
					time.Sleep(row.then)
					return ok
				})
				time.Sleep(time.Hour)
				if got.n.Load() != 1 {
					t.Fatalf("%d answers", got.n.Load())
				}
				if r := got.first.Load(); row.status != 0 && r.Status != row.status || got.at.Sub(begin) != row.after {
					t.Errorf("%d %s after %s, want %d after %s", r.Status, r.Payload, got.at.Sub(begin), row.status, row.after)
				}
				told := got.first.Load().Status == 200 || strings.Contains(string(got.first.Load().Payload), "pending")
				if moved && !told || row.status != 0 && moved != row.moves {
					t.Errorf("moved: %t, and the caller was told %s", moved, got.first.Load().Payload)
				}
			})
		})
	}
}

// lateTimer is a context whose time is up and whose timer has not run yet: that
// of a process that stood still and has just gone on.
type lateTimer struct{ context.Context }

func (lateTimer) Deadline() (time.Time, bool) { return time.Now().Add(-time.Millisecond), true }

func TestACallDoesNotBeginAfterItsTimeThoughItsTimerIsLate(t *testing.T) {
	c := &call{ctx: lateTimer{t.Context()}, respond: func(iothub.MethodResponse) {}}
	if c.begin() {
		t.Error("it began")
	}
}

func TestACallTellsTheSenderOfAnAnswerThatDidNotGoOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got answers
		var told error
		c := newCall(context.Background(), "rebootDevice", got.respond)
		c.run(func() answer {
			c.begin()
			time.Sleep(time.Minute)
			ans := reply(200, "late")
			ans.sent = func(err error) { told = err }
			return ans
		})
		if told == nil || got.n.Load() != 1 {
			t.Errorf("told %v, %d answers", told, got.n.Load())
		}
	})
}

// In real time, for the race detector: what ends the time and what answers
// meet, again and again.
func TestACallIsAnsweredOnceWhateverMeets(t *testing.T) {
	for range 300 {
		got := answers{out: make(chan struct{})}
		ctx, cancel := context.WithCancel(context.Background())
		c := newCall(ctx, "lockDoor", got.respond)
		var moved atomic.Bool
		var all sync.WaitGroup
		all.Go(cancel)
		all.Go(func() {
			c.run(func() answer {
				if !c.begin() {
					return notBegun()
				}
				moved.Store(true)
				return reply(200, "done")
			})
		})
		all.Wait()
		<-got.out // the end of the time answers from a goroutine of its own
		if r := got.first.Load(); got.n.Load() != 1 || r.Status == 200 && !moved.Load() {
			t.Fatalf("%d answers, the first %d, moved %t", got.n.Load(), r.Status, moved.Load())
		}
	}
}
