package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// awaitAnswers waits until no device that is connected owes an answer to what
// the job told it, or the time is over, which is no error: it gives what they
// said until then.
//
// It asks those that the job told, by name. The job's condition may select others
// by now: "NOT IS_DEFINED(properties.desired.maintenance)" selects none of them.
func (p *program) awaitAnswers(ctx context.Context, hub *service.Client, job rest.Job, told map[string]any, limit time.Duration) ([]fleetAnswer, error) {
	shown := p.progress()
	defer shown.end()
	waiting, stop := context.WithTimeout(ctx, limit)
	defer stop()
	q := inquiry{hub: hub, job: job, told: told}
	err := service.Poll(waiting, func(ctx context.Context) (bool, error) {
		done, err := q.advance(ctx, true)
		if err == nil && !done {
			shown.show("waiting for what the devices say", fmt.Sprintf(": %d have answered", len(q.answers)))
		}
		return done, err
	})
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		_, err = q.advance(ctx, false)
	}
	return q.answers, err
}

// An inquiry goes through the devices that a job told, some at a time: the text of
// a query is bounded. It goes on where all that can answer did, so that a thousand
// devices are not asked again for the sake of one.
type inquiry struct {
	hub  *service.Client
	job  rest.Job
	told map[string]any

	isListed bool
	left     []string // not done with, in order
	answers  []fleetAnswer
}

// advance goes on as far as it can, to the end if it is not patient. It tells
// whether it is there.
func (q *inquiry) advance(ctx context.Context, patient bool) (done bool, err error) {
	if !q.isListed {
		if q.left, err = devicesTold(ctx, q.hub, q.job.JobID); err != nil {
			return false, err
		}
		// On Azure the list may trail the job that has ended.
		if s := q.job.DeviceJobStatistics; s != nil && len(q.left) < s.SucceededCount && patient {
			return false, nil
		}
		q.isListed = true
	}
	for len(q.left) > 0 {
		n := queryBatch(q.left)
		answers, err := readAnswersOf(ctx, q.hub, q.left[:n], q.told)
		if err != nil || patient && slices.ContainsFunc(answers, fleetAnswer.isAwaited) {
			return false, err
		}
		q.answers, q.left = append(q.answers, answers...), q.left[n:]
	}
	return true, nil
}

// isAwaited is true for a device that is about to answer.
func (a fleetAnswer) isAwaited() bool {
	return a.Answer == unanswered && a.ConnectionState == rest.StateConnected
}

// devicesTold gives the devices whose twins a job has changed, in order.
func devicesTold(ctx context.Context, hub *service.Client, job string) ([]string, error) {
	ids := []string{}
	for item, err := range hub.DeviceJobs(ctx, job) {
		if err != nil {
			return nil, err
		}
		if item.Status == rest.DeviceJobCompleted {
			ids = append(ids, item.DeviceID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

// queryRoom is how many characters of a query may be names of devices. A hub takes
// 8192 in all.
const queryRoom = 7000

// queryBatch is how many of the devices, at least one, a query has room for.
func queryBatch(ids []string) int {
	room := queryRoom
	for i, id := range ids {
		if room -= len(quoted(id)) + 1; room < 0 && i > 0 {
			return i
		}
	}
	return len(ids)
}

// amongCondition selects the devices by name.
func amongCondition(ids []string) string {
	names := make([]string, len(ids))
	for i, id := range ids {
		names[i] = quoted(id)
	}
	return "deviceId IN [" + strings.Join(names, ",") + "]"
}

// quoted is a device's id in the query language. An id may hold one kind of
// quotation mark, and never the other or a backslash.
func quoted(id string) string {
	if strings.Contains(id, "'") {
		return `"` + id + `"`
	}
	return "'" + id + "'"
}

// readAnswersOf asks what these devices say; there is an answer for each. One that
// the hub does not show, because it was deleted meanwhile, has not answered.
func readAnswersOf(ctx context.Context, hub *service.Client, ids []string, told map[string]any) ([]fleetAnswer, error) {
	rows, err := readAnswers(ctx, hub, amongCondition(ids), told)
	if err != nil {
		return nil, err
	}
	answers := make([]fleetAnswer, len(ids))
	for i, id := range ids {
		answers[i] = fleetAnswer{DeviceID: id, Answer: unanswered}
		if at, has := slices.BinarySearchFunc(rows, id, func(a fleetAnswer, id string) int { return strings.Compare(a.DeviceID, id) }); has {
			answers[i] = rows[at]
		}
	}
	return answers, nil
}
