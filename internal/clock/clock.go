package clock

import (
	"context"
	"crypto/x509"
	"log/slog"
	"sync"
	"time"
)

// holdUpTo is how far a trusted time may be wrong and still be held instead of
// going back. The hub's Date headers are right to a second or two.
const holdUpTo = 10 * time.Second

// oldest is a time before the first build of this package: the floor of a
// program that does not know when it was built.
var oldest = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

// Config says where a clock looks. The zero value is a clock that is never
// trusted, above a floor of the package's own age.
type Config struct {
	// Build is when this program was made. Zero, or a time before the package
	// itself, counts as the package's age.
	Build time.Time
	// File keeps the last trusted time from one run to the next; "": nothing
	// does. Its directory has to exist when it is saved.
	File string
	// Synchronized asks whether NTP vouches for the system clock now, as
	// [Timedate] does; nil: nobody can be asked. It has to end with its context.
	Synchronized func(context.Context) (bool, error)
	// Marker is the file that systemd-timesyncd touches at each synchronization;
	// "": there is none. See [TimesyncdMarker].
	Marker string
	// DateURL is what the hub is asked by for the time, "https://hub.example.net";
	// "": it is not asked. The path does not matter, and any answer will do.
	DateURL string
	// RootCAs are whom to trust for DateURL; nil: whom the system trusts.
	RootCAs *x509.CertPool
	// OnChange is called after each change of the state and each jump of the time
	// by a second or more, one call at a time, from a goroutine of its own.
	// Changes in short order may be told as one.
	OnChange func()
	Log      *slog.Logger // nil: no log

	// Boottime is the time since boot, suspend included, and Wall the system's
	// clock. Nil means the machine's.
	Boottime func() time.Duration
	Wall     func() time.Time
}

// Clock is the time, and how far to believe it. All methods may be called from
// any goroutine; only Save may take long.
type Clock struct {
	Config
	log *slog.Logger

	jumps    func(context.Context) <-chan struct{}          // tells of steps of the system clock
	date     func(context.Context, server) (reading, error) // asks a server for the time
	evidence chan struct{}                                  // holds one: NTP is worth being asked
	tell     chan struct{}                                  // holds one: something changed
	touched  time.Time                                      // of the marker, for the looking loop alone

	saving sync.Mutex // held while the file is written; guards saved
	saved  time.Time

	mu      sync.Mutex // guards what follows
	belief  belief
	since   reading       // of the state
	last    time.Time     // given while not trusted
	lastSet time.Time     // given while trusted
	trust   chan struct{} // closed while the clock is trusted, replaced when it is not any more
	changed chan struct{} // closed and replaced when the state changes
}

// New makes a clock that knows its floor. Until Run it learns nothing more.
func New(cfg Config) *Clock {
	c := &Clock{
		Config: cfg, log: cfg.Log,
		jumps: watchJumps, date: askDate,
		evidence: make(chan struct{}, 1), tell: make(chan struct{}, 1),
		trust: make(chan struct{}), changed: make(chan struct{}),
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if c.Boottime == nil {
		c.Boottime = bootTime
	}
	if c.Wall == nil {
		c.Wall = time.Now
	}
	if c.Build.Before(oldest) {
		c.Build = oldest
	}
	c.load()
	floor := c.Build
	if c.saved.After(floor) {
		floor = c.saved
	}
	system := c.readSystem()
	c.belief = belief{build: c.Build, base: reading{floor, system.boot}, system: system}
	return c
}

// readSystem reads both clocks. Of three tries the one counts that was disturbed
// least in between.
func (c *Clock) readSystem() reading {
	var best reading
	gap := time.Duration(1<<63 - 1)
	for range 3 {
		before := c.Boottime()
		// Without the monotonic reading that Go keeps: that one knows no steps.
		wall := c.Wall().Round(0)
		after := c.Boottime()
		if g := after - before; g < gap {
			best, gap = reading{wall, before + g/2}, g
		}
		if gap < time.Millisecond {
			break
		}
	}
	return best
}

// Now is the time as far as it is known, in UTC. It is never earlier than the
// floor, and goes back only as the package's comment says.
func (c *Clock) Now() time.Time {
	now, _ := c.Read()
	return now
}

// Read is Now, and whether it is trusted, of the same moment.
func (c *Clock) Read() (now time.Time, isTrusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read()
}

func (c *Clock) read() (now time.Time, isTrusted bool) {
	boot := c.Boottime()
	now = c.belief.base.at(boot)
	if c.belief.voucher == "" {
		if wall := c.Wall(); wall.After(now) {
			now = wall
		}
	}
	now = now.Round(0).UTC()
	isTrusted = trusted(c.belief.state())
	last := &c.last
	if isTrusted {
		last = &c.lastSet
	}
	if now.Before(*last) && last.Sub(now) <= holdUpTo {
		return *last, isTrusted
	}
	*last = now
	return now, isTrusted
}

// State is unset, restored, corroborated or synchronized, and since when; zero
// while the clock is not trusted, because then nobody knows.
func (c *Clock) State() (state string, since time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	state = c.belief.state()
	if trusted(state) {
		since = c.since.wall.Round(0).UTC()
	}
	return state, since
}

// Trusted tells whether the time may decide and be reported.
func (c *Clock) Trusted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return trusted(c.belief.state())
}

// Trust gives a channel that closes once the clock is trusted; at once if it is.
func (c *Clock) Trust() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.trust
}

// earliest is the earliest that it can be now; the time itself if it is trusted.
func (c *Clock) earliest() (at time.Time, isTrusted bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, ok := c.read(); ok {
		return now, true
	}
	return c.belief.base.at(c.Boottime()), false
}

// update changes what is known, and tells whom it concerns. It returns the error
// of the change.
func (c *Clock) update(change func(*belief) error) error {
	news, err := c.apply(change)
	if len(news) > 0 { // without the lock: a log may wait, and the time may not
		c.log.Info("the clock", news...)
		poke(c.tell)
	}
	return err
}

// apply changes what is known. news are the attributes for the log; none if nothing
// changed that concerns anybody.
func (c *Clock) apply(change func(*belief) error) (news []any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	before := c.belief
	err = change(&c.belief)
	was, is := before.state(), c.belief.state()
	jump := c.belief.inForce().ahead(before.inForce())
	if was == is && abs(jump) < jumpFrom {
		return nil, err
	}
	now := c.belief.inForce()
	if was == is {
		c.since.wall = now.at(c.since.boot) // the clock jumped, not the state
	} else {
		c.since = reading{now.at(c.Boottime()), c.Boottime()}
		close(c.changed)
		c.changed = make(chan struct{})
	}
	switch {
	case trusted(is) && !trusted(was):
		close(c.trust)
	case !trusted(is) && trusted(was):
		c.trust = make(chan struct{})
	}
	return []any{"state", is, "was", was, "time", text(now.at(c.Boottime())), "jump", jump.Round(time.Millisecond)}, err
}

// poke fills a channel that holds one.
func poke(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
