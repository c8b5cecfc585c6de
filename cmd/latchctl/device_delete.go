package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) deviceDelete() *cobra.Command {
	var etag string
	cmd := &cobra.Command{
		Use:   "delete DEVICE",
		Short: "remove a device and its twin",
		Long:  "Delete removes a device's identity, keys and twin. It does not ask, and there\nis no way back: the device can no longer connect.",
		Args:  arguments("DEVICE"),
	}
	cmd.Flags().StringVar(&etag, "etag", "", "only if its identity still has this etag")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		if err := checkDevice(args[0]); err != nil {
			return err
		}
		hub, err := p.connect()
		if err != nil {
			return err
		}
		defer hub.Close()
		if err := hub.DeleteDevice(ctx, args[0], etag); err != nil {
			return err
		}
		if p.wantsJSON() {
			return p.printJSON(map[string]any{"deviceId": args[0], "deleted": true})
		}
		return p.printTable([][]string{{"deleted " + args[0]}})
	})
	return cmd
}
