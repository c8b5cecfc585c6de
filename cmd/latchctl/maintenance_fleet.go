package main

import (
	"context"
	"encoding/json"
	"fmt"
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
	made, err := p.createJob(ctx, hub, r)
	if err != nil {
		return err
	}
	if (*r.UpdateTwin.Properties.Desired)[maintenanceKey] == nil {
		p.tellCleared()
	}
	if flags.noWait {
		return p.printJob(jobView{Job: made})
	}
	job, err := p.awaitJob(ctx, hub, r.JobID, (&waitFlags{}).limit(r, time.Now()))
	if err != nil {
		return err
	}
	answers, err := p.awaitAnswers(ctx, hub, r, flags.timeout)
	if err != nil {
		return err
	}
	if s := job.DeviceJobStatistics; s != nil && s.SucceededCount != len(answers) {
		fmt.Fprintf(p.stderr, "job %s changed %s; the condition selects %d now\n", job.JobID, devices(s.SucceededCount), len(answers))
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
		return withHint(&waitError{"no answer yet from " + devices(v.Unanswered)},
			"look again with `latchctl maintenance show --where`, the same condition")
	}
	return nil
}

const (
	answerColumns = "deviceId, connectionState, properties.desired.$version AS desiredVersion, " +
		"properties.desired.maintenance AS wanted, properties.reported.maintenance.ac AS ac, " +
		"properties.reported.maintenance.av AS av, properties.reported.maintenance.ad AS ad"

	// connectedAndSilent are the devices that are about to answer. Of two
	// properties that a device has and one that it has not, only IS_DEFINED
	// says something.
	connectedAndSilent = "connectionState = 'Connected' AND (" +
		"IS_DEFINED(properties.desired.maintenance) AND NOT IS_DEFINED(properties.reported.maintenance.av) OR " +
		"NOT IS_DEFINED(properties.desired.maintenance) AND IS_DEFINED(properties.reported.maintenance.av) OR " +
		"properties.reported.maintenance.av < properties.desired.$version)"
)

// and joins two conditions.
func and(condition, more string) string {
	if condition == "*" {
		return more
	}
	return "(" + condition + ") AND (" + more + ")"
}

// awaitAnswers waits until no device that is connected owes an answer to what
// the job told it, or the time is over, which is no error: it gives what they
// said until then.
func (p *program) awaitAnswers(ctx context.Context, hub *service.Client, r rest.JobRequest, limit time.Duration) (answers []fleetAnswer, err error) {
	shown := p.progress()
	defer shown.end()
	waiting, stop := context.WithTimeout(ctx, limit)
	defer stop()
	told := *r.UpdateTwin.Properties.Desired
	err = service.Poll(waiting, func(ctx context.Context) (bool, error) {
		n, err := hub.Count(ctx, and(r.QueryCondition, connectedAndSilent))
		if n == 0 && err == nil { // what all say is worth reading, and may still be of before
			answers, err = readAnswers(ctx, hub, r.QueryCondition, told)
			n = len(slices.DeleteFunc(slices.Clone(answers), func(a fleetAnswer) bool {
				return a.Answer != unanswered || a.ConnectionState == rest.StateDisconnected
			}))
		}
		if err == nil && n > 0 {
			shown.show("waiting for what the devices say", fmt.Sprintf(": %d to go", n))
		}
		return n == 0, err
	})
	if err == nil || ctx.Err() != nil || waiting.Err() == nil {
		return answers, err
	}
	return readAnswers(ctx, hub, r.QueryCondition, told)
}

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
		DeviceID: textOf(doc, "deviceId"), ConnectionState: textOf(doc, "connectionState"), DesiredVersion: wholeOf(doc, "desiredVersion"),
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
	table := [][]string{{"DEVICE", "DESIRED", "ANSWERED", "STATUS", "DESCRIPTION"}}
	for _, a := range listed {
		line := []string{a.DeviceID, fmt.Sprint(a.DesiredVersion), "", "", ""}
		if a.acknowledgement != nil {
			line[2], line[3], line[4] = fmt.Sprint(a.Version), fmt.Sprint(a.Status), shorten(a.Description)
		}
		table = append(table, line)
	}
	fmt.Fprintln(p.stdout)
	return p.printTable(table)
}

// silence counts those that have not answered, and how many of them cannot.
func (v fleetView) silence() string {
	away := 0
	for _, a := range v.Devices {
		if a.Answer == unanswered && a.ConnectionState == rest.StateDisconnected {
			away++
		}
	}
	if away == 0 {
		return fmt.Sprint(v.Unanswered)
	}
	return fmt.Sprintf("%d (%d not connected)", v.Unanswered, away)
}
