package hub_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"latchd/iothub"
)

// job waits until a job is in a status, and gives it.
func (r *rig) job(id, status string) reply {
	r.t.Helper()
	var a reply
	eventually(r.t, "job "+id+" "+status, func() bool {
		a = r.call("GET", "/jobs/v2/"+id, "").want(200)
		return a.at("status") == `"`+status+`"`
	})
	return a
}

// deviceJobs gives the rows of a job: "device status" and what became of it.
func (r *rig) deviceJobs(id string) map[string]map[string]any {
	r.t.Helper()
	rows := map[string]map[string]any{}
	for _, row := range r.call("POST", "/devices/query", `{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '`+id+`'"}`).want(200).list() {
		rows[row["deviceId"].(string)] = row
	}
	return rows
}

func TestMethodJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 3 {
		r.online(fmt.Sprintf("d%d", i), nil)
	}
	r.addDevice("other")
	// As the Python tutorial asks for it.
	a := r.call("PUT", "/jobs/v2/j1", `{"jobId": "j1", "type": "scheduleDeviceMethod", "cloudToDeviceMethod": {"methodName": "lockDoor", "payload": "{\"lockTime\":\"10m\"}"}, "queryCondition": "DeviceId in ['d0','d1','d2']", "startTime": "`+
		time.Now().UTC().Format("2006-01-02T15:04:05.999999Z")+`", "maxExecutionTimeInSeconds": 60}`).want(200)
	if a.at("status") != `"queued"` || a.at("jobId") != `"j1"` || a.at("type") != `"scheduleDeviceMethod"` {
		t.Errorf("%s", a.body)
	}
	a = r.job("j1", "completed")
	if got := a.at("deviceJobStatistics"); got != `{"deviceCount":3,"failedCount":0,"pendingCount":0,"runningCount":0,"succeededCount":3}` {
		t.Error(got)
	}
	if a.at("cloudToDeviceMethod") != `{"methodName":"lockDoor","payload":"{\"lockTime\":\"10m\"}"}` || a.at("endTime") == "" || a.at("createdTime") == "" {
		t.Errorf("%s", a.body)
	}
	for id, row := range r.deviceJobs("j1") {
		outcome := toJSON(t, row["outcome"])
		if row["status"] != "completed" || outcome != `{"deviceMethodResponse":{"payload":{"method":"lockDoor","payload":"{\"lockTime\":\"10m\"}"},"status":200}}` {
			t.Errorf("%s: %s %s", id, row["status"], outcome)
		}
		for _, name := range []string{"startTimeUtc", "endTimeUtc", "createdDateTimeUtc", "lastUpdatedDateTimeUtc"} {
			if row[name] == nil {
				t.Errorf("%s has no %s", id, name)
			}
		}
	}
	r.call("PUT", "/jobs/v2/j1", string(a.body)).fails(iothub.JobAlreadyExists)
	r.call("POST", "/jobs/v2/j1/cancel", "").fails(iothub.JobRunPreconditionFailed)
}

func TestTwinJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	d := r.online("d0", nil)
	r.addDevice("d1")
	r.call("PUT", "/jobs/v2/j", `{"jobId":"j","type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"site":"x"},"properties":{"desired":{"building":43,"floor":3},"reported":{}}},"queryCondition":"*"}`).want(200)
	a := r.job("j", "completed")
	if a.at("deviceJobStatistics", "succeededCount") != "2" {
		t.Errorf("%s", a.body)
	}
	eventually(t, "the device hears", func() bool { return toJSON(t, d.section().Properties) == `{"building":43,"floor":3}` })
	if twin := r.call("GET", "/twins/d1", ""); twin.at("tags") != `{"site":"x"}` || twin.at("properties", "desired", "floor") != "3" {
		t.Errorf("%s", twin.body)
	}
	for id, row := range r.deviceJobs("j") {
		if row["status"] != "completed" || row["outcome"] != nil {
			t.Errorf("%s: %v", id, row)
		}
	}
	// Null clears, in a job too.
	r.call("PUT", "/jobs/v2/j2", `{"type":"scheduleUpdateTwin","updateTwin":{"properties":{"desired":null}},"queryCondition":"deviceId='d1'"}`).want(200)
	if a := r.job("j2", "completed"); a.at("updateTwin") != `{"properties":{"desired":null}}` {
		t.Errorf("%s", a.body)
	}
	if got := r.call("GET", "/twins/d1", "").at("properties", "desired", "floor"); got != "" {
		t.Error(got)
	}
}

