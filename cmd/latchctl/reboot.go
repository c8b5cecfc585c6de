package main

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchd/iothub"
)

func (p *program) reboot() *cobra.Command {
	var (
		flags rebootFlags
		wait  timeouts
	)
	cmd := &cobra.Command{
		Use:   "reboot DEVICE",
		Short: "reboot a device and, with --wait, see that it did",
		Long: "Reboot asks a device to reboot, in its next maintenance window if it has such.\n" +
			"With --wait it waits for the receipt: when the device booted, from which boot\n" +
			"to which, how long it was down and why. Without a new boot there is no receipt.",
		Example: "  latchctl reboot front-door --reason 'kernel update' --wait",
		Args:    arguments("DEVICE"),
	}
	flags.bind(cmd.Flags())
	bindCommandID(cmd.Flags())
	wait.bind(cmd.Flags())
	cmd.MarkFlagsMutuallyExclusive("wait", "dry-run")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		payload, err := flags.payload(cmd.Flags())
		if err != nil {
			return err
		}
		call, err := newCommand(cmd, args[0], "rebootDevice", payload)
		if err != nil {
			return err
		}
		if flags.wait {
			return p.rebootAndWait(ctx, call, wait, flags.waitTimeout)
		}
		return p.command(ctx, call, wait)
	})
	return cmd
}

type rebootFlags struct {
	delay         string
	reason        string
	force, dryRun bool
	wait          bool
	waitTimeout   time.Duration
}

const (
	// The device's own limits.
	longestDelay  = time.Hour
	longestReason = 256 // characters

	// defaultWait is time for a slow Pi to check its file systems, and a
	// while more.
	defaultWait = 5 * time.Minute
)

func (f *rebootFlags) bind(flags *pflag.FlagSet) {
	flags.StringVar(&f.delay, "delay", "", "how long the device waits after its answer, 0s to 1h (default: the device's, 2s)")
	flags.StringVar(&f.reason, "reason", "", "why, for the device's log and the receipt; at most 256 characters")
	flags.BoolVar(&f.force, "force", false, "now, whatever the maintenance window and the door say")
	flags.BoolVar(&f.dryRun, "dry-run", false, "only ask whether it would, and what is in the way")
	flags.BoolVar(&f.wait, "wait", false, "wait for the receipt")
	flags.DurationVar(&f.waitTimeout, "wait-timeout", defaultWait, "how long to wait for it")
}

func (f *rebootFlags) payload(flags *pflag.FlagSet) (map[string]any, error) {
	payload := map[string]any{}
	if flags.Changed("delay") {
		delay, err := durationText("--delay", f.delay, true, 0, longestDelay)
		if err != nil {
			return nil, err
		}
		payload["delay"] = delay
	}
	if f.reason != "" {
		if n := utf8.RuneCountInString(f.reason); n > longestReason || !utf8.ValidString(f.reason) {
			return nil, usagef("--reason has %d characters; it must be at most %d, in UTF-8", n, longestReason)
		}
		payload["reason"] = f.reason
	}
	if f.force {
		payload["force"] = true
	}
	if f.dryRun {
		payload["dryRun"] = true
	}
	if f.waitTimeout <= 0 {
		return nil, usagef("--wait-timeout is %s; it must be longer than nothing", f.waitTimeout)
	}
	return payload, nil
}

// rebootAndWait reboots and shows the receipt.
func (p *program) rebootAndWait(ctx context.Context, c methodCall, wait timeouts, limit time.Duration) error {
	result, err := p.call(ctx, c, wait)
	if err != nil {
		return err
	}
	accepted, err := iothub.DecodeObject(result.Payload)
	if result.Status >= 400 || err != nil {
		if err := p.printCommand(c, result); err != nil {
			return err
		}
		if err := refusal(c, result); err != nil {
			return err
		}
		return deviceErrorf("%s answered without a JSON object: there is nothing to wait for", c.device)
	}
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()

	shown := p.progress()
	w := rebootWait{
		device:    c.device,
		operation: textOf(accepted, "operationId"),
		commandID: c.commandID,
		read:      hub.Twin,
		show:      shown.show,
	}
	twin, err := w.run(ctx, accepted, limit)
	shown.end()
	if err != nil {
		return withHint(err, "look later with `latchctl invoke %s getStatus`, which lists the last receipts, or repeat with --command-id %s: it reboots at most once",
			c.device, c.commandID)
	}
	return p.printReceipt(c, result, twin)
}
