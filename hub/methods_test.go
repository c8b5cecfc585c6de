package hub_test

import (
	"context"
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

func TestMethodPayloads(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.online("d", func(_ context.Context, req iothub.MethodRequest) iothub.MethodResponse {
		return iothub.MethodResponse{Status: 200, Payload: req.Payload}
	})
	for _, row := range []struct{ name, body, payload string }{
		{"a string that holds JSON", `{"methodName":"m","payload":"{\"lockTime\":\"10m\"}"}`, `"{\"lockTime\":\"10m\"}"`},
		{
			"an object", `{"methodName":"m","payload":{"lockTime":"10m","n":[1,2.50,null,true,"\u00e9<&>"]},"responseTimeoutInSeconds":10,"connectTimeoutInSeconds":5}`,
			`{"lockTime":"10m","n":[1,2.50,null,true,"\u00e9<&>"]}`,
		},
		{"an empty string", `{"methodName":"m","payload":""}`, `""`},
		{"null", `{"methodName":"m","payload":null}`, `null`},
		{"none", `{"methodName":"m"}`, `null`},
		{"a number", `{"methodName":"m","payload":123456789012345678901234567890}`, `123456789012345678901234567890`},
		{"the old name of the timeout", `{"methodName":"m","payload":[],"timeoutInSeconds":20}`, `[]`},
		{"the largest", `{"methodName":"m","payload":"` + strings.Repeat("x", 131070) + `"}`, `"` + strings.Repeat("x", 131070) + `"`},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.call("POST", "/twins/d/methods", row.body)
			a.t = t
			a.want(200)
			if got := string(a.body); got != `{"status":200,"payload":`+row.payload+`}` {
				t.Errorf("%.200s", got)
			}
			calls := d.calls()
			if got := string(calls[len(calls)-1].Payload); got != row.payload {
				t.Errorf("the device got %.200s", got)
			}
		})
	}
}

func TestMethodStatusIsTheDevices(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.online("d", func(_ context.Context, req iothub.MethodRequest) iothub.MethodResponse {
		return iothub.MethodResponse{Status: 404, Payload: []byte(`{"Response":"Unknown method"}`)}
	})
	a := r.call("POST", "/twins/d/methods", `{"methodName":"m"}`).want(200)
	if string(a.body) != `{"status":404,"payload":{"Response":"Unknown method"}}` {
		t.Errorf("%s", a.body)
	}
}

func TestMethodRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("offline")
	for _, row := range []struct {
		name, path, body string
		code             iothub.Code
	}{
		{"an unknown device", "/twins/nobody/methods", `{"methodName":"m"}`, iothub.DeviceNotFound},
		{"offline", "/twins/offline/methods", `{"methodName":"m","payload":""}`, iothub.DeviceNotOnline},
		{"no name", "/twins/offline/methods", `{"payload":1}`, iothub.ArgumentInvalid},
		{"a bad name", "/twins/offline/methods", `{"methodName":"a/b"}`, iothub.ArgumentInvalid},
		{"response too short", "/twins/offline/methods", `{"methodName":"m","responseTimeoutInSeconds":4}`, iothub.ArgumentInvalid},
		{"response too long", "/twins/offline/methods", `{"methodName":"m","responseTimeoutInSeconds":301}`, iothub.ArgumentInvalid},
		{"connect negative", "/twins/offline/methods", `{"methodName":"m","connectTimeoutInSeconds":-1}`, iothub.ArgumentInvalid},
		{"connect too long", "/twins/offline/methods", `{"methodName":"m","connectTimeoutInSeconds":301}`, iothub.ArgumentInvalid},
		{"a broken number", "/twins/offline/methods", `{"methodName":"m","connectTimeoutInSeconds":1.5}`, iothub.ArgumentInvalid},
		{"not JSON", "/twins/offline/methods", `{"methodName":`, iothub.ArgumentInvalid},
		{"nothing", "/twins/offline/methods", ``, iothub.ArgumentInvalid},
		{"too large", "/twins/offline/methods", `{"methodName":"m","payload":"` + strings.Repeat("x", 131071) + `"}`, iothub.MessageTooLarge},
		{"much too large", "/twins/offline/methods", strings.Repeat("x", 200_000), iothub.MessageTooLarge},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.call("POST", row.path, row.body)
			a.t = t
			a.fails(row.code)
			inString := strings.HasPrefix(string(a.body), `{"Message":"{\"errorCode\":`)
			if want := row.code != iothub.DeviceNotFound; inString != want {
				t.Errorf("the shape of %s", a.body)
			}
		})
	}
	before := time.Now()
	e := r.call("POST", "/twins/offline/methods", `{"methodName":"m","connectTimeoutInSeconds":1,"responseTimeoutInSeconds":5}`).fails(iothub.DeviceNotOnline)
	if waited := time.Since(before); waited < time.Second || e.Info["timeout"] != "00:00:01" {
		t.Errorf("after %s: %v", waited, e.Info)
	}
}

func TestMethodWaitsForTheDevice(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	done := make(chan reply)
	go func() { done <- r.call("POST", "/twins/d/methods", `{"methodName":"m","connectTimeoutInSeconds":20}`) }()
	r.connect("d", key, nil)
	a := <-done
	a.want(200)
}

// A caller who hangs up while the device is away takes the call back: a door
// must not open for somebody who has left.
func TestMethodOfACallerWhoHangsUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	conn, err := tls.Dial("tcp", r.https, &tls.Config{RootCAs: r.roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	req := r.request("POST", "/twins/d/methods?api-version=2021-04-12")
	body := `{"methodName":"unlockDoor","connectTimeoutInSeconds":60}`
	req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	if err := req.Write(conn); err != nil {
		t.Fatal(err)
	}
	// Only the half that the hub reads is closed: the end of the other half
	// tells that the hub has noticed.
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("the hub does not notice that the caller is gone: %v", err)
	}
	d := r.connect("d", key, nil)
	eventually(t, "the device is up", d.isUp)
	r.call("POST", "/twins/d/methods", `{"methodName":"probe","connectTimeoutInSeconds":20}`).want(200)
	if calls := d.calls(); len(calls) != 1 || calls[0].Name != "probe" {
		t.Errorf("the device was called %d times, first with %s; want once, with probe", len(calls), calls[0].Name)
	}
}

func TestMethodWithoutAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	key := r.addDevice("d")
	d, err := r.dial("d", deviceToken("d", key), nil)
	if err != nil {
		t.Fatal(err)
	}
	d.listen(t)
	done := make(chan reply, 1)
	go func() {
		done <- r.call("POST", "/twins/d/methods", `{"methodName":"m","payload":{"a":1},"responseTimeoutInSeconds":5}`)
	}()
	m := d.next(t)
	if !strings.HasPrefix(m.Topic(), "$iothub/methods/POST/m/?$rid=") || string(m.Payload()) != `{"a":1}` || m.Qos() != 0 {
		t.Errorf("%s %s at QoS %d", m.Topic(), m.Payload(), m.Qos())
	}
	a := <-done
	a.fails(iothub.GatewayTimeout)
}
