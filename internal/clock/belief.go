package clock

import (
	"fmt"
	"time"
)

// The states of a clock. The words are public interface.
const (
	Unset        = "unset"
	Restored     = "restored"
	Synchronized = "synchronized"
	Corroborated = "corroborated"
)

const (
	// jitterBelow is how far two readings of an offset may differ without a step
	// of the clock: a busy machine may take a while between the two clocks.
	jitterBelow = 100 * time.Millisecond

	// doubtAbove is how far the system clock may be from what was vouched for
	// before somebody must have set it wrong. A leap second is less.
	doubtAbove = 3 * time.Second

	// jumpFrom is the least change of the time that is announced.
	jumpFrom = time.Second

	// renewAfter is how old a base may get before it is renewed: a crystal of a
	// Pi is wrong by up to four seconds a day.
	renewAfter = 24 * time.Hour
)

// reading is one moment by both clocks.
type reading struct {
	wall time.Time
	boot time.Duration
}

// at is the wall-clock time of another moment, by the same offset.
func (r reading) at(boot time.Duration) time.Time { return r.wall.Add(boot - r.boot) }

// ahead is how far a clock that reads r is ahead of one that reads o.
func (r reading) ahead(o reading) time.Duration { return r.at(o.boot).Sub(o.wall) }

// belief is what is known of the time. It is pure: it reads no clock, and a copy
// is a full copy.
type belief struct {
	build  time.Time // of this program: it is certainly later
	base   reading   // it is certainly not earlier
	system reading   // the system clock, at the last look

	voucher      string        // who vouched for the base: Synchronized, Corroborated; "": nobody
	vouchedAt    time.Duration // boot time
	silent       bool          // NTP, which vouched, was asked again and did not
	steppedAfter time.Duration // boot time of the last look before the last step of the system clock
}

// state tells how far the time is to be believed.
func (b *belief) state() string {
	switch {
	case b.voucher == "" && b.system.ahead(b.base) < 0:
		return Unset
	case b.voucher == "":
		return Restored
	case b.voucher == Synchronized && b.silent && abs(b.system.ahead(b.base)) > doubtAbove:
		return Restored
	}
	return b.voucher
}

func trusted(state string) bool { return state == Synchronized || state == Corroborated }

// inForce is the reading that the time is given by.
func (b *belief) inForce() reading {
	if b.voucher == "" && b.system.ahead(b.base) > 0 {
		return b.system
	}
	return b.base
}

// look takes a reading of the system clock, and tells whether it was stepped.
func (b *belief) look(system reading) (stepped bool) {
	if abs(system.ahead(b.system)) > jitterBelow {
		b.steppedAfter, stepped = b.system.boot, true
	}
	b.system = system
	return stepped
}

// isSettled tells whether NTP has vouched for the system clock as it is.
func (b *belief) isSettled() bool {
	return b.voucher == Synchronized && !b.silent && abs(b.system.ahead(b.base)) <= jitterBelow
}

// ntp takes what NTP says of the system clock.
func (b *belief) ntp(vouches bool) error {
	b.silent = b.voucher == Synchronized
	if !vouches {
		return nil
	}
	err := b.vouch(Synchronized, b.system, jitterBelow)
	if err == nil {
		b.silent = false
	}
	return err
}

// wantsDates tells whether the hub is to be asked for the time.
func (b *belief) wantsDates(boot time.Duration) bool {
	switch b.state() {
	case Synchronized:
		return b.silent && boot-b.vouchedAt >= renewAfter
	case Corroborated:
		return boot-b.vouchedAt >= renewAfter
	}
	return true
}

// dates takes the time by the hub. The headers are as fine as a second, so a
// system clock that is close to them is the better one.
func (b *belief) dates(hub reading) error {
	if abs(b.system.ahead(hub)) <= doubtAbove {
		hub = b.system
	}
	const fine = 2 * time.Second // less is the noise of the headers
	return b.vouch(Corroborated, hub, fine)
}

// vouch makes r the base. A difference of up to same is none: so that the time
// does not wobble each time it is confirmed.
func (b *belief) vouch(voucher string, r reading, same time.Duration) error {
	if r.wall.Before(b.build) {
		return fmt.Errorf("it cannot be %s yet: this program is from %s", text(r.wall), text(b.build))
	}
	if b.voucher != voucher || abs(r.ahead(b.base)) > same {
		b.base = r
	}
	b.voucher, b.vouchedAt = voucher, r.boot
	return nil
}

func abs(d time.Duration) time.Duration {
	if d < 0 {
		return -max(d, -1<<63+1)
	}
	return d
}

func text(t time.Time) string { return t.UTC().Format(time.RFC3339) }
