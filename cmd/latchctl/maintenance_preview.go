package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"latchd/agent/maintenance"
	"latchd/internal/zone"
)

const (
	defaultWeeks = 2
	mostWeeks    = 53 // every night of a year, both change nights among them
)

func (p *program) maintenancePreview() *cobra.Command {
	var (
		file, inZone, from string
		weeks              int
	)
	cmd := &cobra.Command{
		Use:   "preview --file FILE",
		Short: "draw a maintenance policy before it is sent",
		Long: "Preview checks a policy as a device would and draws its weeks: what is open, what\n" +
			"is excluded, the hour that is skipped or repeated. It asks no hub. --output json\n" +
			"lists every opening in the span, the one that is open at its beginning included,\n" +
			"as a device reports them in maintenanceStatus.next.",
		Example: `  latchctl maintenance preview --file windows.json
  latchctl maintenance preview --file windows.json --from 2027-03-22 --zone America/New_York`,
		Args: arguments(),
	}
	bindPolicyFile(cmd, &file)
	flags := cmd.Flags()
	flags.StringVar(&inZone, "zone", "", "time zone in place of the policy's, like Europe/Paris")
	flags.StringVar(&from, "from", "", "a time like 2026-11-22T02:30:00Z, or of the zone's clocks: 2026-11-22T02:30, 2026-11-22 (default: now)")
	flags.IntVar(&weeks, "weeks", defaultWeeks, "how many weeks, 1 to 53")
	cmd.RunE = p.run(func(_ context.Context, _ []string) error {
		if weeks < 1 || weeks > mostWeeks {
			return usagef("--weeks is %d; it must be 1 to %d", weeks, mostWeeks)
		}
		if err := checkZone(inZone, cmd.Flags().Changed("zone")); err != nil {
			return err
		}
		_, policy, err := p.policyFile(file, inZone)
		if err != nil {
			return err
		}
		begin, err := previewFrom(from, policy.Zone, time.Now())
		if err != nil {
			return err
		}
		if !p.wantsJSON() {
			return maintenance.Draw(p.stdout, policy, begin, weeks, p.wantsColor())
		}
		return p.printJSON(map[string]any{"next": openings(policy, begin, weeks)})
	})
	return cmd
}

// checkZone checks --zone, if it was given.
func checkZone(name string, isGiven bool) error {
	if !isGiven {
		return nil
	}
	if name == "" {
		return usagef("--zone is empty; leave it out for the policy's own")
	}
	if _, _, err := zone.Load(name); err != nil {
		return usagef("--zone: %w", err)
	}
	return nil
}

// openings lists every opening in the span, as a device reports them.
func openings(policy *maintenance.Policy, from time.Time, weeks int) []any {
	next := []any{}
	for _, opening := range policy.Between(from, policy.WeeksOn(from, weeks)) {
		next = append(next, opening.Document(policy.Zone))
	}
	return next
}

// previewFrom reads --from.
func previewFrom(text string, zone *time.Location, now time.Time) (time.Time, error) {
	if text == "" {
		return now, nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(civilMinute, text)
		if err != nil {
			at, err = time.Parse(time.DateOnly, text)
		}
		if err == nil {
			at = firstInstant(at, zone)
		}
	}
	// 53 weeks on, it must still be before the year 10000, which no JSON time names.
	if err != nil || at.Year() < 1970 || at.Year() > 9997 {
		return at, usagef("--from is %q; it must be a time like 2026-11-22T02:30:00Z, one of the zone's clocks like 2026-11-22T02:30, or a date like 2026-11-22", text)
	}
	return at, nil
}

// civilMinute is a time on the face of a clock, in whatever zone.
const civilMinute = "2006-01-02T15:04"

// firstInstant is when the clocks of a zone first reach a civil time: where they
// skip it, when they change; of two the first, which time.Date is free not to
// choose. civil has it in UTC, in whole minutes. No zone is 15 hours from that,
// and all keep to whole half minutes since 1970.
func firstInstant(civil time.Time, zone *time.Location) time.Time {
	const most, step = 15 * time.Hour, 30 * time.Second
	want := civil.Format(civilMinute)
	for at := civil.Add(-most); at.Before(civil.Add(most)); at = at.Add(step) {
		if at.In(zone).Format(civilMinute) >= want {
			return at
		}
	}
	return civil
}

// wantsColor is true on a terminal, unless its owner wants none
// (https://no-color.org).
func (p *program) wantsColor() bool {
	return isTerminal(p.stdout.to) && p.env("NO_COLOR") == "" && p.env("TERM") != "dumb"
}
