package soak

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchd/iothub"
	"latchd/test/site"
)

// reporter is a device without an agent: it reports a number and sends it as a
// message, waits until the hub has acknowledged both, and takes the next. It
// counts which methods reach it, and connects again at once.
type reporter struct {
	*load
	id      string
	options *mqtt.ClientOptions
	results chan string // topics of answers to reports

	mu        sync.Mutex // guards the fields below
	client    mqtt.Client
	confirmed int64   // of reports
	sent      int64   //
	telemetry []int64 // that the hub acknowledged
	version   int64   // of the reported section, as the hub acknowledged last
	calls     map[string]int
}

func newReporter(l *load, id string) *reporter {
	l.Helper()
	cs, err := iothub.ParseDeviceConnectionString(strings.TrimSpace(l.Output("latchctl", "device", "connection-string", id)))
	if err != nil {
		l.Fatal(err)
	}
	pem, err := os.ReadFile(l.Path("hub/ca.pem"))
	if err != nil {
		l.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	r := &reporter{load: l, id: id, results: make(chan string, 100), calls: map[string]int{}}
	r.options = mqtt.NewClientOptions().AddBroker("ssl://" + mqttAddress(l.Site)).
		SetTLSConfig(&tls.Config{RootCAs: roots, ServerName: "localhost"}).SetProtocolVersion(4).
		SetClientID(id).SetUsername(cs.HostName + "/" + id + "/?api-version=" + iothub.APIVersion).
		SetPassword(iothub.NewSAS(cs.SharedAccessKey, iothub.DeviceResource(cs.HostName, id), time.Now().Add(time.Hour), "")).
		SetCleanSession(false).SetAutoReconnect(false).SetConnectTimeout(5 * time.Second).SetOrderMatters(false).
		SetDefaultPublishHandler(r.receive)
	return r
}

// receive takes a message from the hub.
func (r *reporter) receive(c mqtt.Client, m mqtt.Message) {
	topic, err := iothub.ParseTopic(m.Topic())
	if err != nil {
		r.Errorf("%s got %s: %v", r.id, m.Topic(), err)
		return
	}
	switch topic.Kind {
	case iothub.TopicMethodRequest:
		var job string
		_ = json.Unmarshal(m.Payload(), &job)
		r.mu.Lock()
		r.calls[job]++
		r.mu.Unlock()
		c.Publish(iothub.Topic{Kind: iothub.TopicMethodResponse, Status: 200, RequestID: topic.RequestID}.String(), 1, false, "{}")
	case iothub.TopicTwinResponse:
		r.results <- m.Topic()
	}
}

func (r *reporter) write(ctx context.Context) {
	for ctx.Err() == nil {
		if !r.connect() || !r.report(ctx) {
			r.mu.Lock()
			if r.client != nil {
				r.client.Disconnect(0)
				r.client = nil
			}
			r.mu.Unlock()
			time.Sleep(20 * time.Millisecond) // the hub is down: not a busy loop
		}
	}
}

// connect makes sure that there is a connection.
func (r *reporter) connect() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		return true
	}
	c := mqtt.NewClient(r.options)
	if !finished(c.Connect()) {
		return false
	}
	r.client = c
	return finished(c.Subscribe(iothub.FilterTwinRes, 1, nil)) && finished(c.Subscribe(iothub.FilterMethods, 1, nil))
}

func finished(t mqtt.Token) bool { return t.WaitTimeout(5*time.Second) && t.Error() == nil }

// report reports the next number and sends it as a message. It is false if the
// connection is no good any more.
func (r *reporter) report(ctx context.Context) bool {
	r.mu.Lock()
	client := r.client
	r.sent++
	n := r.sent
	r.mu.Unlock()
	rid := fmt.Sprint(n)
	topic := iothub.Topic{Kind: iothub.TopicReported, RequestID: rid}.String()
	client.Publish(topic, 1, false, fmt.Sprintf(`{"n":%[1]d,"pair":{"x":%[1]d}}`, n))
	message := client.Publish(iothub.Topic{Kind: iothub.TopicEvents, DeviceID: r.id}.String(), 1, false, fmt.Sprintf(`{"n":%d}`, n))
	if !r.await(ctx, client, rid, n) {
		r.failed.Add(1)
		return false
	}
	r.acknowledged.Add(1)
	if !finished(message) {
		r.failed.Add(1)
		return false
	}
	r.acknowledged.Add(1)
	r.mu.Lock()
	r.telemetry = append(r.telemetry, n)
	r.mu.Unlock()
	return true
}

// await waits for the hub's answer to a report.
func (r *reporter) await(ctx context.Context, client mqtt.Client, rid string, n int64) bool {
	for {
		select {
		case text := <-r.results:
			topic, err := iothub.ParseTopic(text)
			if err != nil || topic.RequestID != rid {
				continue // of an earlier connection
			}
			r.mu.Lock()
			defer r.mu.Unlock()
			if topic.Status != 204 || topic.Version <= r.version {
				r.Errorf("the report of %s is answered %s; the version before was %d", r.id, text, r.version)
			}
			r.confirmed, r.version = n, topic.Version
			return true
		case <-time.After(20 * time.Millisecond):
			if !client.IsConnected() {
				return false
			}
		case <-ctx.Done():
			return false
		}
	}
}

func (r *reporter) check() {
	before := r.twins.last(r.id)
	r.mu.Lock()
	confirmed := r.confirmed
	r.mu.Unlock()
	_, twin := r.get("/twins/" + r.id)
	r.mu.Lock()
	sent := r.sent
	r.mu.Unlock()
	if problem := r.twins.look(r.id, before, twin); problem != "" {
		r.Error(problem)
	}
	n, x := number(site.At(twin, "properties", "reported", "n")), number(site.At(twin, "properties", "reported", "pair", "x"))
	if n != x {
		r.Errorf("a report of %s is half applied: %d and %d", r.id, n, x)
	}
	if n < confirmed || n > sent {
		r.Errorf("%s: %d was acknowledged and %d sent, the twin has %d", r.id, confirmed, sent, n)
	}
}

func (r *reporter) finish() {
	r.check()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.client != nil {
		r.client.Disconnect(100)
	}
}

// comeBack connects for the jobs that are still to come.
func (r *reporter) comeBack() {
	r.Await(r.id+" is connected", func() bool {
		r.mu.Lock()
		if r.client != nil && !r.client.IsConnected() {
			r.client = nil
		}
		r.mu.Unlock()
		return r.connect()
	})
}

// checkCalls: no job calls a device twice.
func (r *reporter) checkCalls() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for job, n := range r.calls {
		if n > 1 {
			r.Errorf("%s called %s %d times", job, r.id, n)
		}
	}
}

func (r *reporter) callsOf(job string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[job]
}

func (r *reporter) messages() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.telemetry
}
