package loop

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"latchd/test/site"
)

// events are the events of the device that the hub has, in the order in which they
// came, and once each: what comes twice has the same message id.
func events(s *site.Site, id string) (all []map[string]any, numbers []int) {
	s.Helper()
	seen := map[any]bool{}
	page := s.Object("GET", "/__events?after=0", "")
	feed, _ := page["events"].([]any)
	for _, e := range feed {
		mid := site.At(e, "system", "message-id")
		if site.At(e, "source") != "Telemetry" || site.At(e, "deviceId") != id || seen[mid] {
			continue
		}
		seen[mid] = true
		body, _ := site.At(e, "body").(map[string]any)
		var n int
		_, _ = fmt.Sscan(fmt.Sprint(body["seq"]), &n)
		if mid != fmt.Sprintf("%s-%d", id, n) || site.At(e, "properties", "event") != body["event"] ||
			site.At(e, "system", "content-type") != "application/json" || site.At(e, "system", "content-encoding") != "utf-8" {
			s.Errorf("an event with the properties %v, %v: %v", site.At(e, "system"), site.At(e, "properties"), body)
		}
		all, numbers = append(all, body), append(numbers, n)
	}
	return all, numbers
}

// told is the events by name, with the commandId of those that have one.
func told(s *site.Site, id string) string {
	all, _ := events(s, id)
	var names []string
	for _, e := range all {
		name := fmt.Sprint(e["event"])
		if id, ok := e["commandId"]; ok {
			name += "(" + fmt.Sprint(id) + ")"
		}
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// TestEvents follows a door through commands, a refusal, the exit button, a hub
// that is killed, an agent that is killed and a reboot. Each thing that happens is
// told once, in order, with numbers that run without a gap.
func TestEvents(t *testing.T) {
	t.Parallel()
	s := site.New(t, "door")
	var want string
	await := func(more string) {
		t.Helper()
		want = strings.TrimSpace(want + " " + more)
		s.Await("the events "+more+" behind", func() bool { return len(told(s, "door")) >= len(want) })
		if got := told(s, "door"); got != want {
			t.Fatalf("the hub was told\n%s\nwant\n%s", got, want)
		}
	}
	s.Invoke("door", "unlockDoor", `{"hold":true,"commandId":"in"}`)
	s.Invoke("door", "lockDoor", `{"commandId":"out"}`) // in one burst
	await("doorUnlocked(in) doorLocked(out)")
	s.Invoke("door", "lockDoor", `{"lockTime":"1h","commandId":"alarm"}`)
	s.Invoke("door", "unlockDoor", `{"commandId":"no"}`)
	await("lockdownBegan(alarm) commandRefused(no)")

	s.Hub.Signal(syscall.SIGKILL)
	press(s, "door")
	s.Await("the press is on disk", func() bool { return strings.Contains(s.Read("door.state/events.journal"), "requestToExit") })
	s.Devices["door"].Signal(syscall.SIGKILL)
	s.StartDevice("door")
	s.StartHub()
	await("requestToExit doorUnlocked doorLocked")

	s.Await("the device takes commands again", func() bool {
		status, _ := s.Request("POST", "/twins/door/methods", `{"methodName":"lockDoor","payload":{"lockTime":0},"connectTimeoutInSeconds":10}`)
		return status == 200
	})
	await("lockdownEnded")
	s.Invoke("door", "rebootDevice", `{"delay":0,"commandId":"again"}`)
	await("rebootCompleted(again)")

	s.Devices["door"].Signal(syscall.SIGTERM)
	all, numbers := events(s, "door")
	for i, n := range numbers {
		if n != i+1 {
			t.Errorf("the numbers are %v", numbers)
			break
		}
	}
	for _, e := range all {
		if e["time"] == nil {
			t.Errorf("an event has no time: %v", e)
		}
	}
}

// press presses the simulated exit button and lets it go.
func press(s *site.Site, id string) {
	s.Helper()
	opened := func() int { return strings.Count(s.Read(id+".run/gpio/edges"), " high") }
	before := opened()
	s.Write(id+".run/gpio/button", "pressed\n")
	s.Await("the door opens", func() bool { return opened() > before })
	s.Write(id+".run/gpio/button", "released\n")
}
