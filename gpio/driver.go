package gpio

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"
)

// lineRetry is how often a line that could not be set is tried again: quick
// enough for the person who stands at the button. Each wait is this long and up
// to half of it more.
const lineRetry = 200 * time.Millisecond

// driver does what the machine says: it moves the line, and then records and
// tells what changed. One goroutine uses it; only published is read by others.
type driver struct {
	cfg  Config
	line Line
	m    machine

	level     Level // driven last; meaningless unless known
	known     bool
	lineFault string        // why the line could not be set; empty if it could
	retryAt   time.Duration // when to try again

	inputFaults [inputKinds]string
	marks       marks
	closing     bool // no command is accepted any more

	runtime, state *recorder
	lastRuntime    []byte      // recorded last, with At zero
	lastState      stateRecord // recorded last

	notices   *notifier
	published atomic.Pointer[published]
}

// published is the newest status, and what is needed to bring it up to date when
// it is read.
type published struct {
	status Status        // with Remaining zero
	end    time.Duration // of the mode, or zero
	policy Policy
}

func (d *driver) instant() instant {
	now := instant{boot: d.cfg.BootTime()}
	if d.cfg.Wall != nil {
		now.wall, now.trusted = d.cfg.Wall()
	}
	return now
}

// step is one turn: an input into the machine, the line, and what follows. The
// error is a *HardwareError.
func (d *driver) step(input func(now time.Duration)) error {
	now := d.cfg.BootTime()
	input(now)
	err := d.drive(now)
	d.conclude(err)
	return err
}

// unlock is the step of an unlock command, asked for at the time asked. If the
// line fails, or is so slow that the sender has given up, the command is taken
// back: its sender hears that it failed, and what succeeds when nobody expects it
// any more would let in an intruder.
func (d *driver) unlock(asked, unlockTime time.Duration, hold bool) error {
	now := d.cfg.BootTime()
	if now > asked+lineSlow {
		return errHangs()
	}
	before := d.m
	if !d.m.unlockDoor(now, unlockTime, hold) {
		d.conclude(d.drive(now))
		s := d.status()
		return &LockdownError{Until: s.Until, Remaining: s.Remaining}
	}
	err := d.drive(now)
	if after := d.cfg.BootTime(); err == nil && after > asked+lineSlow {
		now, err = after, errHangs()
	}
	if err == nil {
		d.conclude(nil)
		return nil
	}
	d.m = before
	d.m.tick(now)
	d.conclude(d.drive(now))
	return err
}

// drive sets the line to what the machine wants, unless it is there already.
func (d *driver) drive(now time.Duration) error {
	unlocked := d.m.wantsUnlocked()
	want := d.cfg.Settings.Level(!unlocked)
	if d.known && d.level == want {
		return nil
	}
	if err := d.line.Set(want); err != nil {
		d.known = false
		d.retryAt = now + lineRetry + rand.N(lineRetry/2)
		failed := &HardwareError{What: whatDriving(want, unlocked), Err: err}
		d.lineFault = failed.Error()
		return failed
	}
	d.level, d.known, d.lineFault = want, true, ""
	return nil
}

func whatDriving(l Level, unlocked bool) string {
	purpose := "lock"
	if unlocked {
		purpose = "unlock"
	}
	return fmt.Sprintf("drive the lock's line %s to %s", strings.ToLower(l.String()), purpose)
}

// conclude works out what is true after the line was driven, or was not, and
// records and tells it.
func (d *driver) conclude(driveErr error) {
	events := d.m.driven(driveErr == nil)
	now := d.instant() // only now: nothing before this needed the wall clock
	for i := range events {
		events[i].Time = now.wallAt(events[i].At)
	}
	d.updateMarks(now)
	d.record(now)
	d.publish(events)
}

func (d *driver) updateMarks(now instant) {
	d.marks.Since.at(d.m.Since, now)
	if d.m.Base != ModeLockdown || d.m.LockdownEnd != d.marks.Until.Boot {
		d.marks.AwaitsClock = false // it was about a lockdown that is over or replaced
	}
	if !d.marks.AwaitsClock {
		d.marks.Until.at(d.m.modeEnd(), now)
	}
}

