package hub_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"latchd/hub"
	"latchd/iothub"
)

// childDir names, in the environment, the directory of the hub that this test
// binary is to serve instead of running tests, so that it can be killed.
const childDir = "LATCHHUB_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := serveChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func serveChild(dir string) error {
	// A hub that works has no errors to log.
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	h, err := hub.Open(dir, hub.Options{Log: log})
	if err != nil {
		return err
	}
	mqtt, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	https, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go tellVitals()
	return h.Serve(context.Background(), mqtt, https)
}

// childRig serves a hub in a process of its own. stop kills it, as kill -9 does.
func childRig(t *testing.T, dir string, prepare ...func(*exec.Cmd)) *rig {
	t.Helper()
	r := &rig{t: t, dir: dir}
	_ = os.Remove(filepath.Join(dir, "endpoints.json")) // of the one before
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), childDir+"="+dir)
	command.Stderr = testLog{t}
	for _, f := range prepare {
		f(command)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = command.Process.Kill()
		_ = command.Wait()
	}
	t.Cleanup(r.stop)
	eventually(t, "the hub is ready", func() bool {
		var e struct{ MQTT, HTTPS string }
		text, err := os.ReadFile(filepath.Join(dir, "endpoints.json"))
		if err != nil || json.Unmarshal(text, &e) != nil {
			return false
		}
		r.mqtt, r.https = e.MQTT, e.HTTPS
		return true
	})
	r.trust()
	return r
}

func TestStateSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	r := childRig(t, dir)
	key := r.addDevice("d")
	d, err := r.dial("d", deviceToken("d", key), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.listen(t)
	d.send(t, "$iothub/twin/PATCH/properties/reported/?$rid=1", 1, `{"door":"locked"}`)
	d.next(t)
	d.send(t, "devices/d/messages/events/", 1, `{"n":1}`) // its PUBACK
	r.call("PUT", "/jobs/v2/later", `{"type":"scheduleUpdateTwin","updateTwin":{"tags":{"late":1}},"queryCondition":"*","startTime":"2099-01-01T00:00:00Z"}`).want(200)
	identity := r.call("GET", "/devices/d", "").at("authentication")
	twin := r.call("PATCH", "/twins/d", `{"tags":{"a":1},"properties":{"desired":{"b":2}}}`).want(200)
	r.stop()

	r = childRig(t, dir)
	if got := r.call("GET", "/devices/d", "").want(200); got.at("authentication") != identity || got.at("connectionState") != `"Disconnected"` {
		t.Errorf("%s", got.body)
	}
	got := r.call("GET", "/twins/d", "").want(200)
	for _, part := range []string{"tags", "properties", "version", "etag"} {
		if got.at(part) != twin.at(part) {
			t.Errorf("%s: %s, was %s", part, got.at(part), twin.at(part))
		}
	}
	if e := r.nextEvent(0, "Telemetry"); string(e.Body) != `{"n":1}` {
		t.Errorf("%s", e.Body)
	}
	if j := r.call("GET", "/jobs/v2/later", "").want(200); j.at("status") != `"queued"` {
		t.Errorf("%s", j.body)
	}
	// A client with a persistent session does not subscribe again.
	d2, err := r.dialPersistent("p", deviceToken("p", r.addDevice("p")))
	if err != nil {
		t.Fatal(err)
	}
	d2.listen(t)
	token := deviceToken("p", r.deviceKey("p"))
	r.stop()
	r = childRig(t, dir)
	if d2, err = r.dialPersistent("p", token); err != nil {
		t.Fatal(err)
	}
	r.call("PATCH", "/twins/p", `{"properties":{"desired":{"x":1}}}`).want(200)
	if m := d2.next(t); string(m.Payload()) != `{"$version":2,"x":1}` {
		t.Errorf("%s", m.Payload())
	}
}

// A job that was running when the hub ended goes on, with the devices that it
// had not begun. The one that was at work is not called again.
func TestJobSurvivesTheEndOfTheHub(t *testing.T) {
	t.Parallel()
	for name, serve := range map[string]func(*testing.T, string) *rig{
		"killed":  func(t *testing.T, dir string) *rig { return childRig(t, dir) },
		"stopped": func(t *testing.T, dir string) *rig { return serveRig(t, dir, hub.Options{}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testJobSurvives(t, serve)
		})
	}
}

func testJobSurvives(t *testing.T, serve func(t *testing.T, dir string) *rig) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	r := serve(t, dir)
	begun, away := r.addDevice("begun"), r.addDevice("away")
	d, err := r.dial("begun", deviceToken("begun", begun), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.listen(t)
	r.call("PUT", "/jobs/v2/j", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"unlockDoor","connectTimeoutInSeconds":60},"queryCondition":"*"}`).want(200)
	if m := d.next(t); !strings.HasPrefix(m.Topic(), "$iothub/methods/POST/unlockDoor/") {
		t.Fatal(m.Topic())
	}
	r.stop() // the device has the method, nobody has its answer

	r = serve(t, dir)
	again := r.connect("begun", begun, nil)
	other := r.connect("away", away, nil)
	a := r.job("j", "completed")
	if a.at("deviceJobStatistics", "succeededCount") != "1" || a.at("deviceJobStatistics", "failedCount") != "1" {
		t.Errorf("%s", a.body)
	}
	rows := r.deviceJobs("j")
	if got := toJSON(t, rows["begun"]["error"]); !strings.Contains(got, "OutcomeUnknown") {
		t.Errorf("begun: %s", got)
	}
	eventually(t, "the device is up", again.isUp)
	if n := len(again.calls()); n != 0 {
		t.Errorf("the device that was at work was called again, %d times", n)
	}
	if n := len(other.calls()); n != 1 {
		t.Errorf("the other device was called %d times", n)
	}
}

// A clean stop leaves what was not begun for the next start.
func TestJobGoesOnAfterStop(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	r.call("PUT", "/jobs/v2/j", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","connectTimeoutInSeconds":60},"queryCondition":"*"}`).want(200)
	r.job("j", "running")
	r.stop()
	r = serveRig(t, r.dir, hub.Options{})
	if a := r.call("GET", "/jobs/v2/j", ""); a.at("status") != `"running"` || a.at("deviceJobStatistics", "pendingCount") != "1" {
		t.Errorf("%s", a.body)
	}
	d := r.connect("d", key, nil)
	if a := r.job("j", "completed"); a.at("deviceJobStatistics", "succeededCount") != "1" {
		t.Errorf("%s", a.body)
	}
	if n := len(d.calls()); n != 1 {
		t.Errorf("%d calls", n)
	}
}

// deviceKey gives the primary key of a device.
func (r *rig) deviceKey(id string) iothub.Key {
	r.t.Helper()
	key, err := iothub.ParseKey(strings.Trim(r.call("GET", "/devices/"+id, "").at("authentication", "symmetricKey", "primaryKey"), `"`))
	if err != nil {
		r.t.Fatal(err)
	}
	return key
}

func TestOneHubPerDirectory(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	if _, err := hub.Open(r.dir, hub.Options{}); err == nil || !strings.Contains(err.Error(), hub.ErrInUse.Error()) {
		t.Errorf("a second hub: %v", err)
	}
	if err := hub.Init(r.dir, []string{"other.example"}); err == nil || !strings.Contains(err.Error(), hub.ErrInUse.Error()) {
		t.Errorf("a new name while it serves: %v", err)
	}
	r.call("GET", "/devices", "").want(200)
}
