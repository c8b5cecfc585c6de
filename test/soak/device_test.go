package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"latchd/test/site"
)

// device is one simulated device of a site, as its operator and the person at
// its door see it.
type device struct {
	*site.Site
	id string
}

// newDevice registers a device whose machine is down only shortly. With a
// gateway it reaches the hub through that.
func newDevice(s *site.Site, id, gateway string) *device {
	s.Helper()
	s.AddDevice(id)
	s.Write(id+".toml", strings.Replace(s.Read(id+".toml"), `down_time = "500ms"`, `down_time = "50ms"`, 1))
	if gateway != "" {
		s.Write(id+".connection", strings.TrimSpace(s.Read(id+".connection"))+";GatewayHostName="+gateway)
	}
	return &device{s, id}
}

// answer is what became of a call.
type answer struct {
	http       int // 0: nothing came back
	status     int // the device's; 0: it did not answer
	body       map[string]any
	sent, done time.Time
}

func (a answer) replayed() bool    { return a.body["replayed"] == true }
func (a answer) interrupted() bool { return a.status == 500 && a.body["state"] == "interrupted" }
func (a answer) String() string {
	return fmt.Sprintf("HTTP %d, status %d, %v", a.http, a.status, a.body)
}

// call calls a method once. It may be used from any goroutine.
func (d *device) call(method string, payload map[string]any) answer {
	text, err := json.Marshal(map[string]any{
		"methodName": method, "payload": payload, "responseTimeoutInSeconds": 10, "connectTimeoutInSeconds": 10,
	})
	if err != nil {
		panic(err) // only texts and numbers are in it
	}
	a := answer{sent: time.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	http, doc, err := d.TryRequest(ctx, "POST", "/twins/"+d.id+"/methods", string(text))
	a.done = time.Now()
	if err != nil {
		return a
	}
	a.http = http
	a.body, _ = site.At(doc, "payload").(map[string]any)
	_, _ = fmt.Sscan(fmt.Sprint(site.At(doc, "status")), &a.status)
	return a
}

// ask is call until the device answers: one that was just killed or started is
// not there for a moment.
func (d *device) ask(method string, payload map[string]any) answer {
	d.Helper()
	var a answer
	d.Await(d.id+" answers "+method, func() bool {
		a = d.call(method, payload)
		return a.http == 200
	})
	return a
}

// observation is what getStatus said.
type observation struct {
	state, mode string
	since       time.Time
	until       time.Time // zero: none
	bootID      string
	raw         map[string]any
	from, to    time.Time // it is true of some moment between
}

func (o observation) String() string {
	return fmt.Sprintf("%s %s until %s", o.state, o.mode, clock(o.until))
}

func clock(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format("15:04:05.000")
}

func (d *device) observe() observation {
	d.Helper()
	a := d.ask("getStatus", map[string]any{})
	if a.status != 200 {
		d.Fatalf("getStatus: %v", a)
	}
	o := observation{raw: a.body, from: a.sent, to: a.done}
	o.state, _ = site.At(a.body, "door", "state").(string)
	o.mode, _ = site.At(a.body, "door", "mode").(string)
	o.bootID, _ = site.At(a.body, "agent", "bootId").(string)
	if text, ok := site.At(a.body, "door", "since").(string); ok {
		o.since = parseTime(d.TB, text)
	}
	if text, ok := site.At(a.body, "door", "until").(string); ok {
		o.until = parseTime(d.TB, text)
	}
	return o
}

func parseTime(t testing.TB, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// awaitTwin waits until the twin says of the device what the device says of
// itself.
func (d *device) awaitTwin() {
	d.Helper()
	var missing string
	defer func() {
		if d.Failed() {
			d.Logf("the twin of %s does not converge: %s", d.id, missing)
		}
	}()
	d.Await("the twin of "+d.id+" converges", func() bool {
		o := d.observe()
		reported, _ := site.At(d.Twin(d.id), "properties", "reported").(map[string]any)
		missing = ""
		for _, key := range []string{"door", "agent", "rebootTime", "doorPolicy", "pendingOperations"} {
			if says, holds := canonical(o.raw[key]), canonical(reported[key]); says != holds {
				missing += fmt.Sprintf("%s is %s, the twin says %s\n", key, says, holds)
			}
		}
		return missing == ""
	})
}

func canonical(v any) string {
	text, err := json.Marshal(v) // maps are sorted
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// bootRecord is what the simulated machine's memory says of the boot.
type bootRecord struct {
	Boot     struct{ ID string }
	BootedAt time.Duration // on the real machine's boot-time clock
}

// boot reads the boot that the machine is in; the id is "" while it is off.
func (d *device) boot() bootRecord {
	var b bootRecord
	if text, err := os.ReadFile(d.Path(d.id + ".run/boot.json")); err == nil {
		_ = json.Unmarshal(text, &b) // one that is just being replaced is none yet
	}
	return b
}

// stateFile reads a JSON file of the state directory, which must be whole at
// every moment. It is nil if there is none yet.
func (d *device) stateFile(name string) map[string]any {
	d.Helper()
	text, err := os.ReadFile(d.Path(d.id + ".state/" + name))
	if os.IsNotExist(err) {
		return nil
	}
	var doc map[string]any
	if err == nil {
		err = json.Unmarshal(text, &doc)
	}
	if err != nil {
		d.Fatalf("%s after a kill: %v\n%s", name, err, text)
	}
	return doc
}

// phase is how far the operation of a command has come, as the disk has it; ""
// if there is none.
func (d *device) phase(commandID string) string {
	d.Helper()
	pending, _ := d.stateFile("operations.json")["pending"].([]any)
	for _, op := range pending {
		if site.At(op, "commandId") == commandID {
			phase, _ := site.At(op, "phase").(string)
			return phase
		}
	}
	return ""
}

// checkFiles reads everything that the agent keeps, as a kill has left it.
func (d *device) checkFiles() {
	d.Helper()
	for _, name := range []string{"operations.json", "desired.json", "lock.json", "door-settings.json"} {
		d.stateFile(name)
	}
	text, err := os.ReadFile(d.Path(d.id + ".state/commands.journal"))
	if err != nil && !os.IsNotExist(err) {
		d.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if !json.Valid([]byte(line)) || !strings.HasSuffix(line, "\n") {
			d.Fatalf("the command journal after a kill has the line %q", line)
		}
	}
	for name := range maps.Keys(stored(d.TB, d.Path(d.id+".state"))) {
		if strings.Contains(name, "aside") {
			d.Fatalf("%s: the agent could not read what it had written", name)
		}
	}
}
