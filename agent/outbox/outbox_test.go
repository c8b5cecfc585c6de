package outbox

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestEventsArriveInOrder(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.happen("a", "b")
		r.happen("c")
		r.want("1:a 2:b 3:c")
	})
}

func TestABurstIsSyncedOnce(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.happen("first") // makes the files
		r.set(func() { r.syncs, r.writes = 0, 0 })
		for range 20 {
			r.tell("press", "unlock")
			time.Sleep(time.Millisecond)
		}
		r.pass(5 * pace)
		if r.syncs != 1 || r.writes != 0 {
			t.Errorf("%d syncs and %d files for a burst", r.syncs, r.writes)
		}
		r.set(func() { r.syncs = 0 })
		for range 100 { // somebody plays with the button
			r.tell("press")
			time.Sleep(100 * time.Millisecond)
		}
		r.pass(5 * pace)
		if r.syncs > 11 {
			t.Errorf("%d syncs in 10 s", r.syncs)
		}
		if got := strings.Count(r.hub(), ":"); got != 141 {
			t.Errorf("%d events arrived", got)
		}
	})
}

func TestIdleWritesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.pass(time.Hour)
		if names, _ := filepath.Glob(filepath.Join(r.dir, "*")); len(names) > 0 {
			t.Errorf("a device on which nothing happened has written %v", names)
		}
		r.happen("a")
		before, _ := os.Stat(r.path())
		r.set(func() { r.syncs, r.writes = 0, 0 })
		r.pass(24 * time.Hour)
		after, _ := os.Stat(r.path())
		if r.syncs+r.writes > 0 || !before.ModTime().Equal(after.ModTime()) {
			t.Error("an idle device writes")
		}
	})
}

func TestEventsOutliveAKill(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.set(func() { r.away = true })
		r.start()
		r.happen("a", "b")
		r.kill()
		r.start()
		r.happen("c")
		r.kill()
		r.set(func() { r.away = false })
		r.start()
		r.happen("d")
		r.want("1:a 2:b 3:c 4:d")
		r.kill()
		r.start()
		r.want("1:a 2:b 3:c 4:d") // what the hub has is not sent again
	})
}

func TestOrderedStopWritesTheLastEvents(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.happen("a")
		r.end()
		<-r.done
		r.tell("b") // the door is locked by the stop
		r.Finish(context.Background(), r.deliver)
		r.want("1:a 2:b")
		r.set(func() { r.away = true })
		r.tell("c")
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		r.Finish(ctx, r.deliver)
		if took := time.Since(begin); took > time.Second {
			t.Errorf("a hub that is away holds up the stop for %s", took)
		}
		r.tell("d")
		r.Finish(context.Background(), nil)
		r.set(func() { r.away = false })
		r.start()
		r.want("1:a 2:b 3:c 4:d")
	})
}

func TestDeliveryThatFailsIsTriedAgain(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.set(func() { r.refuse = fmt.Errorf("throttled") })
		r.start()
		r.happen("a", "b")
		r.want("")
		r.set(func() { r.refuse = nil })
		r.pass(10 * time.Minute)
		r.want("1:a 2:b")
	})
}

func TestOldestGiveWay(t *testing.T) {
	for name, bounds := range map[string][2]int{"count": {8, 1 << 20}, "bytes": {1000, 8 * 93}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.bounds = bounds
				r.set(func() { r.away = true })
				r.start()
				for i := range 20 {
					r.happen(fmt.Sprintf("e%d", i%10))
				}
				if n, _ := r.Waiting(); n > 8 || n < 6 {
					t.Errorf("%d events wait", n)
				}
				r.kill() // with the loss on record
				r.set(func() { r.away = false })
				r.start()
				r.happen("last")
				r.explained(21)
				if !strings.Contains(r.hub(), "20:e9") {
					t.Errorf("the newest was dropped: %s", r.hub())
				}
			})
		})
	}
}

// explained fails unless each number up to last has arrived or is covered by a
// mark, in ascending order.
func (r *rig) explained(last uint64) {
	r.Helper()
	has := map[uint64]bool{}
	var before uint64
	for _, e := range r.got {
		if e.Seq <= before {
			r.Errorf("%d came behind %d", e.Seq, before)
		}
		before = e.Seq
		has[e.Seq] = true
		for i := uint64(1); e.Lost != nil && i <= last; i++ {
			if i >= e.Lost.From && i <= e.Lost.To {
				has[i] = true
			}
		}
	}
	for i := uint64(1); i <= max(last, before); i++ {
		if !has[i] {
			r.Errorf("nothing explains where %d is: %s", i, list(r.got))
		}
	}
}

func TestAMarkThatIsDroppedIsNotForgotten(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.bounds = [2]int{8, 1 << 20}
		r.set(func() { r.away = true })
		r.start()
		r.Missed(3)
		r.happen("a") // numbers 1 to 3 are lost, 4 is a, 5 is the mark
		for range 20 {
			r.happen("b")
		}
		r.set(func() { r.away = false })
		r.stop()
		r.start()
		r.happen("c")
		r.explained(26)
	})
}

