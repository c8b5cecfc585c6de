package hub_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchd/iothub"
	"latchd/iothub/device"
)

// testDevice is the project's own device client, connected to a rig. It
// answers each method with status 200 and {"method":…,"payload":…}, unless it
// has an answer of its own.
type testDevice struct {
	*device.Client
	stop func()

	mu      sync.Mutex
	methods []iothub.MethodRequest
	desired iothub.Section
	up      bool
	downs   int // how often the connection was lost
}

type answerFunc func(ctx context.Context, req iothub.MethodRequest) iothub.MethodResponse

func (r *rig) connect(id string, key iothub.Key, answer answerFunc) *testDevice {
	r.t.Helper()
	return r.connectWith(device.Config{
		Connection: iothub.ConnectionString{HostName: "localhost:" + port(r.mqtt), DeviceID: id, SharedAccessKey: key},
	}, answer)
}

func (r *rig) connectWith(c device.Config, answer answerFunc) *testDevice {
	r.t.Helper()
	d := &testDevice{}
	c.RootCAs = r.roots
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.Handler = device.Handler{
		Method: func(ctx context.Context, req iothub.MethodRequest, respond func(iothub.MethodResponse)) {
			d.mu.Lock()
			d.methods = append(d.methods, req)
			d.mu.Unlock()
			if answer != nil {
				go func() { respond(answer(ctx, req)) }()
				return
			}
			body, _ := json.Marshal(map[string]any{"method": req.Name, "payload": json.RawMessage(req.Payload)})
			respond(iothub.MethodResponse{Status: 200, Payload: body})
		},
		Desired: func(s iothub.Section) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.desired = s
		},
		Connection: func(up bool, _ error) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.up = up
			if !up {
				d.downs++
			}
		},
	}
	var err error
	if d.Client, err = device.New(c); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Run(ctx)
	}()
	d.stop = func() {
		cancel()
		within(r.t, "the device client stops", done)
	}
	r.t.Cleanup(d.stop)
	return d
}

func port(address string) string {
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		panic(err)
	}
	return p
}

// isUp tells whether the device is connected and has read its twin.
func (d *testDevice) isUp() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.up
}

func (d *testDevice) calls() []iothub.MethodRequest {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]iothub.MethodRequest(nil), d.methods...)
}

func (d *testDevice) section() iothub.Section {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.desired
}

// online connects a device and waits until it is up.
func (r *rig) online(id string, answer answerFunc) *testDevice {
	r.t.Helper()
	d := r.connect(id, r.addDevice(id), answer)
	eventually(r.t, id+" is up", d.isUp)
	return d
}

// rawDevice is a bare MQTT client, for what the device client would not do or
// not show: it keeps each message as it came.
type rawDevice struct {
	mqtt.Client
	messages chan mqtt.Message
}

func (r *rig) dial(id, password string, certificate *tls.Certificate) (*rawDevice, error) {
	r.t.Helper()
	return r.dialAs(id, password, certificate, true)
}

// dialPersistent dials with CleanSession=0.
func (r *rig) dialPersistent(id, password string) (*rawDevice, error) {
	r.t.Helper()
	return r.dialAs(id, password, nil, false)
}

func (r *rig) dialAs(id, password string, certificate *tls.Certificate, clean bool) (*rawDevice, error) {
	r.t.Helper()
	d := &rawDevice{messages: make(chan mqtt.Message, 100)}
	config := &tls.Config{RootCAs: r.roots, ServerName: "localhost"}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	o := mqtt.NewClientOptions().AddBroker("ssl://" + r.mqtt).SetClientID(id).SetProtocolVersion(4).SetCleanSession(clean).
		SetUsername("localhost/" + id + "/?api-version=2021-04-12").SetTLSConfig(config).
		SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetOrderMatters(true).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { d.messages <- m })
	if password != "" {
		o.SetPassword(password)
	}
	d.Client = mqtt.NewClient(o)
	token := d.Connect()
	if !token.WaitTimeout(patience) {
		r.t.Fatalf("%s: CONNECT was not answered", id)
	}
	r.t.Cleanup(func() { d.Disconnect(0) })
	return d, token.Error()
}

func deviceToken(id string, key iothub.Key) string {
	return iothub.NewSAS(key, iothub.DeviceResource("localhost", id), time.Now().Add(time.Hour), "")
}

// listen subscribes to everything a device can hear.
func (d *rawDevice) listen(t *testing.T) {
	t.Helper()
	for _, filter := range []string{iothub.FilterMethods, iothub.FilterTwinRes, iothub.FilterDesired} {
		d.must(t, d.Subscribe(filter, 0, nil))
	}
}

// must waits for what a client has asked for. A token that has no end (there
// are such in paho) is a failure too.
func (d *rawDevice) must(t *testing.T, token mqtt.Token) {
	t.Helper()
	if !token.WaitTimeout(patience) {
		t.Fatal("the hub has not acknowledged it")
	}
	if err := token.Error(); err != nil {
		t.Fatal(err)
	}
}

// send publishes and waits for the PUBACK where there is one.
func (d *rawDevice) send(t *testing.T, topic string, qos byte, payload string) {
	t.Helper()
	d.must(t, d.Publish(topic, qos, false, payload))
}

// next gives the next message.
func (d *rawDevice) next(t *testing.T) mqtt.Message {
	t.Helper()
	select {
	case m := <-d.messages:
		return m
	case <-time.After(patience):
		t.Fatal("no message came")
		return nil
	}
}
