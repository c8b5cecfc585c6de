package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"latchd/agent/maintenance"
	"latchd/iothub"
)

const maintenanceUsage = `Usage: latchd maintenance [OPTION]...

Draws the maintenance windows that the hub has set and that the latchd on this
machine keeps to, and says when they open next, whether it is open now and which
operations wait for that. Run it as root.

Options:
`

const (
	defaultWeeks = 2
	mostWeeks    = 53
)

// maintenance is the command `latchd maintenance`.
func (p program) maintenance(ctx context.Context, args []string) int {
	flags := newAskFlags("latchd maintenance")
	weeks := flags.Int("weeks", defaultWeeks, "draw that `NUMBER` of weeks, 1 to 53")
	rest, exit, done := p.parse(flags.FlagSet, args, maintenanceUsage, askExits)
	if done {
		return exit
	}
	err := flags.check()
	switch {
	case err != nil:
	case len(rest) > 0:
		err = fmt.Errorf("%q is not an option of maintenance", rest[0])
	case *weeks < 1 || *weeks > mostWeeks:
		err = fmt.Errorf("--weeks is %d; it must be 1 to %d", *weeks, mostWeeks)
	}
	if err != nil {
		return p.misused("latchd maintenance", err.Error())
	}
	return p.ask(ctx, flags, controlRequest{Command: "maintenance"}, func(payload []byte) (string, error) {
		return maintenanceText(payload, time.Now(), *weeks, p.wantsColor())
	})
}

// maintenanceText makes what a person reads of the service's answer.
func maintenanceText(payload []byte, now time.Time, weeks int, color bool) (string, error) {
	doc, err := iothub.DecodeObject(payload)
	if err != nil {
		return "", err
	}
	var shown maintenanceDocument
	if err := json.Unmarshal(payload, &shown); err != nil {
		return "", err
	}
	var text strings.Builder
	value, has := doc["policy"]
	if !has {
		fmt.Fprintln(&text, shown.withoutPolicy())
		shown.table(&text)
		return strings.TrimRight(text.String(), "\n"), nil
	}
	policy, err := maintenance.Parse(value, 0) // whether a window is long enough the agent has judged
	if err != nil {
		return "", err
	}
	if shown.Status.Why == maintenance.WhyClock {
		// A picture begins now, and nobody knows when that is.
		fmt.Fprintln(&text, "The clock is not to be believed yet. Until it is, the windows stay closed, and which\n"+
			"days come next cannot be drawn.")
		fmt.Fprintf(&text, "\n%s (%s): %s\n", policy.Zone, policy.Data, policy.Summary())
		shown.Policy.list(&text)
	} else if err := maintenance.Draw(&text, policy, now, weeks, color); err != nil {
		return "", err
	}
	shown.table(&text)
	return strings.TrimRight(text.String(), "\n"), nil
}

// policyDocument is a policy as it was acknowledged: names, days and durations in
// seconds are all there.
type policyDocument struct {
	Windows []struct {
		Name, Start string
		Days        []string
		Duration    float64
	}
	Exclusions []struct{ From, To string }
}

// list tells the policy in words.
func (d policyDocument) list(to io.Writer) {
	for _, w := range d.Windows {
		days := strings.Join(w.Days, ", ")
		if len(w.Days) == 7 {
			days = "every day"
		}
		fmt.Fprintf(to, "  %s: %s at %s for %s\n", w.Name, days, w.Start, span(w.Duration))
	}
	for _, e := range d.Exclusions {
		text := e.From
		if e.To != e.From {
			text += " to " + e.To
		}
		fmt.Fprintln(to, "  excluded:", text)
	}
}

// maintenanceDocument is the part of the answer that stands under the drawing,
// which tells the next openings itself.
type maintenanceDocument struct {
	Policy policyDocument
	Status struct {
		Open                  bool
		Why, Window, ClosesAt string
	}
	Pending map[string]pendingDocument
}

// withoutPolicy says what it means that there is no policy to draw.
func (d maintenanceDocument) withoutPolicy() string {
	if d.Status.Open {
		return "no maintenance policy is in force: always open"
	}
	return "the policy of an earlier run cannot be read any more: closed until the hub says it again"
}

// pendingDocument is an operation that waits, as it is reported.
type pendingDocument struct{ Kind, State, NotBefore, Reason, BlockedBy string }

// line is the operation in a line.
func (op pendingDocument) line(id string) []string {
	return []string{op.Kind + " " + op.State, after("not before ", op.NotBefore), after("blocked by ", op.BlockedBy), op.Reason, id}
}

// table is the status for a person.
func (d maintenanceDocument) table(to io.Writer) {
	row := func(name string, parts ...string) {
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		fmt.Fprintf(to, "%-7s  %s\n", name, strings.Join(parts, ", "))
	}
	fmt.Fprintln(to)
	s := d.Status
	state := "closed"
	if s.Open {
		state = "open"
	}
	why := s.Why
	if s.Why == maintenance.WhyClock {
		why = "because the clock is not to be believed yet"
	}
	row("now", state, strings.TrimSpace(why+" "+s.Window), after("until ", s.ClosesAt))
	for _, id := range slices.Sorted(maps.Keys(d.Pending)) {
		row("pending", d.Pending[id].line(id)...)
	}
}

// wantsColor is true on a terminal, unless its owner wants none
// (https://no-color.org).
func (p program) wantsColor() bool {
	f, ok := p.stdout.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
