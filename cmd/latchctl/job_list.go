package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

// jobTypes are the words of --type.
var jobTypes = map[string]string{"": "", "method": rest.JobDeviceMethod, "twin": rest.JobUpdateTwin}

var jobStatuses = []string{rest.JobQueued, rest.JobScheduled, rest.JobRunning, rest.JobCompleted, rest.JobFailed, rest.JobCancelled}

func (p *program) jobList() *cobra.Command {
	var kind, status string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the jobs that the hub remembers (Azure IoT Hub: of 30 days, latchhub: the last 1,000)",
		Args:  arguments(),
	}
	cmd.Flags().StringVar(&kind, "type", "", "only those: method or twin")
	cmd.Flags().StringVar(&status, "status", "", "only those: "+strings.Join(jobStatuses, ", "))
	cmd.RunE = p.run(func(ctx context.Context, _ []string) error {
		hubType, ok := jobTypes[kind]
		if !ok {
			return usagef("--type is %q; it can be method or twin", kind)
		}
		if status != "" && !slices.Contains(jobStatuses, status) {
			return usagef("--status is %q; it can be %s", status, strings.Join(jobStatuses, ", "))
		}
		hub, err := p.connect()
		if err != nil {
			return err
		}
		defer hub.Close()
		jobs, err := collect(hub.Jobs(ctx, hubType, status))
		if err != nil {
			return err
		}
		return p.printJobs(jobs)
	})
	return cmd
}

func (p *program) printJobs(jobs []rest.Job) error {
	if p.wantsJSON() {
		return p.printJSON(append([]rest.Job{}, jobs...)) // none is [], not null
	}
	table := [][]string{{"JOB", "STATUS", "START", "DONE", "FAILED", "DOES"}}
	for _, job := range jobs {
		done, failed := "", ""
		if s := job.DeviceJobStatistics; s != nil {
			done = fmt.Sprintf("%d/%d", s.SucceededCount+s.FailedCount, s.DeviceCount)
			failed = fmt.Sprint(s.FailedCount)
		}
		table = append(table, []string{job.JobID, job.Status, showTimeOf(job.StartTime), done, failed, jobAction(job)})
	}
	return p.printTable(table)
}
