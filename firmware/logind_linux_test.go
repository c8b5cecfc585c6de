package firmware

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"latchd/internal/testbus"
)

// bus starts a D-Bus of the test's own and gives a way to connect to it.
func bus(t *testing.T) func(context.Context) (*dbus.Conn, error) {
	t.Helper()
	address := testbus.Start(t)
	return func(ctx context.Context) (*dbus.Conn, error) { return dbus.Connect(address, dbus.WithContext(ctx)) }
}

// fakeLogind is systemd-logind, and systemd, as far as this package talks to them.
type fakeLogind struct {
	conn     *dbus.Conn
	rebooted atomic.Int32

	mu         sync.Mutex // guards the fields below
	can        string
	inhibitors []inhibitor
	refuse     *dbus.Error
}

// answer says how it will answer.
func (f *fakeLogind) answer(can string, inhibitors []inhibitor, refuse *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.can, f.inhibitors, f.refuse = can, inhibitors, refuse
}

// The methods that the bus may call.
func (f *fakeLogind) CanReboot() (string, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.can, nil
}

func (f *fakeLogind) ListInhibitors() ([]inhibitor, *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.inhibitors, nil
}

func (f *fakeLogind) Reboot(interactive bool) *dbus.Error {
	if interactive {
		return dbus.MakeFailedError(fmt.Errorf("nobody is there to be asked"))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse == nil {
		f.rebooted.Add(1)
	}
	return f.refuse
}

func newFakeLogind(t *testing.T, dial func(context.Context) (*dbus.Conn, error), state string) *fakeLogind {
	t.Helper()
	conn, err := dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f := &fakeLogind{conn: conn, can: "yes"}
	if err := conn.Export(f, logindPath, managerName); err != nil {
		t.Fatal(err)
	}
	_, err = prop.Export(conn, "/org/freedesktop/systemd1", prop.Map{
		"org.freedesktop.systemd1.Manager": {"SystemState": {Value: state}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{logindName, "org.freedesktop.systemd1"} {
		testbus.Own(t, conn, name)
	}
	return f
}

func TestLogind(t *testing.T) {
	const everything = "shutdown:sleep:idle"
	block := []inhibitor{{What: everything, Who: "apt", Why: "an upgrade runs", Mode: "block", PID: 4711}}
	for _, test := range []struct {
		name       string
		can        string
		inhibitors []inhibitor
		refuse     string // the error of Reboot
		want       string // what both errors say; "" for none
	}{
		{name: "it may", can: "yes"},
		{name: "a delay is no block", can: "yes", inhibitors: []inhibitor{{What: everything, Who: "NetworkManager", Mode: "delay"}}},
		{name: "a block of sleep is none of a reboot", can: "yes", inhibitors: []inhibitor{{What: "sleep", Who: "music", Mode: "block"}}},
		{name: "a block", can: "challenge", inhibitors: block, refuse: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", want: "inhibited by apt (process 4711): an upgrade runs"},
		{name: "a weak block", can: "challenge", inhibitors: []inhibitor{{What: "shutdown", Who: "me", Mode: "block-weak"}}, refuse: "org.freedesktop.login1.BlockedByInhibitorLock", want: "inhibited by me"},
		{name: "no polkit rule", can: "challenge", refuse: "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", want: "polkit rule"},
		{name: "forbidden", can: "no", refuse: "org.freedesktop.DBus.Error.AccessDenied", want: "polkit rule"},
		{name: "not possible", can: "na", refuse: "org.freedesktop.DBus.Error.Failed", want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dial := bus(t)
			f := newFakeLogind(t, dial, "running")
			var refuse *dbus.Error
			if test.refuse != "" {
				refuse = dbus.NewError(test.refuse, []any{"no"})
			}
			f.answer(test.can, test.inhibitors, refuse)
			l := logind{dial}
			holders, err := (&Linux{logind: l}).Inhibitors(t.Context())
			if err != nil || (len(holders) > 0) != strings.Contains(test.want, "inhibited") {
				t.Errorf("inhibitors %q, %v", holders, err)
			}
			may, did := l.canReboot(t.Context()), l.reboot(t.Context())
			if test.refuse == "" {
				if may != nil || did != nil || f.rebooted.Load() != 1 {
					t.Errorf("%v, %v, rebooted %d times", may, did, f.rebooted.Load())
				}
				return
			}
			for _, err := range []error{may, did} {
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("%v, want %s", err, test.want)
				}
			}
			if f.rebooted.Load() != 0 {
				t.Error("it rebooted")
			}
		})
	}
}

func TestLogindThatIsNotThere(t *testing.T) {
	l := logind{bus(t)}
	for _, err := range []error{l.canReboot(t.Context()), l.reboot(t.Context())} {
		if err == nil || !strings.Contains(err.Error(), "systemd-logind does not run") {
			t.Errorf("%v", err)
		}
	}
	if l.stopping(t.Context()) {
		t.Error("nobody is there, and yet the machine is going down")
	}
	l = logind{func(context.Context) (*dbus.Conn, error) { return nil, fmt.Errorf("no bus") }}
	if err := l.reboot(t.Context()); err == nil || !strings.Contains(err.Error(), "is dbus.service running?") {
		t.Errorf("%v", err)
	}
}

func TestStopping(t *testing.T) {
	for state, want := range map[string]bool{"running": false, "degraded": false, "starting": false, "stopping": true} {
		t.Run(state, func(t *testing.T) {
			dial := bus(t)
			newFakeLogind(t, dial, state)
			l := &Linux{logind: logind{dial}}
			if got := l.Stopping(t.Context()); got != want {
				t.Errorf("stopping is %v in the state %s", got, state)
			}
		})
	}
}

func TestAShutdownIsAnnouncedAndCalledOff(t *testing.T) {
	dial := bus(t)
	f := newFakeLogind(t, dial, "running")
	l := logind{dial}
	announced := make(chan bool)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- l.watchShutdown(ctx, func(begins bool) { announced <- begins }) }()
	for _, begins := range []bool{true, false} {
		for heard := false; !heard; { // until the watcher is there to hear it
			if err := f.conn.Emit(logindPath, managerName+".PrepareForShutdown", begins); err != nil {
				t.Fatal(err)
			}
			select {
			case got := <-announced:
				heard = got == begins // the one before may have been said more than once
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	cancel()
	for {
		select {
		case <-announced:
		case err := <-ended:
			if err == nil {
				t.Error("it ended without a reason")
			}
			return
		}
	}
}

func TestWatchTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries int
		l := &Linux{logind: logind{func(context.Context) (*dbus.Conn, error) {
			tries++
			return nil, fmt.Errorf("no bus")
		}}}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		l.Watch(ctx)
		if tries < 6 || tries > 12 {
			t.Errorf("%d tries in a minute", tries)
		}
	})
}

// A machine that has much to do may not answer in time. What the connection that
// was cut off says about itself would help nobody.
func TestLogindTakesTooLong(t *testing.T) {
	dial := bus(t)
	fake := newFakeLogind(t, dial, "running")
	fake.mu.Lock() // it never comes to an answer
	defer fake.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := (logind{dial}).canReboot(ctx); err == nil || !strings.Contains(err.Error(), "did not answer in time") {
		t.Errorf("got %v", err)
	}
}
