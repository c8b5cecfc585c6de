package clock

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"latchd/internal/testbus"
)

func TestTimedate(t *testing.T) {
	address := testbus.Start(t)
	ask := timedate(func(ctx context.Context) (*dbus.Conn, error) {
		return dbus.Connect(address, dbus.WithContext(ctx))
	})
	if vouches, err := ask(t.Context()); vouches || err == nil || !strings.Contains(err.Error(), "timedate1") {
		t.Errorf("without the service: %v, %v", vouches, err)
	}
	conn := testbus.Connect(t, address)
	properties, err := prop.Export(conn, "/org/freedesktop/timedate1", prop.Map{
		"org.freedesktop.timedate1": {"NTPSynchronized": {Value: false}},
	})
	if err != nil {
		t.Fatal(err)
	}
	testbus.Own(t, conn, "org.freedesktop.timedate1")
	for _, want := range []bool{false, true} {
		properties.SetMust("org.freedesktop.timedate1", "NTPSynchronized", want)
		if vouches, err := ask(t.Context()); vouches != want || err != nil {
			t.Errorf("%v, %v; want %v", vouches, err, want)
		}
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ask(gone); err == nil {
		t.Error("an answer after the end of the context")
	}
}

func TestTimedateThatDoesNotAnswer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bus")
	l, err := net.Listen("unix", path) // whose backlog takes the connection
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ask := timedate(func(ctx context.Context) (*dbus.Conn, error) {
		return dbus.Connect("unix:path="+path, dbus.WithContext(ctx))
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := ask(ctx); err == nil {
		t.Error("an answer came")
	}
}
