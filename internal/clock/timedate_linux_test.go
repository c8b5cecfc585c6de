package clock

import (
	"context"
	"strings"
	"testing"

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
