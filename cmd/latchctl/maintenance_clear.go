package main

import (
	"context"

	"github.com/spf13/cobra"
)

func (p *program) maintenanceClear() *cobra.Command {
	var flags answerFlags
	cmd := &cobra.Command{
		Use:   "clear {DEVICE | --where CONDITION}",
		Short: "take the maintenance policy away: always open",
		Long: "Clear removes the maintenance policy. A device without one is always open: what\n" +
			"comes from then on happens at once. What was put off before keeps its time; it\n" +
			"is withdrawn with `latchctl invoke DEVICE cancelOperation`.\n\n" +
			"To close a device, set a policy with no windows: {\"windows\":[]}",
		Example: "  latchctl maintenance clear front-door",
		Args:    arguments("[DEVICE]"),
	}
	flags.bind(cmd)
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		device, err := flags.device(cmd, args)
		if err != nil {
			return err
		}
		return p.changeMaintenance(ctx, device, nil, flags)
	})
	return cmd
}
