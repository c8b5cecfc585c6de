package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"latchd/agent/health"
	"latchd/firmware"
	"latchd/test/dtdl"
)

// readModel gives the model that the agent announces.
var readModel = sync.OnceValues(func() (*dtdl.Interface, error) { return dtdl.Read("../../docs/model", modelID) })

func model(t *testing.T) *dtdl.Interface {
	t.Helper()
	m, err := readModel()
	if err != nil {
		t.Fatalf("the model: %v", err)
	}
	return m
}

// modelled is a device of which everything that it says is compared with the model.
type modelled struct {
	*rig
	model *dtdl.Interface
	seen  map[string]bool // paths of the model that a report had, telemetry and events
}

// ask calls a method and compares the answer with the model's.
func (m *modelled) ask(status int, method, payload string) reply {
	m.Helper()
	a := m.want(status, method, payload)
	m.checkAnswer(method, a)
	return a
}

// unmodelled are members of answers that DTDL cannot express, by path: a name that
// begins with an underscore, and schemas more than five deep.
var unmodelled = []struct{ in, name string }{{"deviceInformation", "__t"}, {"maintenance", "value"}}

func (m *modelled) checkAnswer(method string, a reply) {
	m.Helper()
	body := clone(m.T, a.body)
	for _, u := range unmodelled {
		if inner, ok := body[u.in].(map[string]any); ok {
			delete(inner, u.name)
		}
	}
	c := m.model.Contents[method]
	if c == nil || c.Response == nil {
		m.Fatalf("the model has no answer of %s", method)
	}
	if err := c.Response.Check(body, method, nil); err != nil {
		m.Errorf("an answer is not as the model says: %v\n%s", err, a)
	}
}

func clone(t *testing.T, doc map[string]any) (out map[string]any) {
	t.Helper()
	text, err := json.Marshal(doc)
	if err = errors.Join(err, json.Unmarshal(text, &out)); err != nil {
		t.Fatal(err)
	}
	return out
}

// checkReports compares what was reported so far with the model, and notes what was
// there. A null removes a key and says nothing about its type.
func (m *modelled) checkReports() {
	m.Helper()
	m.settle()
	m.hub.mu.Lock()
	held := m.hub.held
	m.hub.mu.Unlock()
	for name, value := range clone(m.T, held) {
		c := m.model.Contents[name]
		switch {
		case c == nil:
			m.Errorf("the device reports %s, which the model does not have", name)
		case c.Type == "Component":
			m.checkComponent(name, c.Component, value)
		case c.Type != "Property":
			m.Errorf("the device reports %s, which the model says is a %s", name, c.Type)
		case c.Writable:
			m.checkAcknowledgement(name, c, value)
		default:
			if err := c.Schema.Check(value, name, m.saw); err != nil {
				m.Errorf("a report is not as the model says: %v", err)
			}
		}
	}
}

func (m *modelled) saw(path string) { m.seen[path] = true }

func (m *modelled) checkComponent(name string, component *dtdl.Interface, value any) {
	m.Helper()
	members, _ := value.(map[string]any)
	if members["__t"] != "c" {
		m.Errorf("%s is a component and not marked as one: %v", name, value)
	}
	for member, v := range members {
		c := component.Contents[member]
		if member == "__t" {
			continue
		}
		if c == nil || c.Type != "Property" {
			m.Errorf("%s has no property %s", component.ID, member)
		} else if err := c.Schema.Check(v, name+"."+member, m.saw); err != nil {
			m.Error(err)
		}
	}
}

// acknowledgement is how plug and play reports a writable property; the model says
// only what its value is.
var acknowledgement = &dtdl.Schema{Kind: "Object", Fields: map[string]*dtdl.Schema{
	"ac": {Kind: "integer"}, "av": {Kind: "long"}, "ad": {Kind: "string"},
}}

func (m *modelled) checkAcknowledgement(name string, c *dtdl.Content, value any) {
	m.Helper()
	ack, _ := value.(map[string]any)
	inForce, there := ack["value"]
	delete(ack, "value")
	if err := acknowledgement.Check(ack, name, nil); err != nil || !there || ack["ac"] == nil || ack["av"] == nil {
		m.Errorf("%s is not acknowledged as plug and play has it: %v %v", name, ack, err)
	}
	if none, ok := inForce.(map[string]any); ok && len(none) == 0 && ack["ac"] == 400.0 {
		return // refused, and nothing is in force
	}
	if err := c.Schema.Check(inForce, name, m.saw); err != nil {
		m.Errorf("what is in force is not as the model says: %v", err)
	}
}

// onModel runs a test on a device whose machine says all about itself.
func onModel(t *testing.T, test func(m *modelled)) map[string]bool {
	t.Helper()
	m := &modelled{model: model(t), seen: map[string]bool{}}
	door := doorConfig{Line: "GPIO17", Contact: inputConfig{Line: "GPIO27"}, Button: inputConfig{Line: "GPIO23"}}
	inBubbleWith(t, door, func(r *rig) {
		m.rig = r
		test(m)
		m.pass(2 * time.Second) // events are gathered before they are sent
		m.checkReports()
		m.checkEvents()
	})
	return m.seen
}

