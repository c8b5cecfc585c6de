package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// scheduleFlags are what `job method` and `job twin` share.
type scheduleFlags struct {
	id      string
	where   string
	start   string
	in      time.Duration
	maxTime time.Duration
	wait    waitFlags
}

const (
	// defaultMaxTime is what Azure's own command line gives a job.
	defaultMaxTime = time.Hour
	// longestIn is far longer than anybody plans; beyond it a number was
	// mistyped.
	longestIn = 30 * 24 * time.Hour
)

func (f *scheduleFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.id, "id", "", "id of the job, another way to give NAME (default: a new one)")
	flags.StringVar(&f.where, "where", "", "which devices: a condition of the query language, or '*' for all")
	flags.StringVar(&f.start, "start", "", "when to start, like 2026-11-22T02:30:00Z (default: now)")
	flags.DurationVar(&f.in, "in", 0, "when to start, from now")
	flags.DurationVar(&f.maxTime, "max-time", defaultMaxTime, "how long after its start the job gives up on devices that are away")
	f.wait.bind(flags)
	_ = cmd.MarkFlagRequired("where")
	cmd.MarkFlagsMutuallyExclusive("start", "in")
}

// request makes the part of the job that does not depend on what it does.
func (f *scheduleFlags) request(args []string, now time.Time) (r rest.JobRequest, err error) {
	switch {
	case len(args) == 1 && f.id != "":
		return r, usagef("NAME and --id are the same: give one of them")
	case len(args) == 1:
		r.JobID = args[0]
	case f.id != "":
		r.JobID = f.id
	default:
		r.JobID = newJobID()
	}
	if err := checkJob(r.JobID); err != nil {
		return r, err
	}
	if r.QueryCondition, err = service.CheckCondition(f.where); err != nil {
		return r, usagef("--where: %w", err)
	}
	seconds, err := wholeSeconds("--max-time", f.maxTime, time.Second, math.MaxInt32*time.Second)
	if err != nil {
		return r, err
	}
	r.MaxExecutionTimeInSeconds = int64(seconds)
	r.StartTime, err = f.startTime(now)
	return r, err
}

func (f *scheduleFlags) startTime(now time.Time) (*rest.Time, error) {
	switch {
	case f.start != "":
		at, err := time.Parse(time.RFC3339, f.start)
		if err != nil {
			return nil, usagef("--start is %q; it must be a time like 2026-11-22T02:30:00Z or 2026-11-22T03:30:00+01:00", f.start)
		}
		return &rest.Time{Time: at}, nil
	case f.in < 0 || f.in > longestIn:
		return nil, usagef("--in is %s; it must be 0s to %s", f.in, longestIn)
	case f.in > 0:
		return &rest.Time{Time: now.Add(f.in)}, nil
	}
	return nil, nil // now, by the hub's clock and not by this machine's
}

// schedule creates the job and, if asked to, waits for its end.
func (p *program) schedule(ctx context.Context, r rest.JobRequest, wait waitFlags) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	if _, err := p.tellMatches(ctx, hub, r); err != nil {
		return err
	}
	made, err := createJob(ctx, hub, r)
	if err != nil {
		return err
	}
	if !wait.wait {
		return p.printJob(jobView{Job: made})
	}
	return p.waitJob(ctx, hub, r.JobID, wait.limit(r, time.Now()), jobFailure)
}

func createJob(ctx context.Context, hub *service.Client, r rest.JobRequest) (rest.Job, error) {
	made, err := hub.CreateJob(ctx, r)
	if unreachable, ok := errors.AsType[*service.UnreachableError](err); ok && unreachable.MaybeSent {
		err = withHint(err, "the job may have been created: `latchctl job show %s`", r.JobID)
	}
	return made, err
}

// jobRate is how many devices an S1 hub handles per second in a job (Learn,
// "IoT Hub quotas and throttling").
const jobRate = 10

// manyDevices is from where on the estimate is worth a line.
const manyDevices = 100

const unknownMatches = -1

// tellMatches says how many devices the condition selects now. A condition
// that the hub cannot read is an error; that it cannot count at the moment is
// not, because the job itself may well succeed: then it gives unknownMatches.
func (p *program) tellMatches(ctx context.Context, hub *service.Client, r rest.JobRequest) (int, error) {
	n, err := hub.Count(ctx, r.QueryCondition)
	if no, ok := errors.AsType[*iothub.Error](err); ok && no.Status() == http.StatusBadRequest {
		return 0, explainCondition(err)
	}
	if err != nil {
		if ctx.Err() != nil {
			return 0, err
		}
		fmt.Fprintln(p.stderr, clean(redact("cannot tell how many devices match: "+err.Error())))
		return unknownMatches, nil
	}
	text := fmt.Sprintf("job %s: %s match", r.JobID, devices(n))
	if n == 1 {
		text += "es"
	}
	if n > manyDevices {
		text += fmt.Sprintf("; at %d a second, as on Azure S1, that takes about %s",
			jobRate, (time.Duration(n) * time.Second / jobRate).Round(time.Second))
	}
	fmt.Fprintln(p.stderr, text)
	return n, nil
}

// explainCondition says of a query that the hub could not carry out how the
// operator's part of it should look.
func explainCondition(err error) error {
	return withHint(fmt.Errorf("--where: %w", err), `conditions look like "deviceId IN ['a','b']" or "tags.building = 43"`)
}

// waitFlags are those of a command that can wait for a job.
type waitFlags struct {
	wait    bool
	timeout time.Duration
}

func (f *waitFlags) bind(flags *pflag.FlagSet) {
	flags.BoolVar(&f.wait, "wait", false, "wait until the job has ended, then show each device")
	flags.DurationVar(&f.timeout, "wait-timeout", 0, "how long to wait (default: until the job must have ended)")
}

const (
	// waitMargin is added to the latest end of a job: the hub tidies up after
	// max-time, and its clock is not ours.
	waitMargin = 2 * time.Minute
	// waitUnknown is for a hub that does not tell a job's times.
	waitUnknown = 24 * time.Hour
)

// limit is how long to wait for a job.
func (f *waitFlags) limit(r rest.JobRequest, now time.Time) time.Duration {
	if f.timeout > 0 {
		return f.timeout
	}
	most := time.Duration(r.MaxExecutionTimeInSeconds) * time.Second
	if most <= 0 || most > waitUnknown {
		return waitUnknown
	}
	if r.StartTime != nil && r.StartTime.After(now) {
		most += r.StartTime.Sub(now)
	}
	return most + waitMargin
}
