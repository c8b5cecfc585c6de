package hub

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"latchd/iothub/rest"
)

// jobDeviceKey is the key of what became of a job on a device. A job id has no
// slash, so no two are the same.
func jobDeviceKey(jobID, deviceID string) string { return jobID + "/" + deviceID }

func insertJobDevice(ctx context.Context, tx *sql.Tx, j job, deviceID string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO job_devices (key, job_id, device_id, type, status, created, updated)
		VALUES (?, ?, ?, ?, ?, ?, ?)`,
		jobDeviceKey(j.id, deviceID), j.id, deviceID, j.kind, rest.DeviceJobPending, formatTime(j.created), formatTime(at))
	if err != nil {
		return fmt.Errorf("write job %s: device %s: %w", j.id, deviceID, err)
	}
	return nil
}

// jobDevices gives the ids of a job's devices in a status.
func jobDevices(ctx context.Context, from reader, jobID, status string) ([]string, error) {
	ids, err := collect(ctx, from, func(r row) (id string, err error) { return id, r.Scan(&id) },
		"SELECT device_id FROM job_devices WHERE job_id = ? AND status = ? ORDER BY device_id", jobID, status)
	if err != nil {
		return nil, fmt.Errorf("read the devices of job %s: %w", jobID, err)
	}
	return ids, nil
}

// beginJobDevice marks a pending device as running, if its job still is. It
// tells whether it did: only then may anything be sent to the device.
func beginJobDevice(ctx context.Context, tx *sql.Tx, jobID, deviceID string, at time.Time) (bool, error) {
	return changed(tx.ExecContext(ctx, `UPDATE job_devices SET status = ?, started = ?, updated = ?
		WHERE key = ? AND status = ? AND EXISTS (SELECT 1 FROM jobs WHERE job_id = ? AND status = ?)`,
		rest.DeviceJobRunning, formatTime(at), formatTime(at),
		jobDeviceKey(jobID, deviceID), rest.DeviceJobPending, jobID, rest.JobRunning))
}

// deviceResult is how a job ended on a device.
type deviceResult struct {
	status  string
	outcome *rest.MethodResult
	fault   *rest.DeviceJobError
}

// endJobDevice notes how a job ended on a device, if the device still is in
// the status that the caller thinks. It tells whether it was.
func endJobDevice(ctx context.Context, tx *sql.Tx, jobID, deviceID, from string, result deviceResult, at time.Time) (bool, error) {
	var outcome, fault any // NULL
	if result.outcome != nil {
		text, err := json.Marshal(rest.DeviceOutcome{DeviceMethodResponse: result.outcome})
		if err != nil {
			return false, fmt.Errorf("write the outcome of job %s on device %s: %w", jobID, deviceID, err)
		}
		outcome = string(text)
	}
	if result.fault != nil {
		text, err := json.Marshal(result.fault)
		if err != nil {
			return false, fmt.Errorf("write the failure of job %s on device %s: %w", jobID, deviceID, err)
		}
		fault = string(text)
	}
	return changed(tx.ExecContext(ctx, `UPDATE job_devices
		SET status = ?, outcome = ?, error = ?, started = coalesce(started, ?), ended = ?, updated = ?
		WHERE key = ? AND status = ?`,
		result.status, outcome, fault, formatTime(at), formatTime(at), formatTime(at), jobDeviceKey(jobID, deviceID), from))
}

// returnJobDevice makes a running device pending again: it is known that
// nothing was sent to it.
func returnJobDevice(ctx context.Context, tx *sql.Tx, jobID, deviceID string, at time.Time) error {
	_, err := tx.ExecContext(ctx, "UPDATE job_devices SET status = ?, started = NULL, updated = ? WHERE key = ? AND status = ?",
		rest.DeviceJobPending, formatTime(at), jobDeviceKey(jobID, deviceID), rest.DeviceJobRunning)
	if err != nil {
		return fmt.Errorf("write job %s: device %s: %w", jobID, deviceID, err)
	}
	return nil
}

// endJobDevices ends all of a job's devices in a status; of all jobs where the
// id is "".
func endJobDevices(ctx context.Context, tx *sql.Tx, jobID, from, to string, fault *rest.DeviceJobError, at time.Time) error {
	var text any
	if fault != nil {
		b, err := json.Marshal(fault)
		if err != nil {
			return err
		}
		text = string(b)
	}
	_, err := tx.ExecContext(ctx, `UPDATE job_devices SET status = ?1, error = ?2, ended = ?3, updated = ?3
		WHERE status = ?4 AND (?5 = '' OR job_id = ?5)`, to, text, formatTime(at), from, jobID)
	if err != nil {
		return fmt.Errorf("end the devices of job %s: %w", jobID, err)
	}
	return nil
}

// getDeviceJob gives one row as a query does.
func getDeviceJob(ctx context.Context, from reader, key string) (rest.DeviceJob, error) {
	var d rest.DeviceJob
	var created, started, ended, updated time.Time
	var outcome, fault sql.NullString
	err := from.QueryRowContext(ctx, `SELECT device_id, job_id, type, status, created, started, ended, updated, outcome, error
		FROM job_devices WHERE key = ?`, key).
		Scan(&d.DeviceID, &d.JobID, &d.JobType, &d.Status, (*storedTime)(&created), (*storedTime)(&started),
			(*storedTime)(&ended), (*storedTime)(&updated), &outcome, &fault)
	if err == nil && outcome.Valid {
		err = json.Unmarshal([]byte(outcome.String), &d.Outcome)
	}
	if err == nil && fault.Valid {
		err = json.Unmarshal([]byte(fault.String), &d.Error)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("read what became of %s: %w", key, err)
	}
	d.CreatedDateTimeUTC, d.StartTimeUTC = timePointer(created), timePointer(started)
	d.EndTimeUTC, d.LastUpdatedDateTimeUTC = timePointer(ended), timePointer(updated)
	return d, err
}
