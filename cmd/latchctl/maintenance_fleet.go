package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// fleetAnswer is what one of many devices says to its policy.
type fleetAnswer struct {
	DeviceID        string `json:"deviceId"`
	DeviceStatus    string `json:"status,omitempty"` // disabled: the hub lets it not connect
	ConnectionState string `json:"connectionState"`
	DesiredVersion  int64  `json:"desiredVersion"`
	Answer          string `json:"answer"`
	*acknowledgement
}

// fleetSum counts the answers.
type fleetSum struct {
	Accepted   int `json:"accepted"`
	Refused    int `json:"refused"`
	Unanswered int `json:"unanswered"`
	NoPolicy   int `json:"none"`
}

func sumOf(answers []fleetAnswer) (s fleetSum) {
	count := map[string]*int{accepted: &s.Accepted, refused: &s.Refused, unanswered: &s.Unanswered, noPolicy: &s.NoPolicy}
	for _, a := range answers {
		*count[a.Answer]++
	}
	return s
}

// fleetView is what many devices say.
type fleetView struct {
	JobID string `json:"jobId,omitempty"` // the job that told them
	fleetSum
	Devices []fleetAnswer `json:"devices"`
}

// changeMany changes the policy by a job, and asks what the devices say to it.
func (p *program) changeMany(ctx context.Context, r rest.JobRequest, flags answerFlags) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	n, err := p.tellMatches(ctx, hub, r)
	if err != nil {
		return err
	}
	if n == 0 {
		return &nobodyError{r.QueryCondition}
	}
	made, err := createJob(ctx, hub, r)
	if err != nil {
		return err
	}
	told := *r.UpdateTwin.Properties.Desired
	if told[maintenanceKey] == nil {
		p.tellCleared()
	}
	if flags.noWait {
		return p.printTold(made, max(n, 0))
	}
	job, err := p.awaitJob(ctx, hub, r.JobID, (&waitFlags{}).limit(r, time.Now()))
	if err != nil {
		return err
	}
	if s := job.DeviceJobStatistics; s != nil && s.DeviceCount == 0 && job.Status == rest.JobCompleted {
		return &nobodyError{r.QueryCondition}
	}
	answers, err := p.awaitAnswers(ctx, hub, job, told, flags.timeout)
	if err != nil {
		return withHint(err, "see whom it told with `latchctl job show %s --devices`", job.JobID)
	}
	view := fleetView{JobID: job.JobID, fleetSum: sumOf(answers), Devices: answers}
	// Those that did as they were told are a number: among a thousand lines of
	// them nobody finds the one that did not.
	telling := slices.DeleteFunc(slices.Clone(answers), func(a fleetAnswer) bool { return a.Answer == accepted || a.Answer == noPolicy })
	if err := p.printAnswers(view, telling); err != nil {
		return err
	}
	return view.failure(job)
}

// printTold shows a job that nobody waits for. Of n devices that it will tell,
// none has answered.
func (p *program) printTold(made rest.Job, n int) error {
	if p.wantsJSON() {
		return p.printJSON(fleetView{JobID: made.JobID, fleetSum: fleetSum{Unanswered: n}, Devices: []fleetAnswer{}})
	}
	return p.printJob(jobView{Job: made})
}

// failure is the verdict on a change: the job's own failure first, then the
// refusals, then the silence.
func (v fleetView) failure(job rest.Job) error {
	if err := jobFailure(jobView{Job: job}); err != nil {
		return withHint(err, "see which with `latchctl job show %s --devices`", job.JobID)
	}
	if v.Refused > 0 {
		return withHint(deviceErrorf("%s refused the policy", devices(v.Refused)),
			"a device that names a key which the file does not have holds it from before: `latchctl maintenance set DEVICE` removes it")
	}
	if v.Unanswered > 0 {
		return withHint(&waitError{"no answer yet from " + devices(v.Unanswered)}, "%s", v.lookAgain())
	}
	if s := job.DeviceJobStatistics; s != nil && s.SucceededCount > len(v.Devices) {
		return withHint(&waitError{fmt.Sprintf("job %s told %s, and the hub does not say yet which: %d are known",
			job.JobID, devices(s.SucceededCount), len(v.Devices))}, "see them with `latchctl job show %s --devices`", job.JobID)
	}
	return nil
}

// lookAgain says how to ask those again that are silent. The condition of the
// job may be one that the change itself took them out of.
func (v fleetView) lookAgain() string {
	const few = 5
	var ids []string
	for _, a := range v.Devices {
		if a.Answer == unanswered {
			ids = append(ids, a.DeviceID)
		}
	}
	if len(ids) > few {
		return "look again with `latchctl maintenance show --where`, and a condition that selects them"
	}
	return "look again with `latchctl maintenance show --where \"" + amongCondition(ids) + "\"`"
}

