package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) jobCancel() *cobra.Command {
	var wait waitFlags
	cmd := &cobra.Command{
		Use:   "cancel JOB",
		Short: "cancel a job that has not ended",
		Long: "Cancel asks the hub to cancel a job. Devices that were already reached are not\n" +
			"undone, and Azure refuses it for a job that runs. With --wait it waits for the\n" +
			"end and succeeds only if that is the cancellation.",
		Args: arguments("JOB"),
	}
	wait.bind(cmd.Flags())
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		id := args[0]
		if err := checkJob(id); err != nil {
			return err
		}
		hub, err := p.connect()
		if err != nil {
			return err
		}
		defer hub.Close()
		if err := hub.CancelJob(ctx, id); err != nil {
			return err
		}
		if wait.wait {
			// A job that is cancelled ends soon or not at all.
			soon := rest.JobRequest{MaxExecutionTimeInSeconds: 1}
			return p.waitJob(ctx, hub, id, wait.limit(soon, time.Now()), cancelFailure)
		}
		job, err := hub.Job(ctx, id)
		if err != nil {
			return err
		}
		return p.printJob(jobView{Job: job})
	})
	return cmd
}

func cancelFailure(view jobView) error {
	if view.Status == rest.JobCancelled {
		return nil
	}
	return deviceErrorf("job %s is %s, not cancelled", view.JobID, view.Status)
}
