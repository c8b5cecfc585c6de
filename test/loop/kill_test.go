package loop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"latchd/test/site"
)

// TestKilledAgent kills the agent in a lockdown and in an unlock: the line does
// not move, the timers go on, a repeated command is recognised.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		method, payload string
		mode            string // until the deadline
		edges           int    // in all, after the deadline
	}{
		{"unlockDoor", `{"unlockTime":"12s","commandId":"visit"}`, "momentary", 2},
		{"lockDoor", `{"lockTime":"12s","commandId":"alarm"}`, "lockdown", 0},
	} {
		t.Run(row.method, func(t *testing.T) {
			t.Parallel()
			s := site.New(t, "door")
			_, before := s.Invoke("door", row.method, row.payload)
			edges := s.Read("door.run/gpio/edges")
			s.Devices["door"].Signal(syscall.SIGKILL)
			s.StartDevice("door")
			// The first calls may still go to the connection of the killed process.
			var door any
			s.Await("the device answers again", func() bool {
				status, answer := s.Request("POST", "/twins/door/methods", `{"methodName":"getStatus","connectTimeoutInSeconds":10}`)
				door = site.At(answer, "payload", "door")
				return status == 200
			})
			if site.At(door, "mode") != row.mode || site.At(door, "until") != site.At(before, "door", "until") {
				t.Errorf("the door was %v and is %v", before["door"], door)
			}
			status, answer := s.Invoke("door", row.method, row.payload)
			if status != "200" || answer["replayed"] != true {
				t.Errorf("the repeat: %s %v", status, answer)
			}
			if now := s.Read("door.run/gpio/edges"); now != edges {
				t.Errorf("the line moved:\n%s\nthen\n%s", edges, now)
			}
			// Before the end, for the twin said "resting" in the beginning too.
			s.Await("the twin tells the mode", func() bool { return s.Reported("door", "door", "mode") == row.mode })
			s.Await("the door rests after its deadline", func() bool { return s.Reported("door", "door", "mode") == "resting" })
			if n := strings.Count(strings.TrimSpace(s.Read("door.run/gpio/edges")), "\n"); n != row.edges {
				t.Errorf("the line has %d edges, want %d:\n%s", n, row.edges, s.Read("door.run/gpio/edges"))
			}
		})
	}
}

// TestRebootKeepsTheProcess reboots the simulated machine: the same process
// id, another boot id, a receipt.
func TestRebootKeepsTheProcess(t *testing.T) {
	t.Parallel()
	s := site.New(t, "door")
	var first any
	s.Await("the device tells its boot id", func() bool {
		first = s.Reported("door", "agent", "bootId")
		return first != nil
	})
	for i := range 3 {
		id := fmt.Sprintf("r%d", i)
		if status, answer := s.Invoke("door", "rebootDevice", `{"delay":0,"commandId":"`+id+`"}`); status != "200" {
			t.Fatalf("%s %v", status, answer)
		}
		s.Await("the receipt of "+id, func() bool {
			r := s.Reported("door", "lastReboot")
			return site.At(r, "commandId") == id && site.At(r, "state") == "completed"
		})
		r := s.Reported("door", "lastReboot")
		if site.At(r, "previousBootId") != first || site.At(r, "bootId") == first || site.At(r, "cause") != "rebootDevice" || site.At(r, "orderly") != true {
			t.Errorf("receipt %v, the boot before was %v", r, first)
		}
		first = site.At(r, "bootId")
	}
	select {
	case <-s.Devices["door"].Done:
		t.Error("the process ended")
	default:
	}
	s.Devices["door"].Signal(syscall.SIGTERM)
	if code := s.Devices["door"].Cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an ordered stop ended with status %d", code)
	}
}

// TestKilledHub kills the hub: what it had acknowledged is there again, the
// devices come back, and the twin says what is true.
func TestKilledHub(t *testing.T) {
	t.Parallel()
	s := site.New(t, "door")
	s.Object("PATCH", "/twins/door", `{"properties":{"desired":{"building":43}}}`)
	s.Hub.Signal(syscall.SIGKILL)
	s.StartHub()
	if got := site.At(s.Twin("door"), "properties", "desired", "building"); fmt.Sprint(got) != "43" {
		t.Errorf("the hub forgot an acknowledged write: building is %v", got)
	}
	s.Await("the device is back", func() bool { return s.Twin("door")["connectionState"] == "Connected" })
	s.Await("the device acknowledges", func() bool { return fmt.Sprint(s.Reported("door", "building", "value")) == "43" })
	if status, _ := s.Invoke("door", "lockDoor", `{}`); status != "200" {
		t.Errorf("lockDoor: %s", status)
	}
}

// TestFrozenAgent stops the process while an unlock is on its way. The
// operator is told that there was no answer; when the process goes on, the door
// does not open any more, and the device is there again.
func TestFrozenAgent(t *testing.T) {
	t.Parallel()
	s := site.New(t, "door")
	edges := s.Read("door.run/gpio/edges")
	s.Freeze(s.Devices["door"])
	status, answer := s.Request("POST", "/twins/door/methods",
		`{"methodName":"unlockDoor","payload":{"hold":true},"responseTimeoutInSeconds":7,"connectTimeoutInSeconds":0}`)
	if status != 504 {
		t.Errorf("the call of a frozen device: status %d, %v", status, answer)
	}
	s.Thaw(s.Devices["door"])
	s.Await("the device takes commands again", func() bool {
		status, _ := s.Request("POST", "/twins/door/methods", `{"methodName":"lockDoor","payload":{"commandId":"after"},"connectTimeoutInSeconds":10}`)
		return status == 200
	})
	if now := s.Read("door.run/gpio/edges"); now != edges {
		t.Errorf("the door moved late:\n%s\nthen\n%s", edges, now)
	}
	if log := s.Read("door.log"); !strings.Contains(log, "stood still") {
		t.Errorf("the log does not say that the process stood still:\n%s", log)
	}
}
