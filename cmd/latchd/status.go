package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const statusUsage = `Usage: latchd status

Says what the latchd that runs on this machine is doing. Run it as root.

Options:
`

// status is the command `latchd status`.
func (p program) status(ctx context.Context, args []string) int {
	flags := newAskFlags("latchd status")
	rest, exit, done := p.parse(flags.FlagSet, args, statusUsage, askExits)
	if done {
		return exit
	}
	err := flags.check()
	if len(rest) > 0 {
		err = fmt.Errorf("%q is not an option of status", rest[0])
	}
	if err != nil {
		return p.misused("latchd status", err.Error())
	}
	return p.ask(ctx, flags, controlRequest{Command: "status"}, func(payload []byte) (string, error) {
		var doc statusDocument
		if err := json.Unmarshal(payload, &doc); err != nil {
			return "", err
		}
		return doc.table(), nil
	})
}

// control serves the control socket until ctx ends. Without one the service goes
// on: the door hangs on nothing here.
func (s *service) control(ctx context.Context) {
	path := filepath.Join(s.configNow().State.RuntimeDirectory, controlName)
	c := controls{method: s.agent.Serve, status: s.hubStatus, maintenance: s.agent.Maintenance}
	if err := serveControl(ctx, path, c, s.log); err != nil {
		s.log.Error("latchd status, check, maintenance and door cannot ask this service", "error", err)
	}
}

// hubStatus is what the service knows of its connection and the agent does not.
// The time in a state is from the monotonic clock, so it holds while the time of
// day is not known yet.
func (s *service) hubStatus() map[string]any {
	doc := map[string]any{}
	if s.hubHost != "" {
		doc["host"], doc["device"] = s.hubHost, s.deviceID
	}
	up, lasts, why := s.link.state()
	doc["connected"] = up
	if lasts > 0 {
		doc["seconds"] = lasts.Round(time.Second).Seconds()
	}
	if why != nil {
		doc["error"] = why.Error()
	}
	return map[string]any{"hub": doc}
}

// statusDocument is the part of the status that the table shows.
type statusDocument struct {
	Agent struct {
		Version, StartedAt, BootID, Fault string
		Simulated                         bool
		CanReboot                         bool
	}
	Hub struct {
		Host, Device, Error string
		Connected           bool
		Seconds             float64
	}
	Clock             struct{ State, Since string }
	Time              string
	Door              doorDocument
	PendingOperations map[string]pendingDocument
	LastReboot        struct {
		State, Cause, BootedAt, RequestedAt, Reason, Error string
		Orderly                                            bool
	}
	RebootTime        string
	UptimeSeconds     float64
	DeviceInformation struct{ Manufacturer, Model, OsName string }
}

// table is the status for a person.
func (d statusDocument) table() string {
	var b strings.Builder
	row := func(name string, parts ...string) {
		parts = slices.DeleteFunc(parts, func(part string) bool { return part == "" })
		if len(parts) > 0 {
			fmt.Fprintf(&b, "%-11s  %s\n", name, strings.Join(parts, ", "))
		}
	}
	simulated := ""
	if d.Agent.Simulated {
		simulated = "simulated"
	}
	row("latchd", d.Agent.Version, after("started ", d.Agent.StartedAt), simulated)
	row("fault", d.Agent.Fault)
	d.hubRows(row)
	row("clock", d.Clock.State, after("since ", d.Clock.Since))
	row("time", d.Time)
	row("door", d.Door.line())
	for _, id := range slices.Sorted(maps.Keys(d.PendingOperations)) {
		row("pending", d.PendingOperations[id].line(id)...)
	}
	orderly := "not orderly"
	if d.LastReboot.Orderly {
		orderly = "orderly"
	}
	if d.LastReboot.State != "" {
		row("last reboot", d.LastReboot.State, d.LastReboot.Cause, orderly, d.LastReboot.Reason,
			after("booted ", d.LastReboot.BootedAt), after("error: ", d.LastReboot.Error))
	}
	reboots := "may not reboot itself; latchd check says why"
	if d.Agent.CanReboot {
		reboots = ""
	}
	row("machine", strings.TrimSpace(d.DeviceInformation.Manufacturer+" "+d.DeviceInformation.Model),
		after("up for ", span(d.UptimeSeconds)), after("booted ", d.RebootTime), reboots)
	return strings.TrimRight(b.String(), "\n")
}

func (d statusDocument) hubRows(row func(name string, parts ...string)) {
	h := d.Hub
	switch {
	case h.Host == "":
		row("hub", firstOf(h.Error, "none"))
		return
	case h.Connected:
		row("hub", h.Host, firstOf(after("connected for ", span(h.Seconds)), "connected"))
	case h.Error != "":
		row("hub", h.Host, firstOf(after("not connected for ", span(h.Seconds)), "not connected"))
		row("hub error", h.Error)
	default:
		row("hub", h.Host, "connecting")
	}
	row("device id", h.Device)
}

// after is a text after its label; nothing where there is no text.
func after(label, text string) string {
	if text == "" {
		return ""
	}
	return label + text
}

// span is a number of seconds for a person: "2d3h", "4m10s"; "" for none.
func span(seconds float64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case d <= 0:
		return ""
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd%dh", d/(24*time.Hour), d%(24*time.Hour)/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	}
	return d.String()
}