// checkEvents compares the messages that were sent: each key of a body is a
// telemetry of the model.
func (m *modelled) checkEvents() {
	m.Helper()
	m.hub.mu.Lock()
	events := m.hub.events
	m.hub.mu.Unlock()
	for _, message := range events {
		var body map[string]any
		if err := json.Unmarshal(message.Body, &body); err != nil {
			m.Errorf("an event is no object: %v: %s", err, message.Body)
		}
		for key, value := range body {
			c := m.model.Contents[key]
			if c == nil || c.Type != "Telemetry" {
				m.Errorf("an event has %s, and the model has no such telemetry: %s", key, message.Body)
			} else if err := c.Schema.Check(value, key, m.saw); err != nil {
				m.Errorf("an event is not as the model says: %v: %s", err, message.Body)
			}
		}
		name, _ := body["event"].(string)
		if name == "" || message.Properties["event"] != name {
			m.Errorf("the property event of a message is %q: %s", message.Properties["event"], message.Body)
		}
		m.saw("event " + name)
	}
}

// unseen are the members of the model that no scene here brings about: what is
// wrong with the hardware or the configuration, what a bolt sensor tells, and what
// happens when there are too many events.
var unseen = []string{
	"door.fault", "agent.fault", "fault", "event doorFault", "event doorFaultEnded", "event doorJammed",
	"suppressed", "event eventsLost", "from", "to", "count",
}

// What the device reports and answers, whatever happens to it, is what the model
// says; and what the model says is reported.
func TestDeviceReportsItsModel(t *testing.T) {
	scenes := map[string]func(m *modelled){
		"door": func(m *modelled) {
			m.ask(200, "unlockDoor", `{"unlockTime":10,"commandId":"c1"}`)
			m.ask(200, "unlockDoor", `{"unlockTime":10,"commandId":"c1"}`)
			m.ask(409, "lockDoor", `{"commandId":"c1"}`)
			m.checkReports()
			m.ask(200, "unlockDoor", `{"hold":true}`)
			m.checkReports()
			m.ask(200, "lockDoor", `{"lockTime":600}`)
			m.ask(423, "unlockDoor", `{}`)
			m.input("contact", "closed")
			m.input("contact", "open")
			m.reported("door.alarm", "forcedOpen")
			m.checkReports()
			m.ask(200, "getStatus", ``)
			m.input("contact", "closed")
			m.ask(200, "lockDoor", `{"lockTime":0}`)
		},
		"held open": func(m *modelled) {
			m.ask(200, "unlockDoor", `{}`)
			m.input("contact", "open")
			m.pass(time.Minute)
			m.reported("door.alarm", "heldOpen")
			m.checkReports()
		},
		"button": func(m *modelled) {
			m.input("button", "pressed")
			m.pass(40 * time.Second)
			m.reported("door.alarm", "buttonStuck")
			m.checkReports()
		},
		"reboot": func(m *modelled) {
			m.ask(200, "rebootDevice", `{"dryRun":true}`)
			id := m.ask(202, "rebootDevice", `{"delay":300,"reason":"new kernel"}`).body["operationId"]
			m.ask(202, "rebootDevice", `{}`)
			m.checkReports()
			m.ask(200, "unlockDoor", `{"hold":true}`)
			m.pass(6 * time.Minute) // its time comes, and the door is in the way
			m.checkReports()
			m.ask(200, "getStatus", ``)
			m.ask(200, "cancelOperation", fmt.Sprintf(`{"operationId":%q}`, id))
			m.ask(404, "cancelOperation", `{"operationId":"op-1"}`)
			m.checkReports()
			m.ask(409, "rebootDevice", `{}`)
			m.ask(200, "rebootDevice", `{"force":true,"commandId":"r1","reason":"weekly"}`)
			m.checkReports()
			m.pass(30 * time.Second)
			m.boot("boot-2")
			m.checkReports()
			m.ask(200, "rebootDevice", `{"commandId":"r1","force":true,"reason":"weekly"}`)
			m.ask(200, "getStatus", ``)
		},
		"refused reboot": func(m *modelled) {
			m.machine.refusal = errors.New("inhibited")
			m.ask(200, "rebootDevice", `{}`)
			m.pass(30 * time.Second)
			m.checkReports()
			m.machine.forbid(errors.New("not permitted"))
			m.ask(503, "rebootDevice", `{}`)
		},
		"power cut": func(m *modelled) { m.pullPlug("boot-2") },
		"no clock": func(m *modelled) {
			m.clock.set("unset", 0)
			m.pass(time.Minute)
			m.checkReports()
			m.ask(503, "rebootDevice", `{"notAfter":"2030-01-01T00:00:00Z"}`)
			m.ask(200, "getStatus", ``)
		},
		"desired": func(m *modelled) {
			m.desire(7, `{"doorPolicy":{"unlockTime":7},"building":43,"floor":-3}`)
			m.checkReports()
			m.desire(8, `{"doorPolicy":{"unlockTime":"long"},"building":"B","floor":3}`)
			m.checkReports()
			m.ask(200, "getStatus", ``)
		},
		"windows": func(m *modelled) {
			m.desire(7, `{"maintenance":{"windows":[{"name":"night","start":"02:30","duration":"2h"}],"exclusions":[{"from":"2000-01-05","to":"2000-01-06"}],"spread":60}}`)
			m.ask(202, "rebootDevice", `{"delay":0}`)
			m.ask(200, "rebootDevice", `{"dryRun":true}`)
			m.checkReports()
			m.pass(150*time.Minute + time.Second)
			m.checkReports()
			m.ask(200, "getStatus", ``)
			m.desire(8, `{"maintenance":{"windows":7}}`)
			m.checkReports()
			m.pass(10 * time.Minute)
			m.boot("boot-2")
			m.desire(9, `{"maintenance":{"windows":[],"policy":{"rebootDevice":"reject"}}}`)
			m.ask(423, "rebootDevice", `{}`)
		},
		"loop breaker": func(m *modelled) {
			m.perHour = 1
			m.stop()
			m.start()
			m.ask(200, "rebootDevice", `{"delay":0}`)
			m.pass(10 * time.Second)
			m.boot("boot-3")
			m.ask(429, "rebootDevice", `{"delay":0}`)
			m.ask(200, "rebootDevice", `{"dryRun":true}`)
		},
		"boot loop": func(m *modelled) {
			for n := range health.BootLoopBoots {
				m.pullPlug(fmt.Sprint("boot-", n+2))
			}
			m.checkReports()
		},
		"refused from the first": func(m *modelled) { m.desire(2, `{"building":1.5}`) },
		"no disk": func(m *modelled) {
			defer m.fillDisk()()
			m.ask(200, "lockDoor", `{"commandId":"c1"}`)
			m.ask(503, "rebootDevice", `{}`)
		},
	}
	var mu sync.Mutex
	seen := map[string]bool{}
	t.Run("scenes", func(t *testing.T) {
		for name, scene := range scenes {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				saw := onModel(t, scene)
				mu.Lock()
				defer mu.Unlock()
				maps.Copy(seen, saw)
			})
		}
	})
	for _, path := range told(model(t)) {
		if !seen[path] && !slices.Contains(unseen, path) {
			t.Errorf("the model has %s, which the device never told", path)
		}
	}
}