func TestSickDisk(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.happen("a")
		r.set(func() { r.fail = errDisk })
		r.happen("b")
		r.happen("c")
		r.want("1:a") // what is not synced is not sent
		if n, fault := r.Waiting(); n != 2 || fault == nil {
			t.Errorf("%d wait, fault %v", n, fault)
		}
		r.set(func() { r.fail = nil })
		r.pass(2 * maxRetry)
		r.want("1:a 2:b 3:c")
		if n, fault := r.Waiting(); n != 0 || fault != nil {
			t.Errorf("%d wait, fault %v", n, fault)
		}
	})
}

func TestSickDiskIsBoundedInMemory(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.set(func() { r.fail = errDisk })
		r.start()
		for range maxFresh + 50 {
			r.tell("x")
		}
		r.pass(2 * pace)
		r.tell("last")
		if n, _ := r.Waiting(); n != maxFresh {
			t.Errorf("%d wait in memory", n)
		}
		r.set(func() { r.fail = nil })
		r.pass(2 * maxRetry)
		r.happen("after")
		r.explained(maxFresh + 53)
		if r.got[0].Seq != 52 || !strings.Contains(r.hub(), "lost(1-51,51)") {
			t.Errorf("the hub has %s … %s", list(r.got[:2]), list(r.got[len(r.got)-3:]))
		}
	})
}

func TestKillWithASickDiskUsesNoNumberTwice(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		r.happen("a")
		r.set(func() { r.fail = errDisk })
		r.happen("lost without a trace")
		r.kill()
		r.set(func() { r.fail = nil })
		r.start()
		r.happen("b")
		r.want("1:a 2:b")
	})
}

func TestReadOnlyDiskDeliversWhatIsOnIt(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.set(func() { r.away = true })
		r.start()
		r.happen("a")
		r.stop()
		r.Outbox = r.make()
		q, _, _ := parse(r.read())
		r.loaded, r.q, r.fail, r.away = true, q, errDisk, false // no file can be opened for writing
		ctx, cancel := context.WithCancel(context.Background())
		r.end, r.done = cancel, make(chan struct{})
		go func() {
			defer close(r.done)
			r.Outbox.Run(ctx, r.deliver)
		}()
		r.pass(pace)
		r.publish()
		r.happen("b")
		r.want("1:a")
		r.set(func() { r.fail = nil })
		r.pass(2 * maxRetry)
		r.want("1:a 2:b")
	})
}

func TestJournalStaysShort(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.start()
		var longest int
		for range 100 {
			for range 40 {
				r.tell("something happened at the door that takes some room")
			}
			r.pass(3 * pace)
			longest = max(longest, len(r.read()))
		}
		if longest > slack+40*400 {
			t.Errorf("the journal grew to %d bytes", longest)
		}
		r.explained(4000)
		if r.writes > 20 {
			t.Errorf("%d files were written for 4000 events", r.writes)
		}
		r.kill()
		r.start()
		r.happen("one more")
		r.explained(4001)
	})
}

func TestOnce(t *testing.T) {
	inBubble(t, func(r *rig) {
		for range 3 {
			r.start()
			r.Add(Event{Name: "reboot", Once: "reboot boot-1"})
			r.happen("start")
			r.kill()
		}
		r.start()
		r.Add(Event{Name: "reboot", Once: "reboot boot-2"})
		r.pass(2 * pace)
		r.want("1:reboot 2:start 3:start 4:start 5:reboot")
	})
}

func TestTimes(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.trusted = false
		r.set(func() { r.away = true })
		r.start()
		at := time.Now()
		r.happen("a")
		r.trusted = true
		r.ClockChanged()
		r.pass(time.Minute)
		r.kill()
		r.boot, r.booted, r.trusted = "boot-2", time.Now(), false
		r.set(func() { r.away = false })
		r.start()
		r.happen("b")
		r.want("1:a 2:b")
		if got := r.got[0].Time; got.Sub(at).Abs() > time.Millisecond {
			t.Errorf("the time of an event of the boot before is %s, want %s", got, at)
		}
		if !r.got[1].Time.IsZero() {
			t.Errorf("an event has the time %s of a clock that is not trusted", r.got[1].Time)
		}
	})
}

func TestTimeInTheFutureIsPutRight(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.set(func() { r.away = true })
		r.start()
		at := time.Now().Truncate(time.Millisecond)
		wrong := at.Add(10 * 365 * 24 * time.Hour)
		r.Add(Event{Name: "a", Boot: r.boot, Uptime: time.Since(r.booted), Time: wrong}, Event{Name: "b", Boot: "boot-0", Time: wrong})
		r.pass(2 * pace)
		r.set(func() { r.away = false })
		r.stop()
		r.start()
		if got := r.got[0].Time; !got.Equal(at) || !r.got[1].Time.IsZero() {
			t.Errorf("times %s and %s", got, r.got[1].Time)
		}
	})
}

func TestLostNumbersAreNotGivenToOthers(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.bounds = [2]int{4, 1 << 20}
		r.set(func() { r.away = true })
		r.start()
		r.happen("a", "b", "c", "d") // 1 to 4: there is no room for a mark
		r.Missed(3)                  // 5 to 7
		r.pass(2 * pace)
		r.kill()
		r.set(func() { r.away = false })
		r.start()
		r.happen("e")
		r.want("1:a 2:b 3:c 4:d 8:lost(5-7,3) 9:e")
	})
}
