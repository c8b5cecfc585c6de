package hub

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// job is a row of the jobs.
type job struct {
	seq       int64 // order of creation
	id, kind  string
	work      json.RawMessage // cloudToDeviceMethod or updateTwin as it was asked for
	condition string
	created   time.Time
	start     time.Time // when to start
	started   time.Time // when it did; zero before
	ended     time.Time // zero before
	seconds   int64     // maxExecutionTimeInSeconds
	status    string
	failure   string
}

func (j job) over() bool { return j.status != rest.JobQueued && j.status != rest.JobRunning }

const jobColumns = "seq, job_id, type, work, condition, created, start, started, ended, seconds, status, failure"

func scanJob(r row) (job, error) {
	var j job
	var work string
	err := r.Scan(&j.seq, &j.id, &j.kind, &work, &j.condition, (*storedTime)(&j.created), (*storedTime)(&j.start),
		(*storedTime)(&j.started), (*storedTime)(&j.ended), &j.seconds, &j.status, &j.failure)
	j.work = json.RawMessage(work)
	return j, err
}

// getJob gives one job, or JobNotFound.
func getJob(ctx context.Context, from reader, id string) (job, error) {
	j, err := scanJob(from.QueryRowContext(ctx, "SELECT "+jobColumns+" FROM jobs WHERE job_id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return j, iothub.Errorf(iothub.JobNotFound, "%s", id)
	}
	if err != nil {
		return j, fmt.Errorf("read job %s: %w", id, err)
	}
	return j, nil
}

// listJobs gives jobs in the order of their creation, after one; an empty kind
// or status means any.
func listJobs(ctx context.Context, from reader, after int64, limit int, kind, status string) ([]job, error) {
	all, err := collect(ctx, from, scanJob, "SELECT "+jobColumns+` FROM jobs
		WHERE seq > ?1 AND (?2 = '' OR type = ?2 COLLATE NOCASE) AND (?3 = '' OR status = ?3 COLLATE NOCASE)
		ORDER BY seq LIMIT ?4`, after, kind, status, limit)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return all, nil
}

// unfinishedJobs gives the jobs that wait for their time or run.
func unfinishedJobs(ctx context.Context, from reader) ([]job, error) {
	all, err := collect(ctx, from, scanJob, "SELECT "+jobColumns+" FROM jobs WHERE status IN (?, ?) ORDER BY seq",
		rest.JobQueued, rest.JobRunning)
	if err != nil {
		return nil, fmt.Errorf("list unfinished jobs: %w", err)
	}
	return all, nil
}

// countUnfinishedJobs counts them, without reading their work.
func countUnfinishedJobs(ctx context.Context, from reader) (n int, err error) {
	err = from.QueryRowContext(ctx, "SELECT count(*) FROM jobs WHERE status IN (?, ?)", rest.JobQueued, rest.JobRunning).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count unfinished jobs: %w", err)
	}
	return n, nil
}

func insertJob(ctx context.Context, tx *sql.Tx, j job) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO jobs (job_id, type, work, condition, created, start, seconds, status, failure)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, '')`,
		j.id, j.kind, string(j.work), j.condition, formatTime(j.created), formatTime(j.start), j.seconds, j.status)
	if err != nil {
		return fmt.Errorf("write job %s: %w", j.id, err)
	}
	return nil
}

// setJobStatus moves a job on, if it is still where the caller thinks. It
// tells whether it was.
func setJobStatus(ctx context.Context, tx *sql.Tx, j job, from string) (bool, error) {
	return changed(tx.ExecContext(ctx, `UPDATE jobs SET status = ?1, failure = ?2, started = ?3, ended = ?4,
			finished = CASE WHEN ?4 IS NULL THEN NULL ELSE (SELECT coalesce(max(finished), 0) + 1 FROM jobs) END
		WHERE job_id = ?5 AND status = ?6`,
		j.status, j.failure, nullTime(j.started), nullTime(j.ended), j.id, from))
}

// changed tells whether a statement changed a row.
func changed(r sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

// deleteOldJobs removes finished jobs until there are at most so many, and so
// many devices in all of them; the last one always stays. Those that ended
// first go first; no clock is asked.
func deleteOldJobs(ctx context.Context, tx *sql.Tx, maxJobs, maxDevices int) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM jobs WHERE seq IN (
		SELECT seq FROM (
			SELECT seq, row_number() OVER newest AS jobs, sum(devices) OVER newest AS devices
			FROM (SELECT seq, finished, (SELECT count(*) FROM job_devices d WHERE d.job_id = j.job_id) AS devices
				FROM jobs j WHERE finished IS NOT NULL)
			WINDOW newest AS (ORDER BY finished DESC))
		WHERE jobs > ? OR devices > ? AND jobs > 1)`, maxJobs, maxDevices)
	if err != nil {
		return fmt.Errorf("remove old jobs: %w", err)
	}
	return nil
}

// jobStatistics counts the devices of a job; those it was canceled for are in
// none of the parts.
func jobStatistics(ctx context.Context, from reader, id string) (*rest.JobStatistics, error) {
	n := &rest.JobStatistics{}
	err := from.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE status = ?), count(*) FILTER (WHERE status = ?),
			count(*) FILTER (WHERE status = ?), count(*) FILTER (WHERE status = ?)
		FROM job_devices WHERE job_id = ?`,
		rest.DeviceJobFailed, rest.DeviceJobCompleted, rest.DeviceJobRunning, rest.DeviceJobPending, id).
		Scan(&n.DeviceCount, &n.FailedCount, &n.SucceededCount, &n.RunningCount, &n.PendingCount)
	if err != nil {
		return nil, fmt.Errorf("count the devices of job %s: %w", id, err)
	}
	return n, nil
}
