package loop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"latchd/iothub"
)

// TestKilledAgent kills the agent in a lockdown and in an unlock: the line does
// not move, the timers go on, a repeated command is recognised.
func TestKilledAgent(t *testing.T) {
	t.Parallel()
	s := newSite(t, "door")
	s.invoke("door", "unlockDoor", `{"unlockTime":"8s","commandId":"visit"}`)
	edges := s.read("door.run/gpio/edges")
	s.devices["door"].signal(syscall.SIGKILL)
	s.startDevice("door")
	status, answer := s.invoke("door", "unlockDoor", `{"unlockTime":"8s","commandId":"visit"}`)
	if status != "200" || answer["replayed"] != true {
		t.Errorf("the repeat: %s %v", status, answer)
	}
	if now := s.read("door.run/gpio/edges"); now != edges {
		t.Errorf("the line moved:\n%s\nthen\n%s", edges, now)
	}
	s.await("the door locks at its deadline", func() bool { return at(s.reported("door"), "door", "state") == "locked" })
	if n := strings.Count(strings.TrimSpace(s.read("door.run/gpio/edges")), "\n"); n != 2 {
		t.Errorf("the line has %d edges, want 2:\n%s", n, s.read("door.run/gpio/edges"))
	}
}

// TestRebootKeepsTheProcess reboots the simulated machine: the same process
// id, another boot id, a receipt.
func TestRebootKeepsTheProcess(t *testing.T) {
	t.Parallel()
	s := newSite(t, "door")
	first := s.reported("door", "agent", "bootId")
	for i := range 3 {
		id := fmt.Sprintf("r%d", i)
		if status, answer := s.invoke("door", "rebootDevice", `{"delay":0,"commandId":"`+id+`"}`); status != "200" {
			t.Fatalf("%s %v", status, answer)
		}
		s.await("the receipt of "+id, func() bool {
			r := s.reported("door", "lastReboot")
			return at(r, "commandId") == id && at(r, "state") == "completed"
		})
		r := s.reported("door", "lastReboot")
		if at(r, "previousBootId") != first || at(r, "bootId") == first || at(r, "cause") != "rebootDevice" || at(r, "orderly") != true {
			t.Errorf("receipt %v, the boot before was %v", r, first)
		}
		first = at(r, "bootId")
	}
	select {
	case <-s.devices["door"].done:
		t.Error("the process ended")
	default:
	}
	s.devices["door"].signal(syscall.SIGTERM)
	if code := s.devices["door"].cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("an ordered stop ended with status %d", code)
	}
}

// TestKilledHub kills the hub: what it had acknowledged is there again, the
// devices come back, and the twin says what is true.
func TestKilledHub(t *testing.T) {
	t.Parallel()
	s := newSite(t, "door")
	s.object("PATCH", "/twins/door", `{"properties":{"desired":{"building":43}}}`)
	s.hub.signal(syscall.SIGKILL)
	s.startHub()
	if got := at(s.twin("door"), "properties", "desired", "building"); fmt.Sprint(got) != "43" {
		t.Errorf("the hub forgot an acknowledged write: building is %v", got)
	}
	s.await("the device is back", func() bool { return s.twin("door")["connectionState"] == "Connected" })
	s.await("the device acknowledges", func() bool { return fmt.Sprint(s.reported("door", "building", "value")) == "43" })
	if status, _ := s.invoke("door", "lockDoor", `{}`); status != "200" {
		t.Errorf("lockDoor: %s", status)
	}
}

// TestNoSecretIsWritten runs the loop at debug level and looks for every key
// in everything that was written.
func TestNoSecretIsWritten(t *testing.T) {
	t.Parallel()
	s := newSite(t, "door")
	s.invoke("door", "lockDoor", `{}`)
	s.output("latchctl", "device", "list")
	s.output("latchctl", "device", "show", "door")
	s.output("latchctl", "twin", "show", "door", "--output", "json")
	device, err := iothub.ParseDeviceConnectionString(s.read("door.connection"))
	if err != nil {
		t.Fatal(err)
	}
	s.devices["door"].signal(syscall.SIGTERM)
	s.hub.signal(syscall.SIGTERM)
	secrets := []string{device.SharedAccessKey.Reveal(), s.service.SharedAccessKey.Reveal(), "SharedAccessSignature sr="}
	err = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		name, _ := filepath.Rel(s.dir, path)
		if err != nil || d.IsDir() || name == "door.connection" || strings.HasPrefix(name, "hub"+string(filepath.Separator)) {
			return err // the two places that must hold keys, each readable by its owner alone
		}
		for _, secret := range secrets {
			if strings.Contains(s.read(name), secret) {
				t.Errorf("%s holds a secret", name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestFrozenAgent stops the process while an unlock is on its way. The
// operator is told that there was no answer; when the process goes on, the door
// does not open any more, and the device is there again.
func TestFrozenAgent(t *testing.T) {
	t.Parallel()
	s := newSite(t, "door")
	edges := s.read("door.run/gpio/edges")
	s.freeze(s.devices["door"])
	status, answer := s.request("POST", "/twins/door/methods",
		`{"methodName":"unlockDoor","payload":{"hold":true},"responseTimeoutInSeconds":7,"connectTimeoutInSeconds":0}`)
	if status != 504 {
		t.Errorf("the call of a frozen device: status %d, %v", status, answer)
	}
	s.thaw(s.devices["door"])
	s.await("the device takes commands again", func() bool {
		status, _ := s.request("POST", "/twins/door/methods", `{"methodName":"lockDoor","payload":{"commandId":"after"},"connectTimeoutInSeconds":10}`)
		return status == 200
	})
	if now := s.read("door.run/gpio/edges"); now != edges {
		t.Errorf("the door moved late:\n%s\nthen\n%s", edges, now)
	}
	if log := s.read("door.log"); !strings.Contains(log, "stood still") {
		t.Errorf("the log does not say that the process stood still:\n%s", log)
	}
}
