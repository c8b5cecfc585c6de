package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) deviceShow() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show DEVICE",
		Short: "show a device's identity, without its keys",
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
		device, err := hub.Device(ctx, args[0])
		if err != nil {
			return err
		}
		return p.printDevice(device)
	})
	return cmd
}
