package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) jobShow() *cobra.Command {
	var (
		withDevices bool
		wait        waitFlags
	)
	cmd := &cobra.Command{
		Use:   "show JOB",
		Short: "show a job and, with --devices, what became of it on each",
		Long: "Show prints a job. With --wait it waits for its end, and its exit code tells\n" +
			"whether all devices did it; without, it only shows.",
		Args: arguments("JOB"),
	}
	cmd.Flags().BoolVar(&withDevices, "devices", false, "show each device")
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
		job, err := hub.Job(ctx, id)
		if err != nil {
			return err
		}
		if wait.wait {
			times := rest.JobRequest{StartTime: job.StartTime, MaxExecutionTimeInSeconds: job.MaxExecutionTimeInSeconds}
			return p.waitJob(ctx, hub, id, wait.limit(times, time.Now()), jobFailure)
		}
		view := jobView{Job: job}
		if withDevices {
			if view.Devices, err = collect(hub.DeviceJobs(ctx, id)); err != nil {
				return err
			}
		}
		return p.printJob(view)
	})
	return cmd
}
