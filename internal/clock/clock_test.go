package clock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	build = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	truth = time.Date(2027, 3, 4, 5, 6, 7, 0, time.UTC) // at the boot of a world
)

var errNoHub = errors.New("no route to the hub")

// world is a machine with two clocks, NTP and a hub, in the bubble of a test.
type world struct {
	t      *testing.T
	booted time.Time // in the bubble
	jumps  chan struct{}
	told   chan struct{}

	mu      sync.Mutex
	wrong   time.Duration // the system clock, against the truth
	ntp     bool          // the kernel's flag
	ntpErr  error
	asked   int // timedate1
	hub     time.Duration
	hubErr  error
	hubAsks int
}

func newWorld(t *testing.T, system time.Time) *world {
	return &world{
		t: t, booted: time.Now().Add(-10 * time.Second), wrong: system.Sub(truth),
		jumps: make(chan struct{}, 1), told: make(chan struct{}, 1000),
		hubErr: errNoHub,
	}
}

func (w *world) boot() time.Duration { return time.Since(w.booted) }
func (w *world) truth() time.Time    { return truth.Add(w.boot()) }

func (w *world) wall() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.truth().Add(w.wrong)
}

// step sets the system clock to the truth and wrong; NTP vouches or not.
func (w *world) step(wrong time.Duration, ntp bool) {
	w.set(func() { w.wrong, w.ntp = wrong, ntp })
	w.jumps <- struct{}{}
	synctest.Wait()
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) synchronized(context.Context) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	return w.ntp, w.ntpErr
}

// counts tells how often timedate1 and the hub were asked.
func (w *world) counts() (asked, hubAsks int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.asked, w.hubAsks
}

func (w *world) date(context.Context, server) (reading, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hubAsks++
	return reading{w.truth().Add(w.hub).Truncate(time.Second), w.boot()}, w.hubErr
}

// start runs a clock in the world until the test ends.
func (w *world) start(cfg Config) *Clock {
	w.t.Helper()
	c := w.clock(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	w.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	synctest.Wait()
	return c
}

func (w *world) clock(cfg Config) *Clock {
	cfg.Build, cfg.Boottime, cfg.Wall = build, w.boot, w.wall
	cfg.OnChange = func() { w.told <- struct{}{} }
	if cfg.Marker == "" {
		cfg.Synchronized = w.synchronized
	}
	c := New(cfg)
	c.jumps = func(context.Context) <-chan struct{} { return w.jumps }
	c.date = w.date
	return c
}

// want checks the state, and how far the time is from the truth.
func (w *world) want(c *Clock, state string, off time.Duration) {
	w.t.Helper()
	synctest.Wait()
	got, since := c.State()
	if got != state {
		w.t.Errorf("the clock is %s, want %s", got, state)
	}
	if wrong := c.Now().Sub(w.truth()); abs(wrong-off) > 2*time.Second {
		w.t.Errorf("the time is off by %v, want %v", wrong, off)
	}
	isTrusted := state == Synchronized || state == Corroborated
	if c.Trusted() != isTrusted || since.IsZero() == isTrusted || since.After(c.Now()) {
		w.t.Errorf("%s: trusted is %v, since %v", state, c.Trusted(), since)
	}
	select {
	case <-c.Trust():
		if !isTrusted {
			w.t.Error("it says that it is trusted")
		}
	default:
		if isTrusted {
			w.t.Error("it does not say that it is trusted")
		}
	}
}

// changes tells how often the user was called since the last time.
func (w *world) changes() int {
	synctest.Wait()
	n := len(w.told)
	for range n {
		<-w.told
	}
	return n
}

const (
	day   = 24 * time.Hour
	year  = 365 * day
	years = 10 * year
)

func TestNTPComesAfterABootInThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Date(1970, 1, 1, 0, 0, 5, 0, time.UTC))
		file := filepath.Join(t.TempDir(), "clock")
		c := w.start(Config{File: file})
		w.want(c, Unset, build.Sub(truth)-10*time.Second)
		if c.waitTrusted(t.Context(), 5*time.Second) {
			t.Error("it is trusted")
		}
		w.want(c, Unset, build.Sub(truth)-10*time.Second) // the floor, and what has passed
		if n := w.changes(); n != 0 {
			t.Errorf("%d changes", n)
		}
		waited := make(chan bool)
		go func() { waited <- c.waitTrusted(t.Context(), time.Hour) }()
		w.step(0, true)
		if !<-waited {
			t.Error("the wait ended without trust")
		}
		w.want(c, Synchronized, 0)
		if n := w.changes(); n != 1 && n != 2 { // jump and state may be told as one
			t.Errorf("%d changes", n)
		}
		if saved, err := os.ReadFile(file); err != nil || string(saved) != w.truth().Format(time.RFC3339)+"\n" {
			t.Errorf("saved %q, %v", saved, err)
		}
		if _, since := c.State(); !since.Equal(w.truth()) {
			t.Errorf("since %v", since)
		}
	})
}

func TestRestoredClockThatNobodyVouchesFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth.Add(-day))
		c := w.start(Config{})
		w.want(c, Restored, -day)
		w.step(-time.Hour, false)
		w.want(c, Restored, -time.Hour)
		if n := w.changes(); n != 1 {
			t.Errorf("%d changes", n)
		}
		w.step(-years, false)
		w.want(c, Unset, build.Sub(truth)-10*time.Second)
	})
}

// NTP that needs no step, and has no marker.
func TestNTPIsNoticedWithoutAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		c := w.start(Config{})
		time.Sleep(time.Minute)
		w.want(c, Restored, 0)
		w.set(func() { w.ntp = true })
		if !c.waitTrusted(t.Context(), askCap+time.Minute) {
			t.Error("NTP was not noticed")
		}
		before, _ := w.counts()
		time.Sleep(11 * time.Hour)
		if asked, _ := w.counts(); asked != before {
			t.Errorf("timedate1 was asked %d times for nothing", asked-before)
		}
	})
}

func TestTimedateIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		w.start(Config{})
		time.Sleep(day)
		if asked, _ := w.counts(); asked < 24*2 || asked > 24*8 { // the pauses are 15 minutes on average
			t.Errorf("timedate1 was asked %d times in a day", asked)
		}
	})
}

func TestJumps(t *testing.T) {
	for _, jump := range []time.Duration{day, -day, years, -years, 5 * time.Second} {
		t.Run("by hand "+jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, truth)
				w.ntp = true
				c := w.start(Config{})
				w.want(c, Synchronized, 0)
				w.changes()
				time.Sleep(2 * askAtMost)
				w.step(jump, false)
				w.want(c, Restored, 0)
				if n := w.changes(); n != 1 {
					t.Errorf("%d changes", n)
				}
				time.Sleep(time.Hour)
				w.want(c, Restored, 0)
				w.step(0, false) // put right by hand
				w.want(c, Synchronized, 0)
			})
		})
		t.Run("by NTP "+jump.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, truth)
				w.ntp = true
				file := filepath.Join(t.TempDir(), "clock")
				c := w.start(Config{File: file})
				w.want(c, Synchronized, 0)
				w.changes()
				time.Sleep(time.Hour)
				w.step(jump, true)
				if truth.Add(jump).Before(build) {
					w.want(c, Restored, 0) // impossible
				} else {
					w.want(c, Synchronized, jump)
				}
				if n := w.changes(); n == 0 {
					t.Error("nobody was told")
				}
				// The next start is on the wrong floor, and the server is right again.
				if err := c.Save(); err != nil {
					t.Error(err)
				}
				time.Sleep(2 * askAtMost)
				w.step(0, true)
				time.Sleep(holdUpTo)
				w.want(c, Synchronized, 0)
				c = w.start(Config{File: file})
				w.want(c, Synchronized, 0)
			})
		})
	}
}

func TestSmallStepsBackAreHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		w.ntp = true
		c := w.start(Config{})
		for _, step := range []time.Duration{-200 * time.Millisecond, -2 * time.Second, -9 * time.Second} {
			before := c.Now()
			w.step(step, true)
			if now := c.Now(); !now.Equal(before) {
				t.Errorf("after a step by %v the time goes from %v to %v", step, before, now)
			}
			time.Sleep(10 * time.Second)
			w.want(c, Synchronized, step)
		}
		if state, _ := c.State(); state != Synchronized {
			t.Errorf("the clock is %s", state)
		}
		w.step(-40*time.Second, true)
		w.want(c, Synchronized, -40*time.Second)
	})
}

func TestHubVouchesWhereNTPIsBlocked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth.Add(-day))
		w.hubErr = nil
		c := w.start(Config{DateURL: "https://hub.example.net/"})
		if !c.waitTrusted(t.Context(), 8*time.Second) { // the hub's client waits for ten
			t.Error("the hub was not believed")
		}
		w.want(c, Corroborated, 0)
		if _, n := w.counts(); n != 2 {
			t.Errorf("the hub was asked %d times", n)
		}
		for _, wrong := range []time.Duration{day, -years, 0} {
			w.step(wrong, false)
			w.want(c, Corroborated, 0) // the system clock does not matter
		}
		time.Sleep(4 * day)
		if _, n := w.counts(); n < 6 || n > 10 {
			t.Errorf("the hub was asked %d times in four days", n)
		}
		w.step(time.Second, true) // NTP after all
		w.want(c, Synchronized, time.Second)
	})
}

func TestHubIsNotBelieved(t *testing.T) {
	for name, test := range map[string]struct {
		hub func(w *world)
	}{
		"that cannot be asked":        {func(w *world) {}},
		"that is older than we are":   {func(w *world) { w.hub, w.hubErr = -year, nil }},
		"that contradicts itself":     {func(w *world) { w.hub, w.hubErr = time.Duration(w.hubAsks)*10*time.Second, nil }},
		"that gives no second answer": {func(w *world) { w.hubErr = []error{nil, errors.New("gone")}[w.hubAsks%2] }},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, truth.Add(-day))
				c := w.clock(Config{DateURL: "https://hub.example.net/"})
				c.date = func(ctx context.Context, s server) (reading, error) {
					w.set(func() { test.hub(w) })
					return w.date(ctx, s)
				}
				ctx, cancel := context.WithTimeout(t.Context(), day)
				defer cancel()
				c.Run(ctx)
				w.want(c, Restored, -day)
				if _, n := w.counts(); n < 100 || n > 2000 {
					t.Errorf("the hub was asked %d times in a day", n)
				}
			})
		})
	}
}

func TestHubRenewsWhatNTPLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		w.ntp = true
		c := w.start(Config{DateURL: "https://hub.example.net/"})
		w.want(c, Synchronized, 0)
		time.Sleep(3 * day)
		if _, n := w.counts(); n != 0 {
			t.Error("the hub was asked although NTP vouches")
		}
		w.set(func() { w.ntp = false })
		time.Sleep(10 * day)
		w.want(c, Synchronized, 0)                                 // a device that is offline keeps its windows
		w.set(func() { w.hubErr = nil; w.hub = 40 * time.Second }) // that is: we have drifted
		time.Sleep(3 * day)
		w.want(c, Corroborated, 40*time.Second)
	})
}

func TestHubSettlesADoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		w.ntp, w.hubErr = true, nil
		c := w.start(Config{DateURL: "https://hub.example.net/"})
		time.Sleep(2 * askAtMost)
		w.step(years, false)
		w.want(c, Restored, 0)
		c.waitTrusted(t.Context(), 10*time.Second)
		w.want(c, Corroborated, 0)
	})
}

func TestMarker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth.Add(-day))
		marker := filepath.Join(t.TempDir(), "synchronized")
		c := w.start(Config{Marker: marker})
		touch := func(at time.Time) {
			t.Helper()
			if err := os.WriteFile(marker, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(marker, at, at); err != nil {
				t.Fatal(err)
			}
			time.Sleep(lookUntrusted + askAtMost)
		}
		touch(w.wall().Add(time.Hour))
		w.want(c, Restored, -day) // from the future: the clock was set back since
		touch(w.wall().Add(-time.Hour))
		w.want(c, Restored, -day) // from before the boot: the clock was set forward since
		touch(w.wall())
		w.want(c, Synchronized, -day)
		w.step(0, false)
		w.want(c, Restored, -day) // the touch was before the step
		touch(w.wall())
		w.want(c, Synchronized, 0)
	})
}

