package systemd

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/godbus/dbus/v5/prop"

	"latchd/internal/testbus"
)

func TestWhatTheManagerSays(t *testing.T) {
	bus := testbus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
	conn := testbus.Connect(t, bus)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := RuntimeWatchdog(ctx); err == nil {
		t.Error("nobody is systemd, and yet an answer")
	}
	if err := conn.Export(fakeManager{}, managerPath, managerName+".Manager"); err != nil {
		t.Fatal(err)
	}
	manager, err := prop.Export(conn, managerPath, prop.Map{managerName + ".Manager": {
		"RuntimeWatchdogUSec": {Value: uint64(0), Emit: prop.EmitFalse},
	}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = prop.Export(conn, unitPath, prop.Map{managerName + ".Service": {
		"NFileDescriptorStore": {Value: uint32(1), Emit: prop.EmitFalse},
	}})
	if err != nil {
		t.Fatal(err)
	}
	testbus.Own(t, conn, managerName)
	for said, want := range map[uint64]time.Duration{0: 0, 15e6: 15 * time.Second, math.MaxUint64: 0} {
		manager.SetMust(managerName+".Manager", "RuntimeWatchdogUSec", said)
		if got, err := RuntimeWatchdog(ctx); got != want || err != nil {
			t.Errorf("%d: %s, %v; want %s", said, got, err, want)
		}
	}
	if n, err := Stored(ctx); n != 1 || err != nil {
		t.Errorf("%d descriptors, %v", n, err)
	}
}
