package pi

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"latchd/test/site"
)

// treatment is something rough that a service goes through without its door
// moving. READY, for which systemctl waits, means that the lock is under control.
type treatment struct{ name, script string }

// kills kills the service so many times, each one a little later in its life than
// the one before: in the middle of its start too. systemd starts it again after two
// seconds; asking it all the while would take more of the machine than the service.
const kills = `killed=0
	for i in $(seq %d); do
		until pid=$(systemctl show -P MainPID latchd); [ $pid != 0 ] && [ $pid != $killed ]; do sleep 0.3; done
		sleep $(printf '0.%%02d' $((i * 9)))
		kill -9 $pid
		killed=$pid
		sleep 2
	done
	until [ "$(systemctl is-active latchd)" = active ]; do sleep 0.3; done`

var (
	killTwo   = treatment{"kill -9 twice", fmt.Sprintf(kills, 2)}
	killFive  = treatment{"kill -9 five times", fmt.Sprintf(kills, 5)}
	killEight = treatment{"kill -9 eight times", fmt.Sprintf(kills, 8)}
	restart   = treatment{"restart", "systemctl restart latchd"}
	reload    = treatment{"reload", "systemctl reload latchd"}
	reexec    = treatment{"daemon-reexec", "systemctl daemon-reexec; systemctl restart latchd"}
	upgrade   = treatment{"upgrade", "dpkg -i /tmp/newer.deb 2>&1"}
	downgrade = treatment{"downgrade", "dpkg -i /tmp/latchd.deb 2>&1"} // to what was installed first
)

// A package replaces another in four ways: an upgrade while locked and in the middle
// of an unlock, and a downgrade in both. Each takes long, so the boards share them;
// also the rest, of which the Pi has what is common. Together the service is killed
// ten times while the door is locked, and ten times while it is not.
func (d *device) testNoEdge(t *testing.T) {
	d.putNewer(t)
	d.keepsLine(t, "lockDoor", driven0, killFive, restart, reload, upgrade)
}

func (d *device) testNoEdgeInUnlock(t *testing.T) {
	d.keepsLineFor(t, killTwo, restart, reload, downgrade)
}

func (d *device) testNoEdgeUnlocked(t *testing.T) {
	d.keepsLine(t, "unlockDoor", driven1, killEight, restart, reload, reexec)
}

func (d *device) testUpgradeInUnlock(t *testing.T) { d.keepsLineFor(t, upgrade) }

func (d *device) testNoEdgeLockedToo(t *testing.T) {
	d.keepsLine(t, "lockDoor", driven0, killFive, reexec, downgrade)
}

func (d *device) putNewer(t *testing.T) {
	t.Helper()
	d.put(t, newerDeb(t), "/tmp/newer.deb")
}

// keepsLine demands that nothing that happens to the service moves the line, nor
// lets go of it. The trace tells it to the microsecond; the samples from outside
// would see what passes the trace by.
func (d *device) keepsLine(t *testing.T, command string, held pin, rough ...treatment) {
	t.Helper()
	for _, r := range rough {
		d.in(t, r.name, func(t *testing.T) {
			d.must(t, command, `{"hold":true}`)
			d.checkPin(t, lockLine, held)
			tr, samples := d.trace(t, lockLine), d.sample(t, lockLine, held)
			d.treat(t, r)
			if changes := tr.changes(t); len(changes) > 0 {
				t.Errorf("the line changed: %v", changes)
			}
			samples.check(t)
			if state := d.run(t, "systemctl is-active latchd || true"); state != "active" {
				t.Errorf("the service is %s", state)
			}
			d.hub.awaitOnline(t, d.id, time.Minute)
		})
	}
	d.must(t, "lockDoor", "{}")
	d.checkPin(t, lockLine, driven0)
}

// treat does it.
func (d *device) treat(t *testing.T, r treatment) {
	t.Helper()
	began := time.Now()
	d.run(t, r.script)
	t.Logf("%s: %s", r.name, time.Since(began).Round(100*time.Millisecond))
}

