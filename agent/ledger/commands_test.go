package ledger

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestACommandIsRememberedAcrossStarts(t *testing.T) {
	path := journalIn(t)
	c := OpenCommands(path, quiet)
	carryOut(t, c, "done", day0)
	if err := begin(t, c, command("refused"), day0).Drop(); err != nil {
		t.Fatal(err)
	}
	begin(t, c, command("killed"), day0)
	if got := outcome(c, command("killed")); got != "in flight" {
		t.Errorf("while it is carried out a repeat gets %q", got)
	}
	for range 2 { // the second start reads what the first one wrote
		c = OpenCommands(path, quiet)
		other := command("done")
		other.Hash = "other"
		for want, cmd := range map[string]Command{
			`200 {"Response":"done"}`: command("done"),
			"new":                     command("refused"),
			"interrupted":             command("killed"),
			"conflict":                other,
		} {
			if got := outcome(c, cmd); got != want {
				t.Errorf("%s: %s, want %s", cmd.ID, got, want)
			}
		}
	}
	if got := asides(t, path); got != "" {
		t.Errorf("set aside: %s", got)
	}
}

func TestNotAfterIsKeptToTheDigit(t *testing.T) {
	path := journalIn(t)
	c := OpenCommands(path, quiet)
	cmd := command("c1")
	cmd.NotAfter = day0.Add(90 * 24 * time.Hour)
	begin(t, c, cmd, day0)
	c = OpenCommands(path, quiet)
	if got := c.byID["c1"]; !got.NotAfter.Equal(cmd.NotAfter) || !got.at.Equal(day0) {
		t.Errorf("read back as %v at %v", got.NotAfter, got.at)
	}
}

func TestTheLastThousandAreKept(t *testing.T) {
	c := OpenCommands(journalIn(t), quiet)
	c.journal.sync = noSync
	for i := range MaxCommands {
		carryOut(t, c, fmt.Sprint("c", i), day0)
	}
	young := day0.Add(MinAge - time.Second)
	if _, _, err := c.Begin(context.Background(), command("new"), young, true); !errors.Is(err, ErrFull) {
		t.Errorf("one more within 7 days: %v", err)
	}
	if _, _, err := c.Begin(context.Background(), command("new"), day0.Add(MinAge), false); !errors.Is(err, ErrFull) {
		t.Errorf("one more by a clock that is not trusted: %v", err)
	}
	carryOut(t, c, "new", day0.Add(MinAge))
	if c.Len() != MaxCommands {
		t.Errorf("%d are remembered", c.Len())
	}
	if c.byID["c0"] != nil || c.byID["c1"] == nil {
		t.Error("not the oldest was forgotten")
	}
}

func TestWhatMayBeForgotten(t *testing.T) {
	old := day0.Add(MinAge)
	small := func(t *testing.T) *Commands {
		c := OpenCommands(journalIn(t), quiet)
		c.limit = 2
		return c
	}
	t.Run("none that may still come", func(t *testing.T) {
		c := small(t)
		kept := command("kept")
		kept.NotAfter = old.Add(time.Hour)
		if err := begin(t, c, kept, day0).End(answerOf("")); err != nil {
			t.Fatal(err)
		}
		carryOut(t, c, "second", day0)
		carryOut(t, c, "third", old)
		if c.byID["kept"] == nil || c.byID["second"] != nil {
			t.Error("a command was forgotten before its notAfter")
		}
	})
	t.Run("none that is being carried out", func(t *testing.T) {
		c := small(t)
		begin(t, c, command("slow"), day0)
		carryOut(t, c, "second", day0)
		carryOut(t, c, "third", old)
		if c.byID["slow"] == nil {
			t.Error("a command was forgotten while it was carried out")
		}
	})
	t.Run("one that was interrupted", func(t *testing.T) {
		c := small(t)
		begin(t, c, command("killed"), day0)
		carryOut(t, c, "second", day0)
		c.byID["killed"].pending = nil // as after a start
		carryOut(t, c, "third", old)
		if c.byID["killed"] != nil {
			t.Error("it stays for ever")
		}
	})
	t.Run("one recorded without a clock counts from the first trusted one", func(t *testing.T) {
		c := small(t)
		for _, id := range []string{"a", "b"} {
			s, _, err := c.Begin(context.Background(), command(id), day0, false)
			if err != nil {
				t.Fatal(err)
			}
			_ = s.End(answerOf(id))
		}
		for _, wait := range []time.Duration{0, MinAge - time.Second} {
			if _, _, err := c.Begin(context.Background(), command("c"), old.Add(wait), true); !errors.Is(err, ErrFull) {
				t.Fatalf("after %s: %v", wait, err)
			}
		}
		carryOut(t, c, "c", old.Add(MinAge))
	})
	t.Run("one recorded by a clock years ahead counts from now", func(t *testing.T) {
		c := small(t)
		for _, id := range []string{"a", "b"} {
			carryOut(t, c, id, day0.AddDate(10, 0, 0))
		}
		if _, _, err := c.Begin(context.Background(), command("c"), day0, true); !errors.Is(err, ErrFull) {
			t.Fatal(err)
		}
		carryOut(t, c, "c", day0.Add(MinAge))
	})
}

func TestManyIdenticalCommandsAreOne(t *testing.T) {
	c := OpenCommands(journalIn(t), quiet)
	c.journal.sync = noSync
	var started atomic.Int32
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			for {
				s, stored, err := c.Begin(context.Background(), command("c1"), day0, true)
				var inFlight *InFlightError
				switch {
				case s != nil:
					started.Add(1)
					_ = s.End(answerOf("first"))
				case stored != nil:
				case errors.As(err, &inFlight):
					<-inFlight.Done
					continue
				default:
					t.Error(err)
				}
				return
			}
		})
	}
	all.Wait()
	if n := started.Load(); n != 1 {
		t.Errorf("%d were begun", n)
	}
}

func TestWaitingForTheJournalCanBeGivenUp(t *testing.T) {
	c := OpenCommands(journalIn(t), quiet)
	c.lock()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := c.Begin(ctx, command("c1"), day0, true); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	c.unlock()
	carryOut(t, c, "c1", day0)
}

func TestCloseLeavesWhatWasBegunAsItIsOnDisk(t *testing.T) {
	path := journalIn(t)
	c := OpenCommands(path, quiet)
	s := begin(t, c, command("slow"), day0)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.End(answerOf("late")); err == nil {
		t.Error("an outcome was recorded in a closed journal")
	}
	if got := outcome(c, command("new")); got != "unwritable" {
		t.Errorf("a closed journal takes a command: %s", got)
	}
	if got := outcome(OpenCommands(path, quiet), command("slow")); got != "interrupted" {
		t.Errorf("after a start: %s", got)
	}
}

func TestAJournalThatCannotBeReadRefusesAllIDs(t *testing.T) {
	path := filepath.Join(journalIn(t), "file-as-directory")
	write(t, filepath.Dir(path), nil)
	c := OpenCommands(path, quiet)
	if got := outcome(c, command("c1")); got != "unwritable" {
		t.Errorf("got %s: nobody knows whether it was carried out before", got)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