const answerColumns = "deviceId, status, connectionState, properties.desired.$version AS desiredVersion, " +
	"properties.desired.maintenance AS wanted, properties.reported.maintenance.ac AS ac, " +
	"properties.reported.maintenance.av AS av, properties.reported.maintenance.ad AS ad"

// readAnswers asks what the devices say, in one query. A device whose twin does
// not show yet what it was told has not answered that, whatever it has answered:
// on Azure a query trails the twins by seconds.
func readAnswers(ctx context.Context, hub *service.Client, condition string, told map[string]any) ([]fleetAnswer, error) {
	text := "SELECT " + answerColumns + " FROM devices"
	if condition != "*" {
		text += " WHERE " + condition
	}
	answers := []fleetAnswer{}
	for row, err := range hub.Query(ctx, text) {
		if err != nil {
			return nil, err
		}
		a, err := answerOfRow(row, told)
		if err != nil {
			return nil, fmt.Errorf("query: a row: %w", err)
		}
		answers = append(answers, a)
	}
	slices.SortFunc(answers, func(a, b fleetAnswer) int { return strings.Compare(a.DeviceID, b.DeviceID) })
	return answers, nil
}

// answerOfRow reads a row with answerColumns.
func answerOfRow(row json.RawMessage, told map[string]any) (fleetAnswer, error) {
	doc, err := iothub.DecodeObject(row)
	if err != nil {
		return fleetAnswer{}, err
	}
	a := fleetAnswer{
		DeviceID: textOf(doc, "deviceId"), DeviceStatus: textOf(doc, "status"),
		ConnectionState: textOf(doc, "connectionState"), DesiredVersion: wholeOf(doc, "desiredVersion"),
	}
	if doc["av"] != nil {
		a.acknowledgement = &acknowledgement{
			Status: int(wholeOf(doc, "ac")), Version: wholeOf(doc, "av"), Description: textOf(doc, "ad"),
		}
	}
	wanted := map[string]any{}
	if doc["wanted"] != nil {
		wanted[maintenanceKey] = doc["wanted"]
	}
	a.Answer = a.answer(len(wanted) > 0, a.DesiredVersion)
	if !iothub.Equal(iothub.Merge(wanted, told), wanted) {
		a.Answer = unanswered
	}
	return a, nil
}

// printAnswers shows the sums and, of the devices, those in listed.
func (p *program) printAnswers(v fleetView, listed []fleetAnswer) error {
	if p.wantsJSON() {
		return p.printJSON(v)
	}
	if err := p.printTable([][]string{
		{"accepted", fmt.Sprint(v.Accepted)},
		{"refused", fmt.Sprint(v.Refused)},
		{"no answer yet", v.silence()},
		{"no policy", fmt.Sprint(v.NoPolicy)},
	}); err != nil || len(listed) == 0 {
		return err
	}
	table := [][]string{{"DEVICE", "DESIRED", "ANSWERED", "STATUS", "CONNECTION", "DESCRIPTION"}}
	for _, a := range listed {
		line := []string{a.DeviceID, fmt.Sprint(a.DesiredVersion), "", "", cmp.Or(absence(a.DeviceStatus, a.ConnectionState), "connected"), ""}
		if a.acknowledgement != nil {
			line[2], line[3], line[5] = fmt.Sprint(a.Version), fmt.Sprint(a.Status), shorten(a.Description)
		}
		table = append(table, line)
	}
	fmt.Fprintln(p.stdout)
	return p.printTable(table)
}

// silence counts those that have not answered, and how many of them cannot.
func (v fleetView) silence() string {
	why := map[string]int{}
	for _, a := range v.Devices {
		if a.Answer == unanswered {
			why[absence(a.DeviceStatus, a.ConnectionState)]++
		}
	}
	delete(why, "")
	var parts []string
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		parts = append(parts, fmt.Sprintf("%d %s", why[reason], reason))
	}
	if len(parts) == 0 {
		return fmt.Sprint(v.Unanswered)
	}
	return fmt.Sprintf("%d (%s)", v.Unanswered, strings.Join(parts, ", "))
}

// absence says why a device does not answer now, "" where nothing is in the way.
func absence(status, connection string) string {
	switch {
	case status == rest.StatusDisabled:
		return "disabled"
	case connection == rest.StateDisconnected:
		return "not connected"
	case connection == "":
		return "not found"
	}
	return ""
}
