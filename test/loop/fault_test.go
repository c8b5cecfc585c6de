package loop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"latchd/test/site"
)

// TestWrongConfiguration restarts the agent with a typing error in its
// configuration: it goes on, the door keeps its last good settings, and the
// twin says what is wrong and where.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	s := site.New(t, "door")
	s.Devices["door"].Signal(syscall.SIGTERM)
	good := s.Read("door.toml")
	s.Write("door.toml", strings.Replace(good, `line = "GPIO17"`, "lime = \"GPIO17\"\nfail_mode = \"safe\"", 1))
	s.StartDevice("door")
	s.Await("the twin says what is wrong", func() bool {
		fault := fmt.Sprint(s.Reported("door", "agent", "fault"))
		return strings.Contains(fault, "line 9: unknown key door.lime")
	})
	if status, answer := s.Invoke("door", "unlockDoor", `{}`); status != "200" {
		t.Errorf("unlockDoor: %s %v", status, answer)
	}
	if edges := s.Read("door.run/gpio/edges"); !strings.Contains(edges, " low requested") {
		t.Errorf("the line was not taken at the last good settings' locked level:\n%s", edges)
	}
	s.Devices["door"].Signal(syscall.SIGTERM)
	s.Write("door.toml", good)
	s.StartDevice("door")
	s.Await("the fault is gone", func() bool {
		return s.Reported("door", "agent") != nil && s.Reported("door", "agent", "fault") == nil
	})
}
