package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) jobTwin() *cobra.Command {
	var (
		flags         scheduleFlags
		desired, tags string
	)
	cmd := &cobra.Command{
		Use:   "twin [NAME]",
		Short: "merge into the twins of many devices",
		Long: "Twin creates a job that merges desired properties and tags into the twin of\n" +
			"each device that --where selects when the job starts. NAME is its id: letters,\n" +
			"digits and dashes.",
		Example: `  latchctl job twin third-floor --where "deviceId IN ['a','b']" --desired '{"building":43,"floor":3}' --wait`,
		Args:    arguments("[NAME]"),
	}
	flags.bind(cmd)
	cmd.Flags().StringVar(&desired, "desired", "", "patch for the desired properties: a JSON object, @FILE or - for stdin")
	cmd.Flags().StringVar(&tags, "tags", "", "patch for the tags: a JSON object, @FILE or - for stdin")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		request, err := flags.request(args, time.Now())
		if err != nil {
			return err
		}
		patch, err := p.twinPatch(desired, tags)
		if err != nil {
			return err
		}
		request.UpdateTwin = &rest.JobTwin{Tags: patch.Tags, Properties: patch.Properties}
		return p.schedule(ctx, request, flags.wait)
	})
	return cmd
}
