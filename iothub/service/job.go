package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// CreateJob schedules a direct method or a twin patch for all devices that
// the condition selects when the job starts. Timeouts of the method that are
// nil get the defaults of [Client.Invoke]; a twin patch gets the etag "*",
// the only one that a hub takes. An id that was used before is
// [iothub.JobAlreadyExists]: hubs remember finished jobs, Azure IoT Hub for 30 days.
func (c *Client) CreateJob(ctx context.Context, job rest.JobRequest) (rest.Job, error) {
	if err := iothub.CheckJobID(job.JobID); err != nil {
		return rest.Job{}, err
	}
	job, err := completeJob(job)
	if err != nil {
		return rest.Job{}, err
	}
	out, err := exchange[rest.Job](ctx, c, call{
		verb: http.MethodPut, path: jobPath(job.JobID), body: job, repeat: ifThrottled,
	})
	return out, wrap("create job "+job.JobID, complete(err, out.JobID != "", "jobId"))
}

// CheckCondition tells what is wrong with the condition of a job, and gives
// it without white space around it. Whether it can be read only the hub knows.
func CheckCondition(condition string) (string, error) {
	condition = strings.TrimSpace(condition)
	switch first, _, _ := strings.Cut(strings.ToUpper(condition), " "); first {
	case "":
		return "", errors.New("the condition is empty (* selects every device)")
	case "SELECT", "WHERE":
		return "", errors.New("a condition is what follows WHERE, without that word")
	}
	return condition, nil
}

func completeJob(job rest.JobRequest) (_ rest.JobRequest, err error) {
	if job.QueryCondition, err = CheckCondition(job.QueryCondition); err != nil {
		return job, err
	}
	if (job.CloudToDeviceMethod == nil) == (job.UpdateTwin == nil) {
		return job, errors.New("a job either calls a method or updates twins")
	}
	if job.CloudToDeviceMethod != nil {
		method, err := completeMethod(*job.CloudToDeviceMethod)
		if err != nil {
			return job, err
		}
		job.Type, job.CloudToDeviceMethod = rest.JobDeviceMethod, &method
		return job, nil
	}
	twin := *job.UpdateTwin
	twin.ETag = "*"
	job.Type, job.UpdateTwin = rest.JobUpdateTwin, &twin
	return job, nil
}

// Job reads a job.
func (c *Client) Job(ctx context.Context, id string) (rest.Job, error) {
	if err := iothub.CheckJobID(id); err != nil {
		return rest.Job{}, err
	}
	out, err := exchange[rest.Job](ctx, c, call{verb: http.MethodGet, path: jobPath(id), repeat: always})
	return out, wrap("get job "+id, complete(err, out.JobID != "", "jobId"))
}

// CancelJob cancels a job that has not ended. Azure refuses it for one that
// runs already.
func (c *Client) CancelJob(ctx context.Context, id string) error {
	if err := iothub.CheckJobID(id); err != nil {
		return err
	}
	// The body of the answer is not read: hubs differ in what they put there.
	_, err := c.do(ctx, call{verb: http.MethodPost, path: jobPath(id) + "/cancel", repeat: ifThrottled})
	return wrap("cancel job "+id, err)
}

// Jobs lists the jobs that the hub remembers, of one type and one status
// unless these are "".
func (c *Client) Jobs(ctx context.Context, kind, status string) iter.Seq2[rest.Job, error] {
	filter := url.Values{}
	if kind != "" {
		filter.Set("jobType", kind)
	}
	if status != "" {
		filter.Set("jobStatus", status)
	}
	return pages[rest.Job](ctx, c, "list jobs", call{
		verb: http.MethodGet, path: "/jobs/v2/query", query: filter, repeat: always,
	})
}

// DeviceJobs gives what became of a job on each of its devices.
func (c *Client) DeviceJobs(ctx context.Context, id string) iter.Seq2[rest.DeviceJob, error] {
	return func(yield func(rest.DeviceJob, error) bool) {
		if err := iothub.CheckJobID(id); err != nil { // it goes into the query's text
			yield(rest.DeviceJob{}, err)
			return
		}
		for row, err := range c.Query(ctx, "SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '"+id+"'") {
			var item rest.DeviceJob
			if err == nil {
				if err = json.Unmarshal(row, &item); err != nil {
					err = fmt.Errorf("query: a device of job %s: %w", id, err)
				}
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
	}
}

// JobEnded tells whether a job's status is a last one.
func JobEnded(status string) bool {
	return status == rest.JobCompleted || status == rest.JobFailed || status == rest.JobCancelled
}

// WaitJob polls a job until it has ended or ctx ends, and calls seen with
// every state it reads.
func (c *Client) WaitJob(ctx context.Context, id string, seen func(rest.Job)) (rest.Job, error) {
	var job rest.Job
	err := Poll(ctx, func(ctx context.Context) (bool, error) {
		got, err := c.Job(ctx, id)
		if err != nil {
			return false, err
		}
		job = got
		seen(job)
		return JobEnded(job.Status), nil
	})
	return job, err
}

func jobPath(id string) string { return "/jobs/v2/" + url.PathEscape(id) }

// refusedWith is the HTTP status of a hub's refusal, 0 for anything else.
func refusedWith(err error) int {
	if refused, ok := errors.AsType[*iothub.Error](err); ok {
		return refused.Status()
	}
	return 0
}
