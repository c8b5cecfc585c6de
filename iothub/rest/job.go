package rest

import "encoding/json"

// JobRequest is the body of PUT /jobs/v2/{id}.
type JobRequest struct {
	JobID                     string      `json:"jobId"`
	Type                      string      `json:"type"` // JobDeviceMethod or JobUpdateTwin
	CloudToDeviceMethod       *MethodCall `json:"cloudToDeviceMethod,omitempty"`
	UpdateTwin                *JobTwin    `json:"updateTwin,omitempty"`
	QueryCondition            string      `json:"queryCondition"` // the WHERE part only; * is every device
	StartTime                 *Time       `json:"startTime,omitempty"`
	MaxExecutionTimeInSeconds int64       `json:"maxExecutionTimeInSeconds,omitempty"`
}

// JobTwin is the twin patch of a job; its ETag must be "*".
type JobTwin struct {
	ETag       string           `json:"etag,omitempty"`
	Tags       *map[string]any  `json:"tags,omitempty"`
	Properties *PatchProperties `json:"properties,omitempty"`
}

// Types of jobs.
const (
	JobDeviceMethod = "scheduleDeviceMethod"
	JobUpdateTwin   = "scheduleUpdateTwin"
)

// Job is the answer to PUT and GET /jobs/v2/{id}.
type Job struct {
	JobID                     string         `json:"jobId"`
	QueryCondition            string         `json:"queryCondition,omitempty"`
	CreatedTime               *Time          `json:"createdTime,omitempty"`
	StartTime                 *Time          `json:"startTime,omitempty"`
	EndTime                   *Time          `json:"endTime,omitempty"`
	MaxExecutionTimeInSeconds int64          `json:"maxExecutionTimeInSeconds,omitempty"`
	Type                      string         `json:"type"`
	CloudToDeviceMethod       *MethodCall    `json:"cloudToDeviceMethod,omitempty"`
	UpdateTwin                *JobTwin       `json:"updateTwin,omitempty"`
	Status                    string         `json:"status"`
	FailureReason             string         `json:"failureReason,omitempty"`
	StatusMessage             string         `json:"statusMessage,omitempty"`
	DeviceJobStatistics       *JobStatistics `json:"deviceJobStatistics,omitempty"`
}

// Values of Job.Status (two l's in cancelled).
const (
	JobQueued    = "queued"
	JobScheduled = "scheduled"
	JobRunning   = "running"
	JobCompleted = "completed"
	JobFailed    = "failed"
	JobCancelled = "cancelled"
)

// JobStatistics counts the devices of a job.
type JobStatistics struct {
	DeviceCount    int `json:"deviceCount"`
	FailedCount    int `json:"failedCount"`
	SucceededCount int `json:"succeededCount"`
	RunningCount   int `json:"runningCount"`
	PendingCount   int `json:"pendingCount"`
}

// DeviceJob is what became of a job on one device: the rows of
// SELECT * FROM devices.jobs.
type DeviceJob struct {
	DeviceID               string          `json:"deviceId"`
	JobID                  string          `json:"jobId"`
	JobType                string          `json:"jobType"`
	Status                 string          `json:"status"`
	StartTimeUTC           *Time           `json:"startTimeUtc,omitempty"`
	EndTimeUTC             *Time           `json:"endTimeUtc,omitempty"`
	CreatedDateTimeUTC     *Time           `json:"createdDateTimeUtc,omitempty"`
	LastUpdatedDateTimeUTC *Time           `json:"lastUpdatedDateTimeUtc,omitempty"`
	Outcome                *DeviceOutcome  `json:"outcome,omitempty"`
	Error                  *DeviceJobError `json:"error,omitempty"`
}

// Values of DeviceJob.Status (one l in canceled).
const (
	DeviceJobPending   = "pending"
	DeviceJobScheduled = "scheduled"
	DeviceJobRunning   = "running"
	DeviceJobCompleted = "completed"
	DeviceJobFailed    = "failed"
	DeviceJobCanceled  = "canceled"
)

// DeviceOutcome is what the device answered to a method job.
type DeviceOutcome struct {
	DeviceMethodResponse *MethodResult `json:"deviceMethodResponse"`
}

// DeviceJobError is why a job failed on a device; Code is a name.
type DeviceJobError struct {
	Code        string `json:"code"`
	Description string `json:"description"`
}

// Event is one entry of the local hub's event feed (GET /__events), which
// stands in for the Event Hubs endpoint of a real hub.
type Event struct {
	Seq        int64             `json:"seq"`
	Source     string            `json:"source"`
	DeviceID   string            `json:"deviceId"`
	ModuleID   *string           `json:"moduleId"`
	Body       json.RawMessage   `json:"body"` // JSON, or a string: text, or base64 where it is not text
	System     map[string]string `json:"system"`
	Properties map[string]string `json:"properties"`
}

// EventPage answers GET /__events?after=N&wait=S.
type EventPage struct {
	Last   int64   `json:"last"`
	Events []Event `json:"events"`
}

// Values of Event.Source.
const (
	EventTelemetry       = "Telemetry"
	EventTwinChange      = "twinChangeEvents"
	EventConnectionState = "deviceConnectionStateEvents"
	EventLifecycle       = "deviceLifecycleEvents"
)
