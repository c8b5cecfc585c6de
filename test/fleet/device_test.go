package fleet

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"latchd/agent"
	"latchd/iothub"
	"latchd/iothub/device"
	"latchd/test/site"
)

// member is one device of the fleet.
type member struct {
	id      string
	site    string         // its tag
	desired map[string]any // what its twin holds from before
	local   agent.Local
	away    bool // registered, and never connected

	key string
}

// fleet is a hub and its devices.
type fleet struct {
	*site.Site
	members []member
}

// newFleet registers the devices and connects those that are not away.
func newFleet(t *testing.T, members []member) *fleet {
	f := &fleet{Site: site.New(t), members: members}
	for begin := 0; begin < len(members); begin += bulk {
		f.register(members[begin:min(begin+bulk, len(members))])
	}
	endpoints := f.Object("GET", "/__endpoints", "")
	mqtt, _ := endpoints["mqtt"].(string)
	pem, err := os.ReadFile(f.Path("hub/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		running.Wait()
	})
	// A hundred at a time, so that a busy machine needs longer and not too long.
	connected := 0
	for i, m := range members {
		if !m.away {
			f.start(ctx, &running, m, mqtt, roots)
			connected++
		}
		if (i+1)%bulk == 0 || i+1 == len(members) {
			f.Await(fmt.Sprintf("%d devices are connected", connected), func() bool {
				return f.count("connectionState = 'Connected' AND IS_DEFINED(properties.reported.agent)") == connected
			})
		}
	}
	return f
}

// bulk is how many identities a hub takes at once.
const bulk = 100

func (f *fleet) register(members []member) {
	f.Helper()
	items := make([]map[string]any, len(members))
	for i := range members {
		m := &members[i]
		secret := make([]byte, 32)
		_, _ = rand.Read(secret) // it never fails
		m.key = base64.StdEncoding.EncodeToString(secret)
		items[i] = map[string]any{
			"id": m.id, "importMode": "create",
			"authentication": map[string]any{"type": "sas", "symmetricKey": map[string]any{"primaryKey": m.key, "secondaryKey": m.key}},
			"tags":           map[string]any{"site": m.site},
		}
		if m.desired != nil {
			items[i]["properties"] = map[string]any{"desired": m.desired}
		}
	}
	body, err := json.Marshal(items)
	if err != nil {
		f.Fatal(err)
	}
	if status, answer := f.Request("POST", "/devices", string(body)); status != 200 {
		f.Fatalf("register devices: %d %v", status, answer)
	}
}

// start runs a device until ctx ends.
func (f *fleet) start(ctx context.Context, running *sync.WaitGroup, m member, mqtt string, roots *x509.CertPool) {
	f.Helper()
	connection, err := iothub.ParseDeviceConnectionString(fmt.Sprintf("HostName=%s;DeviceId=%s;SharedAccessKey=%s", mqtt, m.id, m.key))
	if err != nil {
		f.Fatal(err)
	}
	state := f.Path(m.id + ".state")
	if err := os.Mkdir(state, 0o700); err != nil {
		f.Fatal(err)
	}
	a := agent.New(agent.Config{
		Machine: &machine{booted: time.Now()}, Clock: goodClock{}, Boot: agent.Boot{ID: "boot-of-" + m.id}, StateDir: state,
		Device: m.id, Local: m.local, Version: "1.2.0", Simulated: true, Log: slog.New(slog.DiscardHandler),
	})
	client, err := device.New(device.Config{
		Connection: connection, RootCAs: roots,
		Handler: device.Handler{Method: a.Serve, Desired: a.Desired, Reported: a.Reported},
	})
	if err != nil {
		f.Fatal(err)
	}
	a.Connect(client)
	running.Go(func() { _ = a.Run(ctx) })
	running.Go(func() { _ = client.Run(ctx) })
}

// count asks the hub how many devices a condition selects.
func (f *fleet) count(condition string) int {
	f.Helper()
	text, err := json.Marshal(map[string]string{"query": "SELECT COUNT() AS n FROM devices WHERE " + condition})
	if err != nil {
		f.Fatal(err)
	}
	status, rows := f.Request("POST", "/devices/query", string(text))
	list, _ := rows.([]any)
	if status != 200 || len(list) != 1 {
		f.Fatalf("%s: %d %v", text, status, rows)
	}
	n, err := strconv.Atoi(fmt.Sprint(site.At(list[0], "n")))
	if err != nil {
		f.Fatalf("%s: %v", text, rows)
	}
	return n
}

// machine has booted, and is never asked for more.
type machine struct{ booted time.Time }

func (*machine) CanReboot(context.Context) error { return nil }
func (*machine) Reboot(context.Context) error    { return nil }
func (*machine) Stopping(context.Context) bool   { return false }
func (m *machine) Uptime() time.Duration         { return time.Since(m.booted) }

type goodClock struct{}

func (goodClock) Now() time.Time             { return time.Now() }
func (goodClock) State() (string, time.Time) { return "synchronized", time.Time{} }
