package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) jobMethod() *cobra.Command {
	var (
		flags   scheduleFlags
		answers timeouts
		method  string
		payload string
	)
	cmd := &cobra.Command{
		Use:   "method [NAME]",
		Short: "call a direct method on many devices",
		Long: "Method creates a job that calls a direct method on each device that --where\n" +
			"selects when the job starts. NAME is its id: letters, digits and dashes.",
		Example: `  latchctl job method lock-all --where "*" --method lockDoor --payload '{"lockTime":"10m"}' --wait
  latchctl job method --where "tags.building = 43" --method rebootDevice --in 5m`,
		Args: arguments("[NAME]"),
	}
	flags.bind(cmd)
	answers.bind(cmd.Flags())
	cmd.Flags().StringVar(&method, "method", "", "name of the direct method")
	cmd.Flags().StringVar(&payload, "payload", "", "any JSON value, @FILE or - for stdin")
	_ = cmd.MarkFlagRequired("method")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		request, err := flags.request(args, time.Now())
		if err != nil {
			return err
		}
		call, err := p.jobCall(method, payload, answers)
		if err != nil {
			return err
		}
		request.CloudToDeviceMethod = &call
		return p.schedule(ctx, request, flags.wait)
	})
	return cmd
}

// jobCall is the call that the job makes on each device.
func (p *program) jobCall(method, payload string, wait timeouts) (rest.MethodCall, error) {
	call := rest.MethodCall{MethodName: method}
	var err error
	if payload != "" {
		if call.Payload, err = p.jsonText("--payload", payload); err != nil {
			return call, err
		}
	}
	return checkMethod(call, wait)
}