// told is all that the model says of what a device tells by itself: its properties
// with their members, its telemetry, its events.
func told(m *dtdl.Interface) []string {
	var all []string
	for name, c := range m.Contents {
		if c.Type == "Property" || c.Type == "Telemetry" {
			all = append(all, c.Schema.Paths(name)...)
		}
	}
	for _, name := range m.Contents["event"].Schema.Values {
		all = append(all, "event "+name.(string))
	}
	return all
}

// The agent hands on what the checks found; the model says what that is.
func TestDiagnosticsAreTheirModel(t *testing.T) {
	report := health.Report{Pending: []string{"dns"}}
	for _, severity := range []health.Severity{health.Error, health.Warning, health.Info} {
		report.Checks = append(report.Checks, health.Result{ID: "clock", Severity: severity, Text: "t", Remedy: "r"})
	}
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(text, &answer); err != nil {
		t.Fatal(err)
	}
	answer["Response"] = "runDiagnostics called successfully"
	seen := map[string]bool{}
	schema := model(t).Contents["runDiagnostics"].Response
	if err := schema.Check(answer, "a", func(path string) { seen[path] = true }); err != nil {
		t.Error(err)
	}
	for _, path := range schema.Paths("a") {
		if !seen[path] {
			t.Errorf("the model has %s, and the report of the checks has not", path)
		}
	}
}

// The component's values are those of the program's own description of a machine.
func TestMachineIsItsModel(t *testing.T) {
	m := &modelled{model: model(t), seen: map[string]bool{}}
	m.rig = &rig{T: t}
	full := firmware.Information{
		Manufacturer: "Raspberry Pi", Model: "Raspberry Pi 4 Model B Rev 1.4", SoftwareVersion: "1.2.0",
		OSName: "Debian GNU/Linux 12", ProcessorArchitecture: "aarch64", ProcessorManufacturer: "Broadcom",
		TotalStorage: 30535680, TotalMemory: 3884346,
	}
	component := m.model.Contents["deviceInformation"].Component
	m.checkComponent("deviceInformation", component, clone(t, information(described{info: full})))
	for name := range component.Contents {
		if !m.seen["deviceInformation."+name] {
			t.Errorf("the device does not tell %s", name)
		}
	}
}

// described is a machine that is known by its description alone.
type described struct {
	machine
	info firmware.Information
}

func (d described) Information(string) firmware.Information { return d.info }
