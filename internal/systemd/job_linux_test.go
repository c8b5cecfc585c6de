package systemd

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"latchd/internal/testbus"
)

// fakeManager answers GetUnitByPID as systemd does.
type fakeManager struct{}

const (
	unitPath = dbus.ObjectPath("/org/freedesktop/systemd1/unit/latchd_2eservice")
	jobPath  = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")
)

func (fakeManager) GetUnitByPID(pid uint32) (dbus.ObjectPath, *dbus.Error) {
	if int(pid) != os.Getpid() {
		return "", dbus.NewError("org.freedesktop.systemd1.NoUnitForPID", nil)
	}
	return unitPath, nil
}

type jobLink struct {
	ID   uint32
	Path dbus.ObjectPath
}

func TestJob(t *testing.T) {
	bus := testbus.Start(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", bus)
	conn := testbus.Connect(t, bus)
	if err := conn.Export(fakeManager{}, managerPath, managerName+".Manager"); err != nil {
		t.Fatal(err)
	}
	unit, err := prop.Export(conn, unitPath, prop.Map{managerName + ".Unit": {
		"Job": {Value: jobLink{0, "/"}, Emit: prop.EmitFalse},
	}})
	if err != nil {
		t.Fatal(err)
	}
	job, err := prop.Export(conn, jobPath, prop.Map{managerName + ".Job": {
		"JobType": {Value: "stop", Emit: prop.EmitFalse},
	}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()

	if _, err := Job(ctx); err == nil {
		t.Error("nobody is systemd, and yet an answer")
	}
	testbus.Own(t, conn, managerName)
	if kind, err := Job(ctx); kind != "" || err != nil {
		t.Errorf("without a job: %q, %v", kind, err)
	}
	unit.SetMust(managerName+".Unit", "Job", jobLink{7, jobPath})
	for _, want := range []string{"stop", "restart"} {
		job.SetMust(managerName+".Job", "JobType", want)
		if kind, err := Job(ctx); kind != want || err != nil {
			t.Errorf("%q, %v; want %q", kind, err, want)
		}
	}
}
