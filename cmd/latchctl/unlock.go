package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) unlock() *cobra.Command {
	var (
		wait     timeouts
		duration string
		hold     bool
	)
	cmd := &cobra.Command{
		Use:   "unlock DEVICE",
		Short: "unlock a door for some seconds, or until it is locked",
		Long: "Unlock unlocks a door for as long as the device is configured to, or for the\n" +
			"time given; with --hold until it is locked again. During a lockdown it is\n" +
			"refused.",
		Example: "  latchctl unlock front-door --for 5s",
		Args:    arguments("DEVICE"),
	}
	cmd.Flags().StringVar(&duration, "for", "", "unlock for this long (default: as the device is configured)")
	cmd.Flags().BoolVar(&hold, "hold", false, "stay unlocked until a lock command")
	bindCommandID(cmd.Flags())
	cmd.MarkFlagsMutuallyExclusive("for", "hold")
	wait.bind(cmd.Flags())
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		payload := map[string]any{}
		if cmd.Flags().Changed("for") {
			// How long is too long each device knows for itself; a day is more
			// than any of them allows.
			unlockTime, err := durationText("--for", duration, false, time.Millisecond, 24*time.Hour)
			if err != nil {
				return err
			}
			payload["unlockTime"] = unlockTime
		}
		if hold {
			payload["hold"] = true
		}
		call, err := newCommand(cmd, args[0], "unlockDoor", payload)
		if err != nil {
			return err
		}
		return p.command(ctx, call, wait)
	})
	return cmd
}
