package rest

import (
	"encoding/json"
	"testing"
	"time"
)

var at = Time{time.Date(2021, 9, 6, 8, 49, 54, 880_357_700, time.UTC)}

func pointer[T any](v T) *T { return &v }

// TestShapes writes each shape as a real hub prints it, members in its order,
// and reads it again.
func TestShapes(t *testing.T) {
	for _, test := range []struct {
		name  string
		value any
		again any // to read into; nil for shapes that are only written
		want  string
	}{
		{
			"identity",
			Device{
				DeviceID: "dev-1", GenerationID: "638000000000000000", ETag: "NjU4ODE3NDIy", ConnectionState: StateDisconnected, Status: StatusEnabled,
				Authentication: Authentication{SymmetricKey: SymmetricKey{pointer("a2V5"), pointer("a2V6")}, Type: AuthSAS},
			},
			&Device{},
			`{"deviceId":"dev-1","generationId":"638000000000000000","etag":"NjU4ODE3NDIy","connectionState":"Disconnected","status":"enabled","statusReason":null,` +
				`"connectionStateUpdatedTime":"0001-01-01T00:00:00Z","statusUpdatedTime":"0001-01-01T00:00:00Z","lastActivityTime":"0001-01-01T00:00:00Z",` +
				`"cloudToDeviceMessageCount":0,"authentication":{"symmetricKey":{"primaryKey":"a2V5","secondaryKey":"a2V6"},` +
				`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"type":"sas"},"capabilities":{"iotEdge":false}}`,
		},
		{
			"twin",
			Twin{
				DeviceID: "dev-1", ETag: "AAAAAAAAAAQ=", DeviceETag: "NjU4ODE3NDIy", Status: StatusEnabled, ConnectionState: StateConnected,
				LastActivityTime: at, AuthenticationType: AuthSAS, Version: 11, Tags: map[string]any{"site": "lab"},
				Properties: Properties{Desired: map[string]any{"$version": 4.0}, Reported: map[string]any{"$version": 7.0}},
			},
			&Twin{},
			`{"deviceId":"dev-1","etag":"AAAAAAAAAAQ=","deviceEtag":"NjU4ODE3NDIy","status":"enabled","statusUpdateTime":"0001-01-01T00:00:00Z",` +
				`"connectionState":"Connected","lastActivityTime":"2021-09-06T08:49:54.8803577Z","cloudToDeviceMessageCount":0,"authenticationType":"sas",` +
				`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null},"modelId":"","version":11,"tags":{"site":"lab"},` +
				`"properties":{"desired":{"$version":4},"reported":{"$version":7}},"capabilities":{"iotEdge":false}}`,
		},
		{"patch that names nothing", TwinPatch{}, nil, `{}`},
		{
			"patch that empties both",
			TwinPatch{Tags: new(map[string]any), Properties: &PatchProperties{Desired: new(map[string]any)}},
			nil,
			`{"tags":null,"properties":{"desired":null}}`,
		},
		{
			"method job",
			JobRequest{
				JobID: "job-1", Type: JobDeviceMethod, QueryCondition: "*", StartTime: &at, MaxExecutionTimeInSeconds: 3600,
				CloudToDeviceMethod: &MethodCall{MethodName: "lockDoor", Payload: json.RawMessage(`"{\"lockTime\":\"10m\"}"`), ConnectTimeoutInSeconds: pointer(0)},
			},
			&JobRequest{},
			`{"jobId":"job-1","type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"lockDoor","payload":"{\"lockTime\":\"10m\"}","connectTimeoutInSeconds":0},` +
				`"queryCondition":"*","startTime":"2021-09-06T08:49:54.8803577Z","maxExecutionTimeInSeconds":3600}`,
		},
		{
			"job",
			Job{
				JobID: "job-2", QueryCondition: "*", CreatedTime: &at, MaxExecutionTimeInSeconds: 900, Type: JobUpdateTwin,
				UpdateTwin: &JobTwin{ETag: "*", Tags: &map[string]any{"site": "x"}}, Status: JobCancelled,
				DeviceJobStatistics: &JobStatistics{DeviceCount: 6, SucceededCount: 6},
			},
			&Job{},
			`{"jobId":"job-2","queryCondition":"*","createdTime":"2021-09-06T08:49:54.8803577Z","maxExecutionTimeInSeconds":900,"type":"scheduleUpdateTwin",` +
				`"updateTwin":{"etag":"*","tags":{"site":"x"}},"status":"cancelled",` +
				`"deviceJobStatistics":{"deviceCount":6,"failedCount":0,"succeededCount":6,"runningCount":0,"pendingCount":0}}`,
		},
		{
			"device of a job",
			DeviceJob{
				DeviceID: "dev-1", JobID: "job-1", JobType: JobDeviceMethod, Status: DeviceJobCanceled,
				Outcome: &DeviceOutcome{&MethodResult{200, json.RawMessage(`{"ok":true}`)}}, Error: &DeviceJobError{"DeviceNotOnline", "away"},
			},
			&DeviceJob{},
			`{"deviceId":"dev-1","jobId":"job-1","jobType":"scheduleDeviceMethod","status":"canceled",` +
				`"outcome":{"deviceMethodResponse":{"status":200,"payload":{"ok":true}}},"error":{"code":"DeviceNotOnline","description":"away"}}`,
		},
		{
			"bulk item",
			BulkDevice{ID: "d", ETag: "*", ImportMode: "create"},
			&BulkDevice{},
			`{"id":"d","eTag":"*","importMode":"create","authentication":{"symmetricKey":{"primaryKey":null,"secondaryKey":null},` +
				`"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null}}}`,
		},
		{
			"bulk result",
			BulkResult{Errors: []BulkError{{"d", "DeviceAlreadyExists", "x"}}, Warnings: []any{}},
			&BulkResult{},
			`{"isSuccessful":false,"errors":[{"deviceId":"d","errorCode":"DeviceAlreadyExists","errorStatus":"x"}],"warnings":[]}`,
		},
		{"statistics", DeviceStatistics{3, 2, 1}, &DeviceStatistics{}, `{"totalDeviceCount":3,"enabledDeviceCount":2,"disabledDeviceCount":1}`},
		{
			"events",
			EventPage{7, []Event{{Seq: 7, Source: EventTelemetry, DeviceID: "d", Body: json.RawMessage(`"x"`)}}},
			&EventPage{},
			`{"last":7,"events":[{"seq":7,"source":"Telemetry","deviceId":"d","moduleId":null,"body":"x","system":null,"properties":null}]}`,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			text, err := json.Marshal(test.value)
			if err != nil || string(text) != test.want {
				t.Fatalf("error %v\ngot  %s\nwant %s", err, text, test.want)
			}
			if test.again == nil {
				return
			}
			if err := json.Unmarshal(text, test.again); err != nil {
				t.Fatal(err)
			}
			if again, err := json.Marshal(test.again); err != nil || string(again) != test.want {
				t.Errorf("read again, error %v\ngot  %s\nwant %s", err, again, test.want)
			}
		})
	}
}
