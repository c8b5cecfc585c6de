package loop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// TestWrongConfiguration restarts the agent with a typing error in its
// configuration: it goes on, the door keeps its last good settings, and the
// twin says what is wrong and where.
func TestWrongConfiguration(t *testing.T) {
	t.Parallel()
	s := newSite(t, "door")
	s.devices["door"].signal(syscall.SIGTERM)
	good := s.read("door.toml")
	s.write("door.toml", strings.Replace(good, `line = "GPIO17"`, "lime = \"GPIO17\"\nfail_mode = \"safe\"", 1))
	s.startDevice("door")
	s.await("the twin says what is wrong", func() bool {
		fault := fmt.Sprint(s.reported("door", "agent", "fault"))
		return strings.Contains(fault, "line 9: unknown key door.lime")
	})
	if status, answer := s.invoke("door", "unlockDoor", `{}`); status != "200" {
		t.Errorf("unlockDoor: %s %v", status, answer)
	}
	if edges := s.read("door.run/gpio/edges"); !strings.Contains(edges, " low requested") {
		t.Errorf("the line was not taken at the last good settings' locked level:\n%s", edges)
	}
	s.devices["door"].signal(syscall.SIGTERM)
	s.write("door.toml", good)
	s.startDevice("door")
	s.await("the fault is gone", func() bool {
		return s.reported("door", "agent") != nil && s.reported("door", "agent", "fault") == nil
	})
}
