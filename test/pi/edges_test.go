package pi

import (
	"fmt"
	"testing"
	"time"
)

// rough are the rough treatments that a service goes through without its door
// moving. READY means that the lock is under control.
var rough = []struct{ name, script string }{
	{"kill -9 ten times", `for i in 1 2 3 4 5 6 7 8 9 10; do
		pid=$(systemctl show -P MainPID latchd)
		kill -9 $pid
		until new=$(systemctl show -P MainPID latchd); [ $new != 0 ] && [ $new != $pid ] && [ "$(systemctl is-active latchd)" = active ]; do sleep 0.1; done
		done`},
	{"restart", "systemctl restart latchd"},
	{"reload", "systemctl reload latchd"},
	{"daemon-reexec", "systemctl daemon-reexec; systemctl restart latchd"},
	{"upgrade", "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq /tmp/newer.deb 2>&1"},
	{"downgrade", "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --allow-downgrades /tmp/latchd.deb 2>&1"},
}

// testNoEdge: nothing that happens to the service moves the line, nor lets go of
// it. The trace tells it to the microsecond; the samples from outside would see
// what passes the trace by.
func (d *device) testNoEdge(t *testing.T, held pin) {
	d.put(t, newerDeb(t), "/tmp/newer.deb")
	command := "lockDoor"
	if held.high {
		command = "unlockDoor"
	}
	for _, r := range rough {
		d.in(t, r.name, func(t *testing.T) {
			d.must(t, command, `{"hold":true}`)
			d.checkPin(t, lockLine, held)
			tr, samples := d.trace(t, lockLine), d.sample(t, lockLine, held)
			began := time.Now()
			d.run(t, r.script)
			t.Logf("%s: %s", r.name, time.Since(began).Round(100*time.Millisecond))
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
		tick := time.NewTicker(20 * time.Millisecond)
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