func TestMarkerStandsInForTimedate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		w.ntpErr = errors.New("no bus")
		marker := filepath.Join(t.TempDir(), "synchronized")
		c := w.clock(Config{Marker: marker})
		c.Synchronized = w.synchronized
		if err := os.WriteFile(marker, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(marker, w.wall(), w.wall()); err != nil {
			t.Fatal(err)
		}
		c.askNTP(t.Context())
		w.want(c, Synchronized, 0)
	})
}

func TestNothingThatHangsIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth.Add(-day))
		c := w.clock(Config{DateURL: "https://hub.example.net/"})
		hang := func(ctx context.Context) error {
			<-ctx.Done()
			return ctx.Err()
		}
		c.Synchronized = func(ctx context.Context) (bool, error) { return false, hang(ctx) }
		c.date = func(ctx context.Context, _ server) (reading, error) { return reading{}, hang(ctx) }
		blocked := make(chan struct{})
		c.OnChange = func() { <-blocked }
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.Run(ctx)
		}()
		time.Sleep(10 * time.Second)
		began := time.Now()
		w.step(-time.Hour, false)
		w.step(-2*time.Hour, false)
		w.want(c, Restored, -2*time.Hour)
		if c.waitTrusted(t.Context(), 0) || !time.Now().Equal(began) {
			t.Errorf("it took %v", time.Since(began))
		}
		close(blocked)
		cancel()
		<-ended
	})
}

func TestSave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, time.Unix(0, 0))
		file := filepath.Join(t.TempDir(), "clock")
		read := func() string {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(string(data))
		}
		c := w.clock(Config{File: file})
		for _, want := range []time.Duration{0, 0, time.Minute} { // once a minute at most
			if err := c.Save(); err != nil {
				t.Error(err)
			}
			if got := read(); got != text(build.Add(want)) {
				t.Errorf("saved %s, want %v after the build", got, want)
			}
			time.Sleep(30 * time.Second)
		}
		c = w.clock(Config{File: file})
		if got := c.Now(); !got.Equal(build.Add(time.Minute)) {
			t.Errorf("the floor is %v", got)
		}
		if err := os.WriteFile(file, []byte("yesterday"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := w.clock(Config{File: file}).Now(); !got.Equal(build) {
			t.Errorf("the floor is %v", got)
		}
		c = w.clock(Config{File: filepath.Join(t.TempDir(), "missing", "clock")})
		if err := c.Save(); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("without a directory: %v", err)
		}
		if err := w.clock(Config{}).Save(); err != nil {
			t.Errorf("without a file: %v", err)
		}
	})
}

func TestNothingIsWrittenWhileIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, truth)
		w.ntp = true
		file := filepath.Join(t.TempDir(), "clock")
		w.start(Config{File: file})
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		time.Sleep(day)
		if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("it was written: %v", err)
		}
	})
}

func TestParseBuild(t *testing.T) {
	if got := ParseBuild("2026-12-01T00:00:00Z"); !got.Equal(build) {
		t.Errorf("%v", got)
	}
	for _, stamp := range []string{"", "unknown"} {
		if got := ParseBuild(stamp); !got.Equal(oldest) {
			t.Errorf("%q: %v", stamp, got)
		}
	}
}

func TestMachine(t *testing.T) {
	c := New(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.Run(ctx)
	}()
	if state, _ := c.State(); c.Trusted() || (state != Restored && state != Unset) {
		t.Errorf("the clock is %s", state)
	}
	cancel()
	<-ended
}

// waitTrusted waits until the clock is trusted, for a while at most. It tells
// whether it is.
func (c *Clock) waitTrusted(ctx context.Context, atMost time.Duration) bool {
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-c.Trust():
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return c.Trusted()
}
