package service_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// What goes over the wire, to the letter: each row is a call and the request
// that it makes. The forms are those of the official SDKs.
func TestRequests(t *testing.T) {
	object := func(text string) *map[string]any {
		doc, err := iothub.DecodeObject([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return &doc
	}
	start := rest.Time{Time: time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)}
	for _, test := range []struct {
		name    string
		call    func(context.Context, *service.Client) error
		answer  reply
		line    string
		ifMatch string
		body    string
	}{
		{
			"create a device with keys",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.CreateDevice(ctx, service.NewDevice{ID: "d1"})
				return err
			},
			reply{body: `{"deviceId":"d1"}`},
			"PUT /devices/d1?api-version=2021-04-12", "",
			`{"deviceId":"d1","status":"enabled","authentication":{"symmetricKey":{},"type":"sas"},"capabilities":{"iotEdge":false}}`,
		},
		{
			"create a disabled device with certificates",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.CreateDevice(ctx, service.NewDevice{ID: "d1", Disabled: true, Thumbprints: []string{"AA", "BB"}})
				return err
			},
			reply{body: `{"deviceId":"d1"}`},
			"PUT /devices/d1?api-version=2021-04-12", "",
			`{"deviceId":"d1","status":"disabled","authentication":{"x509Thumbprint":{"primaryThumbprint":"AA","secondaryThumbprint":"BB"},"type":"selfSigned"},"capabilities":{"iotEdge":false}}`,
		},
		{
			"an id with odd characters",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.Device(ctx, "a%2F?b=c;d,e'f(g)!*$@:.")
				return err
			},
			reply{body: anybody},
			"GET /devices/a%252F%3Fb=c%3Bd%2Ce%27f%28g%29%21%2A$@:.?api-version=2021-04-12", "", "",
		},
		{
			"delete a device, whatever its etag",
			func(ctx context.Context, c *service.Client) error { return c.DeleteDevice(ctx, "d1", "") },
			reply{status: 204},
			"DELETE /devices/d1?api-version=2021-04-12", `"*"`, "",
		},
		{
			"delete a device with an etag",
			func(ctx context.Context, c *service.Client) error { return c.DeleteDevice(ctx, "d1", "NjU4/+A=") },
			reply{status: 204},
			"DELETE /devices/d1?api-version=2021-04-12", `"NjU4/+A="`, "",
		},
		{
			"update a twin",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.UpdateTwin(ctx, "d1", rest.TwinPatch{
					Tags:       object(`{"site":null}`),
					Properties: &rest.PatchProperties{Desired: object(`{"building":43,"big":4503599627370495,"sign":"<&>"}`)},
				}, `"AAAAAAAAAAE="`)
				return err
			},
			reply{body: anybody},
			"PATCH /twins/d1?api-version=2021-04-12", `"AAAAAAAAAAE="`,
			`{"tags":{"site":null},"properties":{"desired":{"big":4503599627370495,"building":43,"sign":"<&>"}}}`,
		},
		{
			"a method whose payload is a JSON string",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.Invoke(ctx, "d1", rest.MethodCall{MethodName: "lockDoor", Payload: json.RawMessage(`"{\"lockTime\":\"10m\"}"`)})
				return err
			},
			reply{body: `{"status":200,"payload":{}}`},
			"POST /twins/d1/methods?api-version=2021-04-12", "",
			`{"methodName":"lockDoor","payload":"{\"lockTime\":\"10m\"}","responseTimeoutInSeconds":30,"connectTimeoutInSeconds":10}`,
		},
		{
			"a method without payload and without waiting for the device",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.Invoke(ctx, "d1", rest.MethodCall{MethodName: "getStatus", ConnectTimeoutInSeconds: new(0), ResponseTimeoutInSeconds: new(5)})
				return err
			},
			reply{body: `{"status":200,"payload":null}`},
			"POST /twins/d1/methods?api-version=2021-04-12", "",
			`{"methodName":"getStatus","responseTimeoutInSeconds":5,"connectTimeoutInSeconds":0}`,
		},
		{
			"a method job",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.CreateJob(ctx, rest.JobRequest{
					JobID: "job-1", CloudToDeviceMethod: &rest.MethodCall{MethodName: "lockDoor", Payload: json.RawMessage(`{"lockTime":"10m"}`)},
					QueryCondition: " deviceId IN ['a','b'] ", StartTime: &start, MaxExecutionTimeInSeconds: 3600,
				})
				return err
			},
			reply{body: `{"jobId":"job-1","type":"scheduleDeviceMethod","status":"queued"}`},
			"PUT /jobs/v2/job-1?api-version=2021-04-12", "",
			`{"jobId":"job-1","type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"lockDoor","payload":{"lockTime":"10m"},` +
				`"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":10},"queryCondition":"deviceId IN ['a','b']",` +
				`"startTime":"2026-11-22T02:30:00.0000000Z","maxExecutionTimeInSeconds":3600}`,
		},
		{
			"a twin job, which must say etag star and starts now",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.CreateJob(ctx, rest.JobRequest{
					JobID: "job-2", QueryCondition: "*",
					UpdateTwin: &rest.JobTwin{Properties: &rest.PatchProperties{Desired: object(`{"building":43,"floor":3}`)}},
				})
				return err
			},
			reply{body: `{"jobId":"job-2","type":"scheduleUpdateTwin","status":"queued"}`},
			"PUT /jobs/v2/job-2?api-version=2021-04-12", "",
			`{"jobId":"job-2","type":"scheduleUpdateTwin","updateTwin":{"etag":"*","properties":{"desired":{"building":43,"floor":3}}},"queryCondition":"*"}`,
		},
		{
			"cancel a job",
			func(ctx context.Context, c *service.Client) error { return c.CancelJob(ctx, "job-1") },
			reply{body: anybody},
			"POST /jobs/v2/job-1/cancel?api-version=2021-04-12", "", "",
		},
		{
			"count devices",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.Count(ctx, "tags.building = 43")
				return err
			},
			reply{body: `[{"n":3}]`},
			"POST /devices/query?api-version=2021-04-12", "",
			`{"query":"SELECT COUNT() AS n FROM devices WHERE tags.building = 43"}`,
		},
		{
			"count all devices",
			func(ctx context.Context, c *service.Client) error {
				_, err := c.Count(ctx, " * ")
				return err
			},
			reply{body: `[{"n":3}]`},
			"POST /devices/query?api-version=2021-04-12", "",
			`{"query":"SELECT COUNT() AS n FROM devices"}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			hub := newHub(t, test.answer)
			if err := test.call(t.Context(), hub.client(t)); err != nil {
				t.Fatal(err)
			}
			got := hub.requests()
			if len(got) != 1 {
				t.Fatalf("%d requests, want 1", len(got))
			}
			if got[0].line != test.line {
				t.Errorf("request\n got %s\nwant %s", got[0].line, test.line)
			}
			if g := got[0].header.Get("If-Match"); g != test.ifMatch {
				t.Errorf("If-Match is %s, want %s", g, test.ifMatch)
			}
			if got[0].body != test.body {
				t.Errorf("body\n got %s\nwant %s", got[0].body, test.body)
			}
			wantType := ""
			if test.body != "" {
				wantType = "application/json; charset=utf-8"
			}
			if g := got[0].header.Get("Content-Type"); g != wantType {
				t.Errorf("Content-Type is %q, want %q", g, wantType)
			}
		})
	}
}

// A token is about the host as the connection string has it, port included,
// and signed by the policy's key.
func TestToken(t *testing.T) {
	hub := newHub(t, reply{body: anybody})
	client := hub.client(t)
	for range 2 {
		if _, err := client.Twin(t.Context(), "d1"); err != nil {
			t.Fatal(err)
		}
	}
	got := hub.requests()
	sas, err := iothub.ParseSAS(got[0].header.Get("Authorization"))
	if err != nil {
		t.Fatal(err)
	}
	key, _ := iothub.ParseKey(policyKey)
	if sas.Resource != hub.host() || sas.Policy != "iothubowner" || !sas.SignedBy(key) {
		t.Errorf("token for %q by %q", sas.Resource, sas.Policy)
	}
	if left := time.Until(sas.Expiry); left < 50*time.Minute || left > time.Hour {
		t.Errorf("token ends in %s", left)
	}
	if got[0].header.Get("Authorization") != got[1].header.Get("Authorization") {
		t.Error("a new token for each call")
	}
}

// What a caller may not send, it hears before anything is sent.
func TestNothingIsSentForBadInput(t *testing.T) {
	hub := newHub(t, reply{body: anybody})
	c, ctx := hub.client(t), t.Context()
	method := func(m rest.MethodCall) error { _, err := c.Invoke(ctx, "d1", m); return err }
	job := func(j rest.JobRequest) error { _, err := c.CreateJob(ctx, j); return err }
	call := &rest.MethodCall{MethodName: "m"}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"slash in id":        {c.DeleteDevice(ctx, "a/b", ""), "device id"},
		"dots as id":         {c.DeleteDevice(ctx, "..", ""), "folders"},
		"three certificates": {second(c.CreateDevice(ctx, service.NewDevice{ID: "d", Thumbprints: make([]string, 3)})), "at most 2"},
		"empty twin id":      {second(c.Twin(ctx, "")), "empty"},
		"method name":        {method(rest.MethodCall{MethodName: "a/b"}), "method name"},
		"payload":            {method(rest.MethodCall{MethodName: "m", Payload: json.RawMessage(`{"a":`)}), "not valid JSON"},
		"large payload": {
			method(rest.MethodCall{MethodName: "m", Payload: json.RawMessage(`"` + strings.Repeat("x", iothub.MaxMethodPayload) + `"`)}), "131072",
		},
		"connect timeout":  {method(rest.MethodCall{MethodName: "m", ConnectTimeoutInSeconds: new(301)}), "0 to 300"},
		"response timeout": {method(rest.MethodCall{MethodName: "m", ResponseTimeoutInSeconds: new(4)}), "5 to 300"},
		"job id":           {job(rest.JobRequest{JobID: "a_b", QueryCondition: "*", CloudToDeviceMethod: call}), "job id"},
		"no condition":     {job(rest.JobRequest{JobID: "a", QueryCondition: " ", CloudToDeviceMethod: call}), "empty"},
		"whole select":     {job(rest.JobRequest{JobID: "a", QueryCondition: "select * from devices", CloudToDeviceMethod: call}), "follows WHERE"},
		"nothing to do":    {job(rest.JobRequest{JobID: "a", QueryCondition: "*"}), "either"},
		"job in a query":   {firstError(c.DeviceJobs(ctx, "a' OR 1=1")), "job id"},
	} {
		if test.err == nil || !strings.Contains(test.err.Error(), test.want) {
			t.Errorf("%s: %v, want an error with %q", name, test.err, test.want)
		}
	}
	if got := hub.requests(); len(got) != 0 {
		t.Errorf("%d requests were sent: %v", len(got), got)
	}
}

func second[T any](_ T, err error) error { return err }

func firstError[T any](rows func(func(T, error) bool)) (first error) {
	rows(func(_ T, err error) bool { first = err; return err == nil })
	return first
}

func TestThumbprints(t *testing.T) {
	sha1 := strings.Repeat("aB:", 19) + "aB"
	if got, err := service.ParseThumbprint(sha1); err != nil || got != strings.Repeat("AB", 20) {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := service.ParseThumbprint(strings.Repeat("0f", 32)); err != nil || got != strings.Repeat("0F", 32) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"", "AB", strings.Repeat("a", 39), strings.Repeat("g", 40), strings.Repeat("é", 20)} {
		if got, err := service.ParseThumbprint(bad); err == nil {
			t.Errorf("%q is taken as %q", bad, got)
		}
	}
}
