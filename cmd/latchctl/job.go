package main

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"latchd/iothub"
	"latchd/iothub/rest"
)

func (p *program) job() *cobra.Command {
	return group("job", "do one thing to many devices",
		p.jobMethod(), p.jobTwin(), p.jobList(), p.jobShow(), p.jobCancel())
}

// newJobID makes an id that nobody used before.
func newJobID() string { return "job-" + strings.ToLower(rand.Text())[:16] }

func checkJob(id string) error {
	if err := iothub.CheckJobID(id); err != nil {
		return usagef("%w", err)
	}
	return nil
}

// jobView is a job with what became of it on its devices.
type jobView struct {
	rest.Job
	Devices []rest.DeviceJob `json:"devices,omitempty"`
}

// printJob shows a job and, where there are any, its devices.
func (p *program) printJob(view jobView) error {
	if p.wantsJSON() {
		return p.printJSON(view)
	}
	if err := p.printTable(jobRows(view.Job)); err != nil || len(view.Devices) == 0 {
		return err
	}
	table := [][]string{{"DEVICE", "STATUS", "ANSWER"}}
	for _, item := range view.Devices {
		table = append(table, []string{item.DeviceID, item.Status, shorten(deviceAnswer(item))})
	}
	fmt.Fprintln(p.stdout)
	return p.printTable(table)
}

func jobRows(job rest.Job) [][]string {
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	add("job", job.JobID)
	add("does", jobAction(job))
	add("status", job.Status)
	add("failure", job.FailureReason)
	add("message", job.StatusMessage)
	add("where", job.QueryCondition)
	add("created", showTimeOf(job.CreatedTime))
	add("start", showTimeOf(job.StartTime))
	add("end", showTimeOf(job.EndTime))
	if s := job.DeviceJobStatistics; s != nil {
		add("devices", fmt.Sprintf("%d: %d succeeded, %d failed, %d running, %d pending",
			s.DeviceCount, s.SucceededCount, s.FailedCount, s.RunningCount, s.PendingCount))
	}
	return rows
}

// jobAction says in short what a job does.
func jobAction(job rest.Job) string {
	switch {
	case job.CloudToDeviceMethod != nil:
		return strings.TrimSpace("method " + job.CloudToDeviceMethod.MethodName + " " +
			shorten(string(job.CloudToDeviceMethod.Payload)))
	case job.UpdateTwin != nil && job.UpdateTwin.Properties != nil && job.UpdateTwin.Properties.Desired != nil:
		return "desired " + shorten(compact(*job.UpdateTwin.Properties.Desired))
	case job.UpdateTwin != nil && job.UpdateTwin.Tags != nil:
		return "tags " + shorten(compact(*job.UpdateTwin.Tags))
	}
	return job.Type
}

// deviceAnswer is what a device, or the hub in its place, said.
func deviceAnswer(item rest.DeviceJob) string {
	if item.Error != nil {
		return strings.TrimPrefix(item.Error.Code+": "+item.Error.Description, ": ")
	}
	answered := methodResult(item)
	if answered == nil {
		return ""
	}
	said := responseText(answered.Payload)
	if said == "" {
		said = string(answered.Payload)
	}
	return strings.TrimSpace(strconv.Itoa(answered.Status) + " " + said)
}

func methodResult(item rest.DeviceJob) *rest.MethodResult {
	if item.Outcome == nil {
		return nil
	}
	return item.Outcome.DeviceMethodResponse
}

// deviceFailed tells whether a job came to nothing on a device. For the hub a
// method is completed when the device answered; for the operator a refusal is
// a failure.
func deviceFailed(item rest.DeviceJob) bool {
	answered := methodResult(item)
	return item.Status == rest.DeviceJobFailed || item.Status == rest.DeviceJobCanceled ||
		answered != nil && answered.Status >= 400
}

// jobFailure is the error for a job that ended other than well.
func jobFailure(view jobView) error {
	if view.Status != rest.JobCompleted {
		text := fmt.Sprintf("job %s is %s", view.JobID, view.Status)
		if view.FailureReason != "" {
			text += ": " + view.FailureReason
		}
		return &deviceError{text}
	}
	failed := 0
	for _, item := range view.Devices {
		if deviceFailed(item) {
			failed++
		}
	}
	if s := view.DeviceJobStatistics; s != nil {
		failed = max(failed, s.FailedCount) // the devices' own list may trail
	}
	if failed > 0 {
		return deviceErrorf("job %s failed on %s", view.JobID, devices(failed))
	}
	return nil
}

// devices counts in words.
func devices(n int) string {
	if n == 1 {
		return "1 device"
	}
	return fmt.Sprintf("%d devices", n)
}
