package hub

import (
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"latchd/hub/query"
	"latchd/iothub"
	"latchd/iothub/rest"
)

const (
	// defaultJobSeconds is how long a job may run that does not say so. IoT Hub
	// documents no number; the az command line sends this one.
	defaultJobSeconds = 3600
	// defaultJobConnect is how many seconds a method job waits for a device
	// that is not connected, where the job does not say so. It is what the az
	// command line sends; the 0 of a single call would make a job fail on
	// each device that is just renewing its token.
	defaultJobConnect = 30
	// longestJob bounds how long a job runs in fact: some clients ask for 2^63
	// seconds. IoT Hub forgets jobs after as long.
	longestJob = 30 * 24 * time.Hour
)

// jobInput is the body of PUT /jobs/v2/{id}. The work stays as it is written,
// because null and absent differ in a twin patch.
type jobInput struct {
	JobID                     string          `json:"jobId"`
	Type                      string          `json:"type"`
	CloudToDeviceMethod       json.RawMessage `json:"cloudToDeviceMethod"`
	UpdateTwin                json.RawMessage `json:"updateTwin"`
	QueryCondition            string          `json:"queryCondition"`
	StartTime                 *rest.Time      `json:"startTime"`
	MaxExecutionTimeInSeconds int64           `json:"maxExecutionTimeInSeconds"`
}

// newJob checks what a client asks for. The condition is only measured: one
// that cannot be read makes the job fail when it starts, as on the cloud hub.
func newJob(id string, in jobInput, at time.Time) (job, error) {
	bad := func(format string, args ...any) (job, error) {
		return job{}, iothub.Errorf(iothub.ArgumentInvalid, format, args...)
	}
	if err := iothub.CheckJobID(id); err != nil {
		return bad("jobId: %s", err)
	}
	if in.JobID != "" && in.JobID != id {
		return bad("jobId: the body names another job than the path")
	}
	if strings.TrimSpace(in.QueryCondition) == "" {
		return bad("queryCondition: it is missing (* selects all devices)")
	}
	if utf8.RuneCountInString(in.QueryCondition) > query.MaxLength {
		return job{}, iothub.Errorf(iothub.PreconditionFailed, "queryCondition: at most %d characters are allowed", query.MaxLength)
	}
	if in.MaxExecutionTimeInSeconds < 0 {
		return bad("maxExecutionTimeInSeconds: it must not be negative")
	}
	j := job{
		id: id, condition: in.QueryCondition, created: at, start: at,
		seconds: in.MaxExecutionTimeInSeconds, status: rest.JobQueued,
	}
	if j.seconds == 0 {
		j.seconds = defaultJobSeconds
	}
	if in.StartTime != nil && !in.StartTime.IsZero() {
		j.start = in.StartTime.Time
	}
	var err error
	switch {
	case strings.EqualFold(in.Type, rest.JobDeviceMethod):
		j.kind, j.work = rest.JobDeviceMethod, in.CloudToDeviceMethod
		_, err = j.method()
	case strings.EqualFold(in.Type, rest.JobUpdateTwin):
		j.kind, j.work = rest.JobUpdateTwin, in.UpdateTwin
		_, err = j.patch()
	default:
		return bad("type: %q is neither %s nor %s", in.Type, rest.JobDeviceMethod, rest.JobUpdateTwin)
	}
	return j, err
}

// method is the work of a method job.
func (j job) method() (methodCall, error) {
	if absent(j.work) {
		return methodCall{}, iothub.Errorf(iothub.ArgumentInvalid, "cloudToDeviceMethod: it is missing")
	}
	var in rest.MethodCall
	if err := decodeInto(j.work, &in); err != nil {
		return methodCall{}, err
	}
	return readMethodCall(in, defaultJobConnect)
}

// patch is the work of a twin job.
func (j job) patch() (twinPatch, error) {
	if absent(j.work) {
		return twinPatch{}, iothub.Errorf(iothub.ArgumentInvalid, "updateTwin: it is missing")
	}
	doc, err := decodeObject(j.work)
	if err != nil {
		return twinPatch{}, err
	}
	if etag, there := doc["etag"]; there && etag != "*" && etag != nil {
		return twinPatch{}, iothub.Errorf(iothub.ArgumentInvalid, `updateTwin.etag: a job needs "*"`)
	}
	p, err := readTwinPatch(doc, false)
	if err == nil && p.empty() {
		err = iothub.Errorf(iothub.ArgumentInvalid, "updateTwin: it has neither tags nor properties.desired")
	}
	return p, err
}

func absent(text json.RawMessage) bool { return len(text) == 0 || string(text) == "null" }

// deadline is when a job that has started must be over.
func (j job) deadline() time.Time {
	if j.seconds > int64(longestJob/time.Second) {
		return j.started.Add(longestJob)
	}
	return j.started.Add(time.Duration(j.seconds) * time.Second)
}

// jobAnswer is rest.Job with the work exactly as it was asked for.
type jobAnswer struct {
	rest.Job
	CloudToDeviceMethod json.RawMessage `json:"cloudToDeviceMethod,omitempty"`
	UpdateTwin          json.RawMessage `json:"updateTwin,omitempty"`
}

func (j job) wire(n *rest.JobStatistics) jobAnswer {
	a := jobAnswer{Job: rest.Job{
		JobID: j.id, QueryCondition: j.condition,
		CreatedTime: timePointer(j.created), StartTime: timePointer(j.start), EndTime: timePointer(j.ended),
		MaxExecutionTimeInSeconds: j.seconds, Type: j.kind, Status: j.status,
		FailureReason: j.failure, DeviceJobStatistics: n,
	}}
	if j.kind == rest.JobDeviceMethod {
		a.CloudToDeviceMethod = j.work
	} else {
		a.UpdateTwin = j.work
	}
	return a
}
