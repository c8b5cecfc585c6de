package agent

import (
	"testing"

	"latchd/test/dtdl"
)

// The agent's methods are the model's commands, and the desired properties that it
// knows are writable there. What they take, report and answer is compared with the
// model where the agent is put together with a door, in cmd/latchd.
func TestNamesAreTheModels(t *testing.T) {
	model, err := dtdl.Read("../docs/model", "dtmi:latchd:Device;1")
	if err != nil {
		t.Fatal(err)
	}
	for name := range methods {
		if c := model.Contents[name]; c == nil || c.Type != "Command" {
			t.Errorf("the model has no command %s", name)
		}
	}
	for name := range properties {
		if c := model.Contents[name]; c == nil || !c.Writable {
			t.Errorf("the model has no writable property %s", name)
		}
	}
	for name, c := range model.Contents {
		if _, ok := methods[name]; c.Type == "Command" && !ok {
			t.Errorf("the agent has no method %s", name)
		}
	}
}
