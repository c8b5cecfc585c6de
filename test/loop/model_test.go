package loop

import (
	"strings"
	"testing"

	"latchd/test/site"
)

// TestModel has the hub show the model that a device announces, and find the
// device by it.
func TestModel(t *testing.T) {
	t.Parallel()
	const id = "dtmi:latchd:Device;1" // of docs/model
	s := site.New(t, "door")
	s.Await("the twin names the model", func() bool { return s.Twin("door")["modelId"] == id })
	out := s.Output("latchctl", "query", "SELECT deviceId FROM devices WHERE modelId = '"+id+"'", "--output", "json")
	if !strings.Contains(out, `"door"`) {
		t.Errorf("the device is not found by its model: %s", out)
	}
}
