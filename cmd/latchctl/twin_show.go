package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) twinShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show DEVICE",
		Short: "show a device's twin",
		Long:  "Show prints tags, desired and reported properties, one leaf a line. With\n--output json it gives the twin as the hub does, with metadata.",
		Args:  arguments("DEVICE"),
	}
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		if err := checkDevice(args[0]); err != nil {
			return err
		}
		hub, err := p.connect()
		if err != nil {
			return err
		}
		defer hub.Close()
		twin, err := hub.Twin(ctx, args[0])
		if err != nil {
			return err
		}
		return p.printTwin(twin)
	})
	return cmd
}
