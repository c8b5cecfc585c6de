package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// waitJob waits until a job has ended, shows it with its devices and gives
// the verdict on it.
func (p *program) waitJob(ctx context.Context, hub *service.Client, id string, limit time.Duration, verdict func(jobView) error) error {
	job, err := p.awaitJob(ctx, hub, id, limit)
	if err != nil {
		return err
	}
	view := jobView{Job: job}
	if view.Devices, err = collect(hub.DeviceJobs(ctx, id)); err != nil {
		fmt.Fprintln(p.stderr, clean(redact("cannot show each device: "+err.Error())))
	}
	if err := p.printJob(view); err != nil {
		return err
	}
	return verdict(view)
}

// awaitJob waits until a job has ended, and shows how far it is.
func (p *program) awaitJob(ctx context.Context, hub *service.Client, id string, limit time.Duration) (rest.Job, error) {
	shown := p.progress()
	last := "not seen yet"
	waiting, stop := context.WithTimeout(ctx, limit)
	defer stop()
	job, err := hub.WaitJob(waiting, id, func(job rest.Job) {
		last = job.Status
		shown.show(jobProgress(job, shown.terminal), "")
	})
	shown.end()
	if err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = &waitError{fmt.Sprintf("job %s has not ended within %s; last seen: %s", id, limit, last)}
		}
		err = withHint(err, "the job goes on at the hub: `latchctl job show %s --devices`, `latchctl job cancel %s`", id, id)
	}
	return job, err
}

// jobProgress is a line with a bar for a terminal, else a sentence.
func jobProgress(job rest.Job, terminal bool) string {
	s := job.DeviceJobStatistics
	if s == nil {
		return fmt.Sprintf("job %s: %s", job.JobID, job.Status)
	}
	done := s.SucceededCount + s.FailedCount
	counts := fmt.Sprintf("%d of %s done", done, devices(s.DeviceCount))
	if s.FailedCount > 0 {
		counts += fmt.Sprintf(", %d failed", s.FailedCount)
	}
	if terminal {
		return fmt.Sprintf("job %s %s %s: %s", job.JobID, bar(done, s.DeviceCount), job.Status, counts)
	}
	return fmt.Sprintf("job %s: %s, %s", job.JobID, job.Status, counts)
}