// publish makes the status known, and tells the listener if it differs from the
// one before or something happened.
func (d *driver) publish(events []Event) {
	p := &published{status: d.present(), end: d.m.modeEnd(), policy: d.m.policy}
	old := d.published.Swap(p)
	if old == nil || old.status != p.status || len(events) > 0 {
		status := p.status
		status.Remaining = d.remaining(p.end)
		d.notices.put(Change{Status: status, Events: events})
	}
}

// present is the status without Remaining.
func (d *driver) present() Status {
	s := Status{
		State:         d.m.State,
		Mode:          d.m.Mode,
		Assumed:       d.m.assumed(),
		Since:         d.marks.Since.Wall,
		UnlockRunning: d.m.unlockRunning(),
		Contact:       d.m.Contact,
		Alarm:         d.m.alarm(),
		FailMode:      d.cfg.Settings.FailMode,
		Fault:         d.fault(),
		NotRecorded:   d.notRecorded(),
	}
	if !d.marks.AwaitsClock {
		s.Until = d.marks.Until.Wall
	}
	return s
}

// status is the newest status, brought up to date. Unlike the rest of the driver
// it may be called from any goroutine.
func (d *driver) status() Status {
	p := d.published.Load()
	s := p.status
	s.Remaining = d.remaining(p.end)
	s.NotRecorded = d.notRecorded()
	return s
}

func (d *driver) remaining(end time.Duration) time.Duration {
	if end == 0 {
		return 0
	}
	return max(end-d.cfg.BootTime(), 0)
}

func (d *driver) fault() string {
	faults := make([]string, 0, 1+len(d.inputFaults))
	for _, f := range append([]string{d.lineFault}, d.inputFaults[:]...) {
		if f != "" {
			faults = append(faults, f)
		}
	}
	return strings.Join(faults, "; ")
}

func (d *driver) notRecorded() string {
	for _, r := range []*recorder{d.state, d.runtime} {
		if err := r.fault(); err != nil {
			return err.Error()
		}
	}
	return ""
}

// record gives the recorders what changed. It never waits for them.
func (d *driver) record(now instant) {
	rt := runtimeRecord{Version: runtimeVersion, BootID: d.cfg.BootID, Memory: d.m.memory, Marks: d.marks}
	if d.m.policy.FromHub {
		rt.Policy = &d.m.policy
	}
	if data := encode(rt); !bytes.Equal(data, d.lastRuntime) {
		d.lastRuntime = data
		rt.At = now.boot
		d.runtime.record(encode(rt))
	}
	if st := d.hold(now); !st.sameHold(d.lastState) {
		d.recordState(st)
	}
}

func (d *driver) recordState(st stateRecord) {
	d.lastState = st
	d.state.record(encode(st))
}

// hold is the durable record of the present moment.
func (d *driver) hold(now instant) stateRecord {
	st := stateRecord{Version: stateVersion, BootID: d.cfg.BootID, At: now.boot}
	switch d.m.Base {
	case ModeHeldLocked:
		st.Hold = ModeHeldLocked
	case ModeLockdown:
		st.Hold, st.LockdownEnd = ModeLockdown, d.m.LockdownEnd
		st.Remaining = max(d.m.LockdownEnd-now.boot, 0)
		st.EndsAt, st.AwaitsClock = d.marks.Until.Wall, d.marks.AwaitsClock
	}
	return st
}

// recordRemaining records the time that a lockdown has left, for a boot after
// which the wall clock may not be known. It is the one thing that is recorded
// without having changed, so it is done once, when the lock is put away.
func (d *driver) recordRemaining() {
	if st := d.hold(d.instant()); st.Hold == ModeLockdown {
		d.recordState(st)
	}
}

// followClock moves a lockdown from before the boot to its true end, once the
// wall clock can tell it.
func (d *driver) followClock() error {
	now := d.instant()
	if !d.marks.AwaitsClock || !now.trusted {
		return d.step(d.m.tick)
	}
	return d.step(func(boot time.Duration) {
		end := boot + untilWall(d.marks.Until.Wall, now)
		d.marks.Until.Boot = end
		d.marks.AwaitsClock = false
		d.m.moveLockdownEnd(boot, end)
	})
}

// wait is how long time alone changes nothing; ok is false if it never will.
func (d *driver) wait() (wait time.Duration, ok bool) {
	next := d.m.next()
	if d.lineFault != "" && (next == 0 || d.retryAt < next) {
		next = d.retryAt
	}
	if next == 0 {
		return 0, false
	}
	return max(next-d.cfg.BootTime(), 0), true
}
