package service_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// Numbers of a twin keep their digits, and both sections their versions.
func TestTwinKeepsDigits(t *testing.T) {
	hub := newHub(t, reply{body: `{"deviceId":"d1","etag":"AAAAAAAAAAQ=","lastActivityTime":"0001-01-01T00:00:00",
		"properties":{"desired":{"n":4503599627370495,"f":1.10,"$version":4},"reported":{"$version":7}},"unknown":{"x":1}}`})
	twin, err := hub.client(t).Twin(t.Context(), "d1")
	if err != nil {
		t.Fatal(err)
	}
	desired := twin.Properties.Desired
	if desired["n"] != json.Number("4503599627370495") || desired["f"] != json.Number("1.10") || desired["$version"] != json.Number("4") {
		t.Errorf("desired is %v", desired)
	}
}

// A device's refusal is an answer: HTTP 200, its own status.
func TestDeviceRefusalIsAnAnswer(t *testing.T) {
	hub := newHub(t, reply{body: `{"status":423,"payload":{"Response":"locked down"}}`})
	got, err := hub.client(t).Invoke(t.Context(), "d1", rest.MethodCall{MethodName: "unlockDoor"})
	if err != nil || got.Status != 423 || string(got.Payload) != `{"Response":"locked down"}` {
		t.Errorf("%+v, %v", got, err)
	}
}

// Both shapes of error bodies, the header alone, and none of them.
func TestErrors(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer reply
		code   iothub.Code
		status int
		text   string
	}{
		{"registry shape", hubError(iothub.DeviceNotFound, "d1"), iothub.DeviceNotFound, 404, "DeviceNotFound: d1"},
		{"method shape", methodError(iothub.DeviceNotOnline, "Timed out waiting for device to connect."), iothub.DeviceNotOnline, 404, "Timed out waiting"},
		{"header alone", reply{status: 403, header: map[string]string{iothub.ErrorHeader: "IotHubQuotaExceeded"}}, iothub.IotHubQuotaExceeded, 403, "IotHubQuotaExceeded"},
		{"a proxy's page", reply{status: 502, header: map[string]string{"Content-Type": "text/html"}, body: "<html>"}, 0, 502, "502 Bad Gateway"},
		{"a redirect is not followed", reply{status: 307, header: map[string]string{"Location": "https://example.net/"}}, 0, 307, "307"},
	} {
		t.Run(test.name, func(t *testing.T) {
			hub := newHub(t, test.answer)
			_, err := hub.client(t).Invoke(t.Context(), "d1", rest.MethodCall{MethodName: "m"})
			refused, ok := errors.AsType[*iothub.Error](err)
			if !ok || refused.Code != test.code || refused.Status() != test.status || !strings.Contains(err.Error(), test.text) {
				t.Errorf("%v", err)
			}
			if !strings.HasPrefix(err.Error(), "invoke m on d1: ") {
				t.Errorf("%v does not say what was tried", err)
			}
			if n := len(hub.requests()); n != 1 {
				t.Errorf("a method was sent %d times", n)
			}
		})
	}
}

// An answer that is no hub's is an error that says so.
func TestStrangeAnswers(t *testing.T) {
	for body, want := range map[string]string{"<html>": "text/html, not JSON", "": "text/html"} {
		hub := newHub(t, reply{header: map[string]string{"Content-Type": "text/html; charset=utf-8"}, body: body})
		if _, err := hub.client(t).Twin(t.Context(), "d1"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", body, err)
		}
	}
	hub := newHub(t, reply{body: `{"jobId":1}`})
	if _, err := hub.client(t).Job(t.Context(), "j"); err == nil || !strings.Contains(err.Error(), "not what an IoT Hub sends") {
		t.Error(err)
	}
	flood := newClient(t, "hub.example.net", service.Options{Transport: endless{}})
	if _, err := flood.Twin(t.Context(), "d1"); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Error(err)
	}
}

