package loop

import (
	"fmt"
	"testing"
	"time"

	"latchd/test/site"
)

// TestPublicSamples is the operator's side of the public device-management
// samples: a reboot by direct method whose rebootTime shows in the twin, a
// job that calls lockDoor with a string payload, a job that sets two desired
// properties, and a method the device does not know.
func TestPublicSamples(t *testing.T) {
	t.Parallel()
	s := site.New(t, "myDeviceId", "other")
	before := s.Reported("myDeviceId", "rebootTime")

	status, answer := s.Invoke("myDeviceId", "rebootDevice", `{"method_number":"42"}`)
	if status != "200" || answer["Response"] == "" {
		t.Errorf("rebootDevice: %s %v", status, answer)
	}
	s.Await("rebootTime shows in the twin", func() bool {
		now := s.Reported("myDeviceId", "rebootTime")
		return now != nil && now != before
	})

	status, answer = s.Invoke("myDeviceId", "noSuchMethod", `{}`)
	if status != "404" || answer["Response"] != "Unknown method" {
		t.Errorf("noSuchMethod: %s %v", status, answer)
	}

	start := time.Now().UTC().Format("2006-01-02T15:04:05.999999Z")
	s.Object("PUT", "/jobs/v2/lock-1", fmt.Sprintf(`{"jobId":"lock-1","type":"scheduleDeviceMethod",
		"cloudToDeviceMethod":{"methodName":"lockDoor","payload":"{\"lockTime\":\"10m\"}","responseTimeoutInSeconds":30,"connectTimeoutInSeconds":30},
		"queryCondition":"DeviceId in ['myDeviceId']","startTime":"%s","maxExecutionTimeInSeconds":300}`, start))
	if job := s.AwaitJob("lock-1"); job["status"] != "completed" || fmt.Sprint(site.At(job, "deviceJobStatistics", "succeededCount")) != "1" {
		t.Errorf("the lock job ended as %v", job)
	}
	_, rows := s.Request("POST", "/devices/query", `{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'lock-1'"}`)
	list, _ := rows.([]any)
	if len(list) != 1 {
		t.Fatalf("the job has %d rows: %v", len(list), rows)
	}
	outcome := site.At(list[0], "outcome", "deviceMethodResponse")
	if fmt.Sprint(site.At(outcome, "status")) != "200" || site.At(outcome, "payload", "Response") != "lockDoor called successfully" {
		t.Errorf("the job's outcome is %v", outcome)
	}

	s.Object("PUT", "/jobs/v2/twin-1", fmt.Sprintf(`{"jobId":"twin-1","type":"scheduleUpdateTwin",
		"updateTwin":{"etag":"*","properties":{"desired":{"building":43,"floor":3}}},
		"queryCondition":"DeviceId in ['myDeviceId']","startTime":"%s","maxExecutionTimeInSeconds":300}`, start))
	if job := s.AwaitJob("twin-1"); job["status"] != "completed" {
		t.Errorf("the twin job ended as %v", job)
	}
	s.Await("the device acknowledges", func() bool {
		return fmt.Sprint(s.Reported("myDeviceId", "building", "value")) == "43" &&
			fmt.Sprint(s.Reported("myDeviceId", "floor", "ac")) == "200"
	})
	if s.Reported("other", "building") != nil {
		t.Error("the job reached a device that it did not name")
	}
}