// keepsLineFor is keepsLine in the middle of a momentary unlock, whose end does not
// move either. That an unlock ends on time, though the service was killed meanwhile,
// shows a short one: how long the rough treatments take is the machine's matter.
func (d *device) keepsLineFor(t *testing.T, rough ...treatment) {
	t.Helper()
	const most = 5 * time.Minute // max_unlock_time
	tr := d.trace(t, lockLine)
	until := d.unlockFor(t, most)
	samples := d.sample(t, lockLine, driven1)
	for _, r := range rough {
		d.treat(t, r)
	}
	samples.check(t)
	if status := d.doorStatus(t); status["until"] != until || status["mode"] != "momentary" {
		t.Errorf("the unlock was to end at %v, and now the door is %v", until, status)
	}
	d.run(t, "latchd door lock")

	const short = 20 * time.Second
	d.run(t, fmt.Sprintf("latchd door unlock --time %s; kill -9 $(systemctl show -P MainPID latchd)", short))
	d.checkPin(t, lockLine, driven1)
	d.awaitPin(t, lockLine, driven0, 2*short)
	checkInterval(t, tr.expect(t, "1", "0", "1", "0")[2:], short)
	d.hub.awaitOnline(t, d.id, time.Minute)
}

// unlockFor unlocks the door and returns until when it is.
func (d *device) unlockFor(t *testing.T, lasts time.Duration) (until any) {
	t.Helper()
	answer := d.must(t, "unlockDoor", fmt.Sprintf(`{"unlockTime":%q}`, lasts))
	d.checkPin(t, lockLine, driven1)
	return site.At(answer, "door", "until")
}

// doorStatus is the door by the service itself, which may not be connected yet.
func (d *device) doorStatus(t *testing.T) (status map[string]any) {
	t.Helper()
	var said struct{ Door map[string]any }
	if text := d.run(t, "latchd door status --output json"); json.Unmarshal([]byte(text), &said) != nil || said.Door == nil {
		t.Fatalf("latchd door status says %q", text)
	}
	return said.Door
}

// testKilledAndStopped: a service that was killed, and is stopped before systemd
// has started it again, locks the door all the same, and nothing unlocks it then.
func (d *device) testKilledAndStopped(t *testing.T) {
	d.finally(t, "systemctl start latchd")
	d.must(t, "unlockDoor", `{"hold":true}`)
	d.checkPin(t, lockLine, driven1)
	tr := d.trace(t, lockLine)
	d.run(t, "kill -9 $(systemctl show -P MainPID latchd); systemctl stop latchd")
	began := time.Now()
	var left pin
	err := poll(t.Context(), 30*time.Second, 20*time.Millisecond, func() (done bool, err error) {
		left, err = d.readPin(lockLine)
		return !left.high, err
	})
	if err != nil {
		t.Errorf("the line of a door that was unlocked is %q after kill -9 and systemctl stop: %v", left, err)
	}
	t.Logf("%q after %s; %v", left, time.Since(began).Round(10*time.Millisecond), tr.changes(t))
}

// samples is a line that is read from outside again and again.
type samples struct {
	stop  chan struct{}
	done  chan struct{}
	count int
	wrong []string
}

func (m *machine) sample(t *testing.T, l line, want pin) *samples {
	s := &samples{stop: make(chan struct{}), done: make(chan struct{})}
	began := time.Now()
	go func() {
		defer close(s.done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
			if got, err := m.readPin(l); err != nil || got != want {
				s.wrong = append(s.wrong, fmt.Sprintf("%q after %s (%v)", got, time.Since(began), err))
			}
			s.count++
		}
	}()
	t.Cleanup(func() { s.end() })
	return s
}

func (s *samples) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	<-s.done
}

// check ends the sampling and demands that the line was always so.
func (s *samples) check(t *testing.T) {
	t.Helper()
	s.end()
	if len(s.wrong) > 0 {
		t.Errorf("of %d samples %d were different, the first: %s", s.count, len(s.wrong), s.wrong[0])
	}
}
