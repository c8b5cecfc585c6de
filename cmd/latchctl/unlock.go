package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (p *program) unlock() *cobra.Command {
	var (
		wait     timeouts
		duration string
		hold     bool
		validFor time.Duration
	)
	cmd := &cobra.Command{
		Use:   "unlock DEVICE",
		Short: "unlock a door for some seconds, or until it is locked",
		Long: "Unlock unlocks a door for as long as the device is configured to, or for the\n" +
			"time given; with --hold until it is locked again. During a lockdown it is\n" +
			"refused.\n\n" +
			"A device that stalls must not open its door when nobody waits any more, so it\n" +
			"is told until when to obey. It compares that with its own clock: --valid-for 0\n" +
			"leaves it out, for a device whose clock is wrong or not set.",
		Example: "  latchctl unlock front-door --for 5s",
		Args:    arguments("DEVICE"),
	}
	cmd.Flags().StringVar(&duration, "for", "", "unlock for this long (default: as the device is configured)")
	cmd.Flags().BoolVar(&hold, "hold", false, "stay unlocked until a lock command")
	cmd.Flags().DurationVar(&validFor, "valid-for", 0, "how long from now it may still begin, 0 for ever (default: as long as the answer is waited for)")
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
		if !cmd.Flags().Changed("valid-for") {
			validFor = wait.connect + wait.response
		}
		if validFor < 0 || validFor > 24*time.Hour {
			return usagef("--valid-for is %s; it must be from 0s to 24h", validFor)
		}
		if validFor > 0 {
			payload["notAfter"] = time.Now().Add(validFor).UTC().Format("2006-01-02T15:04:05.000Z")
		}
		call, err := newCommand(cmd, args[0], "unlockDoor", payload)
		if err != nil {
			return err
		}
		err = p.command(ctx, call, wait)
		if err != nil && validFor > 0 && strings.Contains(err.Error(), "notAfter") {
			return withHint(err, "compare the clocks of this machine and the device; --valid-for 0 leaves notAfter out")
		}
		return err
	})
	return cmd
}