func TestJobRefusals(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	method := `"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m"}`
	for _, row := range []struct {
		name, id, body string
		code           iothub.Code
	}{
		{"a bad id", "a_b", `{` + method + `,"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"another id", "a", `{"jobId":"b",` + method + `,"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"no condition", "a", `{` + method + `}`, iothub.ArgumentInvalid},
		{"a long condition", "a", `{` + method + `,"queryCondition":"` + strings.Repeat("x", 8193) + `"}`, iothub.PreconditionFailed},
		{"no type", "a", `{"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"an unknown type", "a", `{"type":"rebootDevice","queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"no method", "a", `{"type":"scheduleDeviceMethod","queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"a bad method", "a", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":""},"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"no twin", "a", `{"type":"scheduleUpdateTwin","updateTwin":null,"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"an etag", "a", `{"type":"scheduleUpdateTwin","updateTwin":{"etag":"AAAAAAAAAAE=","tags":{}},"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"desired at the top", "a", `{"type":"scheduleUpdateTwin","updateTwin":{"etag":"*","desired":{}},"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"a bad patch", "a", `{"type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"a.b":1}},"queryCondition":"*"}`, iothub.ArgumentInvalid},
		{"a bad time", "a", `{` + method + `,"queryCondition":"*","startTime":"soon"}`, iothub.ArgumentInvalid},
		{"negative time", "a", `{` + method + `,"queryCondition":"*","maxExecutionTimeInSeconds":-1}`, iothub.ArgumentInvalid},
	} {
		t.Run(row.name, func(t *testing.T) {
			a := r.call("PUT", "/jobs/v2/"+row.id, row.body)
			a.t = t
			a.fails(row.code)
		})
	}
	r.call("GET", "/jobs/v2/nothing", "").fails(iothub.JobNotFound)
	r.call("POST", "/jobs/v2/nothing/cancel", "").fails(iothub.JobNotFound)
	// A whole query where a condition belongs makes the job fail, not its creation.
	r.call("PUT", "/jobs/v2/bad", `{`+method+`,"queryCondition":"SELECT * FROM devices"}`).want(200)
	if a := r.job("bad", "failed"); !strings.HasPrefix(a.at("failureReason"), `"SQL query parse failed due to following errors: Line 1:29`) {
		t.Errorf("%s", a.body)
	}
	r.call("PUT", "/jobs/v2/none", `{`+method+`,"queryCondition":"deviceId='nobody'","maxExecutionTimeInSeconds":9223372036854775807}`).want(200)
	if a := r.job("none", "completed"); a.at("deviceJobStatistics", "deviceCount") != "0" || a.at("maxExecutionTimeInSeconds") != "9223372036854775807" {
		t.Errorf("%s", a.body)
	}
}

// Jobs that wait or run are bounded; those that are over do not count.
func TestActiveJobsAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	create := func(i int) reply {
		return r.call("PUT", fmt.Sprint("/jobs/v2/j", i), `{"type":"scheduleUpdateTwin","updateTwin":{"tags":{"a":1}},"queryCondition":"*","startTime":"2999-01-01T00:00:00Z"}`)
	}
	for i := range 100 {
		create(i).want(200)
	}
	create(100).fails(iothub.ThrottlingMaxActiveJobCountExceeded)
	r.call("POST", "/jobs/v2/j7/cancel", "").want(200)
	create(100).want(200)
	create(101).fails(iothub.ThrottlingMaxActiveJobCountExceeded)
}

func TestScheduledJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	twinJob := func(id string, start time.Time) reply {
		return r.call("PUT", "/jobs/v2/"+id, fmt.Sprintf(`{"type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"%s":1}},"queryCondition":"deviceId = 'd'","startTime":"%s"}`,
			id, start.UTC().Format("2006-01-02T15:04:05.000Z"))).want(200)
	}
	start := time.Now().Add(700 * time.Millisecond)
	twinJob("soon", start)
	if a := twinJob("later", time.Now().Add(time.Hour)); a.at("status") != `"queued"` {
		t.Errorf("%s", a.body)
	}
	if a := r.call("POST", "/jobs/v2/later/cancel", "").want(200); a.at("status") != `"cancelled"` {
		t.Errorf("%s", a.body)
	}
	r.call("POST", "/jobs/v2/later/cancel", "").want(200) // again is no mistake
	r.job("soon", "completed")
	if time.Now().Before(start.Truncate(time.Millisecond)) {
		t.Error("the job has run too early")
	}
	r.job("later", "cancelled")
	if got := r.call("GET", "/twins/d", "").at("tags"); got != `{"soon":1}` {
		t.Error(got)
	}
}

func TestJobWaitsForDevices(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	late := r.addDevice("late")
	r.addDevice("never")
	r.call("PUT", "/jobs/v2/j", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","connectTimeoutInSeconds":3},"queryCondition":"*"}`).want(200)
	a := r.job("j", "running")
	if got := a.at("deviceJobStatistics", "pendingCount"); got != "2" {
		t.Errorf("%s", a.body)
	}
	d := r.connect("late", late, nil)
	a = r.job("j", "completed")
	if a.at("deviceJobStatistics", "succeededCount") != "1" || a.at("deviceJobStatistics", "failedCount") != "1" {
		t.Errorf("%s", a.body)
	}
	if n := len(d.calls()); n != 1 {
		t.Errorf("the device was called %d times", n)
	}
	if got := toJSON(t, r.deviceJobs("j")["never"]["error"]); got != `{"code":"DeviceNotOnline","description":"Timed out waiting for device to connect."}` {
		t.Error(got)
	}
}

func TestJobTimeIsUp(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("never")
	r.call("PUT", "/jobs/v2/j", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","connectTimeoutInSeconds":300},"queryCondition":"*","maxExecutionTimeInSeconds":1}`).want(200)
	r.job("j", "completed")
	if got := toJSON(t, r.deviceJobs("j")["never"]["error"]); !strings.Contains(got, "JobTimeout") {
		t.Error(got)
	}
}

// A cancelled job begins nothing more, but hears out what it began.
func TestCancelRunningJob(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	release := make(chan struct{})
	d := r.online("there", func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
		<-release
		return iothub.MethodResponse{Status: 200, Payload: []byte(`1`)}
	})
	away := r.addDevice("away")
	r.call("PUT", "/jobs/v2/j", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","connectTimeoutInSeconds":60},"queryCondition":"*"}`).want(200)
	eventually(t, "the device is called", func() bool { return len(d.calls()) == 1 })
	a := r.call("POST", "/jobs/v2/j/cancel", "").want(200)
	if a.at("status") != `"cancelled"` || a.at("deviceJobStatistics", "runningCount") != "1" {
		t.Errorf("%s", a.body)
	}
	late := r.connect("away", away, nil)
	eventually(t, "the other device is up", late.isUp)
	close(release)
	eventually(t, "the outcome is noted", func() bool { return r.deviceJobs("j")["there"]["status"] == "completed" })
	if got := r.deviceJobs("j")["away"]["status"]; got != "canceled" {
		t.Errorf("the device that was away is %s", got)
	}
	if len(late.calls()) != 0 {
		t.Error("a cancelled job has called a device")
	}
	r.job("j", "cancelled")
}

func TestJobCallsFewDevicesAtOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	var now, most atomic.Int32
	for i := range 14 {
		r.online(fmt.Sprintf("d%02d", i), func(context.Context, iothub.MethodRequest) iothub.MethodResponse {
			n := now.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(50 * time.Millisecond) // the device at work
			now.Add(-1)
			return iothub.MethodResponse{Status: 200, Payload: []byte("null")}
		})
	}
	r.call("PUT", "/jobs/v2/j", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m"},"queryCondition":"*"}`).want(200)
	if a := r.job("j", "completed"); a.at("deviceJobStatistics", "succeededCount") != "14" {
		t.Errorf("%s", a.body)
	}
	if n := most.Load(); n > 10 {
		t.Errorf("%d devices at once", n)
	}
}

func TestListJobs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.addDevice("d")
	for i := range 5 {
		r.call("PUT", fmt.Sprintf("/jobs/v2/t%d", i), `{"type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"a":1}},"queryCondition":"*"}`).want(200)
		r.job(fmt.Sprintf("t%d", i), "completed")
	}
	r.call("PUT", "/jobs/v2/m", `{"type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m"},"queryCondition":"deviceId='none'"}`).want(200)
	r.job("m", "completed")
	ids := func(path string, headers ...string) (string, string) {
		a := r.call("GET", path, "", headers...).want(200)
		if got := a.header.Get("x-ms-item-type"); got != "JobResponse" {
			t.Errorf("x-ms-item-type %q", got)
		}
		var all []string
		for _, j := range a.list() {
			all = append(all, j["jobId"].(string))
		}
		_, there := a.header["X-Ms-Continuation"]
		if there != (a.header.Get("x-ms-continuation") != "") {
			t.Error("an empty continuation")
		}
		return strings.Join(all, " "), a.header.Get("x-ms-continuation")
	}
	for path, want := range map[string]string{
		"/jobs/v2/query": "t0 t1 t2 t3 t4 m",
		"/jobs/v2/query?jobType=scheduleDeviceMethod":                   "m",
		"/jobs/v2/query?jobType=ScheduleUpdateTwin&jobStatus=Completed": "t0 t1 t2 t3 t4",
		"/jobs/v2/query?jobStatus=failed":                               "",
	} {
		if got, _ := ids(path); got != want {
			t.Errorf("%s gives %q, want %q", path, got, want)
		}
	}
	var pages []string
	for token := "start"; token != ""; {
		header := "x-ms-continuation: " + token
		if token == "start" {
			header = "X-Nothing: 1"
		}
		var page string
		page, token = ids("/jobs/v2/query", "x-ms-max-item-count: 2", header)
		pages = append(pages, page)
	}
	if got := strings.Join(pages, ", "); got != "t0 t1, t2 t3, t4 m" {
		t.Error(got)
	}
	if got := string(r.call("GET", "/jobs", "").want(200).body); got != "[]" {
		t.Error(got)
	}
}