// JSON of somebody else is not taken for success.
func TestIncompleteAnswers(t *testing.T) {
	method := rest.MethodCall{MethodName: "lockDoor"}
	work := rest.JobRequest{JobID: "j", QueryCondition: "*", CloudToDeviceMethod: &method}
	for _, body := range []string{"null", "{}", `{"error":"please log in"}`} {
		hub := newHub(t, reply{body: body}).client(t)
		_, device := hub.Device(t.Context(), "d1")
		_, created := hub.CreateDevice(t.Context(), service.NewDevice{ID: "d1"})
		_, twin := hub.Twin(t.Context(), "d1")
		_, updated := hub.UpdateTwin(t.Context(), "d1", rest.TwinPatch{}, "")
		_, job := hub.Job(t.Context(), "j")
		_, scheduled := hub.CreateJob(t.Context(), work)
		_, invoked := hub.Invoke(t.Context(), "d1", method)
		for i, err := range []error{device, created, twin, updated, job, scheduled, invoked} {
			if err == nil || !strings.Contains(err.Error(), "not what an IoT Hub sends: it has no ") {
				t.Errorf("%s, call %d: error %v", body, i, err)
			}
		}
	}
	hub := newHub(t, reply{body: `{"status":0}`}).client(t)
	if got, err := hub.Invoke(t.Context(), "d1", method); err != nil || got.Status != 0 || got.Payload != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// endless is a hub whose answer does not stop.
type endless struct{}

func (endless) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(endless{})}, nil
}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Pages are read until there is no continuation, which is sent back byte for
// byte; an empty page in the middle does not end the result.
func TestPaging(t *testing.T) {
	page := func(body, next string) reply {
		r := reply{body: body, header: map[string]string{rest.HeaderItemType: rest.ItemRaw}}
		if next != "" {
			r.header[rest.HeaderContinuation] = next
		}
		return r
	}
	hub := newHub(t, page(`[{"a":1},{"a":2}]`, "Mg=="), page(`[]`, "Mw=="), page(`[{"a":3}]`, ""))
	var rows []string
	for row, err := range hub.client(t).Query(t.Context(), "SELECT a FROM devices") {
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, string(row))
	}
	if got := strings.Join(rows, " "); got != `{"a":1} {"a":2} {"a":3}` {
		t.Error(got)
	}
	var sent []string
	for _, r := range hub.requests() {
		sent = append(sent, fmt.Sprintf("%s/%s", r.header.Get(rest.HeaderMaxItemCount), r.header.Get(rest.HeaderContinuation)))
	}
	if got := strings.Join(sent, " "); got != "100/ 100/Mg== 100/Mw==" {
		t.Errorf("pages asked for: %s", got)
	}
}

// A caller that has enough stops the paging.
func TestPagingStopsEarly(t *testing.T) {
	hub := newHub(t, reply{body: `[1,2]`, header: map[string]string{rest.HeaderContinuation: "next"}})
	for range hub.client(t).Query(t.Context(), "q") {
		break
	}
	if n := len(hub.requests()); n != 1 {
		t.Errorf("%d pages were read", n)
	}
}

func TestEndlessPaging(t *testing.T) {
	hub := newHub(t, reply{body: `[]`, header: map[string]string{rest.HeaderContinuation: "same"}})
	if err := firstError(hub.client(t).Query(t.Context(), "q")); err == nil || !strings.Contains(err.Error(), "without end") {
		t.Error(err)
	}
}

func TestCount(t *testing.T) {
	for body, want := range map[string]int{`[{"n":123}]`: 123, `[]`: 0} {
		if got, err := newHub(t, reply{body: body}).client(t).Count(t.Context(), "*"); err != nil || got != want {
			t.Errorf("%s: %d, %v", body, got, err)
		}
	}
	if _, err := newHub(t, reply{body: `[{"m":1}]`}).client(t).Count(t.Context(), "*"); err == nil {
		t.Error("a count without n")
	}
}

func TestJobLists(t *testing.T) {
	hub := newHub(t, reply{body: `[{"jobId":"a","type":"scheduleUpdateTwin","status":"completed"}]`})
	for job, err := range hub.client(t).Jobs(t.Context(), rest.JobUpdateTwin, rest.JobCompleted) {
		if err != nil || job.JobID != "a" {
			t.Errorf("%+v, %v", job, err)
		}
	}
	if got := hub.requests()[0].line; got != "GET /jobs/v2/query?api-version=2021-04-12&jobStatus=completed&jobType=scheduleUpdateTwin" {
		t.Error(got)
	}

	hub = newHub(t, reply{body: `[{"deviceId":"d1","jobId":"a","status":"completed","outcome":{"deviceMethodResponse":{"status":200,"payload":{"ok":true}}}},
		{"deviceId":"d2","jobId":"a","status":"failed","error":{"code":"DeviceNotOnline","description":"Timed out"},"outcome":{"deviceMethodResponse":null}}]`})
	var items []rest.DeviceJob
	for item, err := range hub.client(t).DeviceJobs(t.Context(), "a") {
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, item)
	}
	if len(items) != 2 || items[0].Outcome.DeviceMethodResponse.Status != 200 || items[1].Error.Code != "DeviceNotOnline" {
		t.Errorf("%+v", items)
	}
	if got := hub.requests()[0].body; got != `{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'a'"}` {
		t.Error(got)
	}
}

// Only a local hub knows where its devices connect; that another one does not
// is no error.
func TestEndpoints(t *testing.T) {
	got, err := newHub(t, reply{body: `{"mqtt":"localhost:18883"}`}).client(t).Endpoints(t.Context())
	if err != nil || got.MQTT != "localhost:18883" {
		t.Errorf("%+v, %v", got, err)
	}
	for _, status := range []int{http.StatusNotFound, http.StatusBadRequest, http.StatusUnauthorized} {
		got, err := newHub(t, reply{status: status}).client(t).Endpoints(t.Context())
		if err != nil || got.MQTT != "" {
			t.Errorf("%d: %+v, %v", status, got, err)
		}
	}
}
