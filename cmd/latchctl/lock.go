package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

// longestLockdown is the device's own limit.
const longestLockdown = 24 * time.Hour

func (p *program) lock() *cobra.Command {
	var (
		wait     timeouts
		duration string
	)
	cmd := &cobra.Command{
		Use:   "lock DEVICE",
		Short: "lock a door",
		Long: "Lock locks a door until it is unlocked. With --for it is a lockdown: for that\n" +
			"time unlocking is refused, then the door rests. --for 0 ends a lockdown and\n" +
			"keeps the door locked. The button inside opens the door at any time.",
		Example: "  latchctl lock front-door --for 10m",
		Args:    arguments("DEVICE"),
	}
	cmd.Flags().StringVar(&duration, "for", "", "lockdown for this long, 1s to 24h, or 0 to end one")
	bindCommandID(cmd.Flags())
	wait.bind(cmd.Flags())
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		payload := map[string]any{}
		if cmd.Flags().Changed("for") {
			lockTime, err := durationText("--for", duration, true, time.Second, longestLockdown)
			if err != nil {
				return err
			}
			payload["lockTime"] = lockTime
		}
		call, err := newCommand(cmd, args[0], "lockDoor", payload)
		if err != nil {
			return err
		}
		return p.command(ctx, call, wait)
	})
	return cmd
}
