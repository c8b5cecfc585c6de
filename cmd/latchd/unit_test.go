package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/godbus/dbus/v5"

	"latchd/internal/testbus"
)

// testBus starts a D-Bus of the test's own, and gives a way to connect to it.
func testBus(t *testing.T) func(context.Context) (*dbus.Conn, error) {
	t.Helper()
	address := testbus.Start(t)
	return func(ctx context.Context) (*dbus.Conn, error) { return dbus.Connect(address, dbus.WithContext(ctx)) }
}

// fakeSystemd is systemd as far as it restarts units.
type fakeSystemd struct {
	conn     *dbus.Conn
	restarts atomic.Int32
	asked    chan string

	mu     sync.Mutex // guards the fields below
	refuse *dbus.Error
	result string // of the job; "": it never ends
}

// will says what comes of restarts from now on.
func (f *fakeSystemd) will(result string, refuse *dbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.result, f.refuse = result, refuse
}

// RestartUnit may be called over the bus. Jobs of others end too, before and
// after, and this one may have ended before its caller knows its name.
func (f *fakeSystemd) RestartUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	f.mu.Lock()
	result, refuse := f.result, f.refuse
	f.mu.Unlock()
	f.restarts.Add(1)
	f.asked <- unit + " " + mode
	if refuse != nil {
		return "", refuse
	}
	const job = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")
	f.removed(6, "/org/freedesktop/systemd1/job/6", "failed")
	if result != "" {
		f.removed(7, job, result)
	}
	return job, nil
}

func (f *fakeSystemd) removed(id uint32, job dbus.ObjectPath, result string) {
	_ = f.conn.Emit(systemdPath, systemdManager+".JobRemoved", id, job, unitName, result)
}

// machineWithSystemd is a machine whose systemd restarts the service with a
// result.
func machineWithSystemd(t *testing.T) (system, *fakeSystemd) {
	t.Helper()
	s := system{root: t.TempDir(), bus: testBus(t)}
	if err := os.MkdirAll(s.path("/run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	conn, err := s.bus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f := &fakeSystemd{conn: conn, result: "done", asked: make(chan string, 10)}
	if err := conn.Export(f, systemdPath, systemdManager); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(systemdName, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return s, f
}

func TestRestartService(t *testing.T) {
	for _, test := range []struct {
		name, result, refuse string
		want                 string // of the error; "" for none
	}{
		{name: "done", result: "done"},
		{name: "failed", result: "failed", want: `its job ended as "failed"`},
		{name: "timeout", result: "timeout", want: `its job ended as "timeout"`},
		{name: "no unit", refuse: systemdName + ".NoSuchUnit", want: "there is no latchd.service on this machine"},
		{name: "masked", refuse: systemdName + ".UnitMasked", want: "systemctl unmask latchd.service"},
		{name: "not allowed", refuse: "org.freedesktop.DBus.Error.AccessDenied", want: "systemd refused"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, f := machineWithSystemd(t)
			var refuse *dbus.Error
			if test.refuse != "" {
				refuse = dbus.NewError(test.refuse, []any{"no"})
			}
			f.will(test.result, refuse)
			err := s.restartService(t.Context())
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if got := <-f.asked; got != "latchd.service replace" || f.restarts.Load() != 1 {
				t.Errorf("systemd was asked %d times: %s", f.restarts.Load(), got)
			}
		})
	}
}

func TestARestartThatDoesNotEnd(t *testing.T) {
	s, f := machineWithSystemd(t)
	f.will("", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-f.asked
		cancel()
	}()
	if err := s.restartService(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func TestARestartWithoutABus(t *testing.T) {
	s := system{root: t.TempDir(), bus: func(context.Context) (*dbus.Conn, error) { return nil, errors.New("no bus") }}
	if err := s.restartService(t.Context()); !errors.Is(err, errNoSystemd) {
		t.Errorf("without systemd: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(s.root, "run/systemd/system"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := s.restartService(t.Context()); err == nil || !strings.Contains(err.Error(), "D-Bus: no bus") {
		t.Errorf("without a bus: %v", err)
	}
}
