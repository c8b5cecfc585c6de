package hub

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// runJob takes a job from where it stands to its end. hubCtx ends when the hub
// stops: then the rest of the job is left for the next start. ctx also ends
// when the job is cancelled: then nothing more is begun.
func (js *jobs) runJob(hubCtx, ctx context.Context, j job) error {
	if j.status == rest.JobQueued {
		if err := js.awaitTime(ctx, j.start); err != nil {
			return nil // stopped or cancelled
		}
		began, err := js.begin(hubCtx, &j)
		if err != nil || !began {
			return err
		}
	}
	limited, cancel := context.WithDeadline(ctx, j.deadline())
	defer cancel()
	ids, err := jobDevices(hubCtx, js.h.store.r, j.id, rest.DeviceJobPending)
	if err != nil {
		return err
	}
	if j.kind == rest.JobUpdateTwin {
		err = js.updateTwins(limited, j, ids)
	} else {
		err = js.callMethods(hubCtx, limited, j, ids)
	}
	if err != nil || hubCtx.Err() != nil {
		return err
	}
	return js.finish(hubCtx, j)
}

// begin chooses the devices, once, and marks the job as running. A condition
// that cannot be read is the end of the job. It tells whether there is work.
func (js *jobs) begin(ctx context.Context, j *job) (bool, error) {
	ids, err := js.h.devicesWhere(ctx, j.condition)
	if isQueryMistake(err) || errors.Is(err, errQuerySlow) {
		j.failure = err.Error()
	} else if err != nil {
		return false, err
	}
	now := js.h.now()
	j.status, j.started = rest.JobRunning, now
	if j.failure != "" {
		j.status, j.ended = rest.JobFailed, now
	}
	began := false
	err = js.h.store.write(ctx, func(tx *sql.Tx) error {
		began, err = setJobStatus(ctx, tx, *j, rest.JobQueued)
		if err != nil || !began {
			return err
		}
		for _, id := range ids {
			if err := insertJobDevice(ctx, tx, *j, id, now); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("begin job %s: %w", j.id, err)
	}
	return began && j.status == rest.JobRunning, nil
}

// finish ends a job whose devices are done, or whose time is over. A job that
// was cancelled meanwhile stays so.
func (js *jobs) finish(ctx context.Context, j job) error {
	j.status, j.ended = rest.JobCompleted, js.h.now()
	err := js.h.store.write(ctx, func(tx *sql.Tx) error {
		if _, err := setJobStatus(ctx, tx, j, rest.JobRunning); err != nil {
			return err
		}
		err := endJobDevices(ctx, tx, j.id, rest.DeviceJobPending, rest.DeviceJobFailed, &rest.DeviceJobError{
			Code: "JobTimeout", Description: "The job's maxExecutionTimeInSeconds passed before the device's turn.",
		}, j.ended)
		if err != nil {
			return err
		}
		// Nobody works on the job any more; such a one could not be noted.
		return endJobDevices(ctx, tx, j.id, rest.DeviceJobRunning, rest.DeviceJobFailed, outcomeUnknown, j.ended)
	})
	if err != nil {
		return fmt.Errorf("finish job %s: %w", j.id, err)
	}
	js.h.log.Info("a job is over", "job", j.id, "type", j.kind)
	return nil
}

// errNotPending says that a device's part of a job is no longer to be begun.
var errNotPending = errors.New("the job was cancelled, or the device is done")

// updateTwins writes the twins one after another. A twin and the note that it
// is done are one transaction, so none is written twice.
func (js *jobs) updateTwins(ctx context.Context, j job, ids []string) error {
	p, err := j.patch()
	if err != nil {
		return fmt.Errorf("job %s: %w", j.id, err)
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return nil
		}
		now := js.h.now()
		_, err := js.h.patchTwin(ctx, id, p, ifMatch{}, opUpdateTwin, func(ctx context.Context, tx *sql.Tx) error {
			begun, err := beginJobDevice(ctx, tx, j.id, id, now)
			if err == nil && !begun {
				err = errNotPending
			}
			if err == nil {
				_, err = endJobDevice(ctx, tx, j.id, id, rest.DeviceJobRunning, deviceResult{status: rest.DeviceJobCompleted}, now)
			}
			return err
		})
		switch {
		case errors.Is(err, errNotPending):
		case err != nil:
			if err := js.end(j.id, id, rest.DeviceJobPending, failed(err)); err != nil {
				return err
			}
		}
	}
	return nil
}

// callMethods calls a method on all devices, some at once. Devices that are not
// there are waited for without holding up the others.
func (js *jobs) callMethods(hubCtx, ctx context.Context, j job, ids []string) error {
	call, err := j.method()
	if err != nil {
		return fmt.Errorf("job %s: %w", j.id, err)
	}
	slots := make(chan struct{}, jobDevicesAtOnce)
	var all sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, id := range ids {
		all.Go(func() {
			if err := js.callMethod(hubCtx, ctx, j, id, call, slots); err != nil && hubCtx.Err() == nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	all.Wait()
	if len(errs) > 0 { // all would be the same full disk
		return fmt.Errorf("job %s: %d devices: %w", j.id, len(errs), errs[0])
	}
	return nil
}

// A device that is connected has a moment to subscribe to methods; looking is
// cheap at first and seldom later.
const (
	firstLook = 100 * time.Millisecond
	lastLook  = 4 * time.Second
)

// callMethod does a method job's part on one device.
func (js *jobs) callMethod(hubCtx, ctx context.Context, j job, id string, call methodCall, slots chan struct{}) error {
	deadline := js.h.now().Add(call.connect)
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		here := js.awaitDevice(ctx, id, deadline)
		if ctx.Err() != nil {
			return nil // finish, cancel or the next start says what becomes of it
		}
		if !here {
			return js.end(j.id, id, rest.DeviceJobPending, failed(notOnline()))
		}
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		absent, err := js.tryMethod(hubCtx, j, id, call, js.h.now().Before(deadline))
		<-slots
		if err != nil || !absent {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

func notOnline() error {
	return iothub.Errorf(iothub.DeviceNotOnline, "Timed out waiting for device to connect.")
}

// tryMethod calls the method if the device takes methods at this moment. It
// tells whether the device was absent, so that nothing was sent; when again is
// false that is the end too.
func (js *jobs) tryMethod(hubCtx context.Context, j job, id string, call methodCall, again bool) (absent bool, err error) {
	begun := false
	err = js.h.store.writeDurably(hubCtx, func(tx *sql.Tx) (err error) {
		begun, err = beginJobDevice(hubCtx, tx, j.id, id, js.h.now())
		return err
	})
	if err != nil || !begun {
		return false, err
	}
	// Not the job's context: once it is sent, its outcome is waited for even if
	// the job is cancelled.
	ctx, cancel := context.WithDeadline(hubCtx, j.deadline())
	defer cancel()
	call.connect = 0
	result, err := js.h.invoke(ctx, id, call)
	if hubCtx.Err() != nil && err != nil {
		return false, nil // recover says that the outcome is unknown
	}
	if again && errors.Is(err, &iothub.Error{Code: iothub.DeviceNotOnline}) {
		return true, js.h.store.write(hubCtx, func(tx *sql.Tx) error { return returnJobDevice(hubCtx, tx, j.id, id, js.h.now()) })
	}
	if err != nil {
		return false, js.end(j.id, id, rest.DeviceJobRunning, failed(err))
	}
	return false, js.end(j.id, id, rest.DeviceJobRunning, deviceResult{status: rest.DeviceJobCompleted, outcome: &result})
}

// end notes how a job ended on a device. It is not kept from it by the end of
// the hub: what is known is written down.
func (js *jobs) end(jobID, deviceID, from string, result deviceResult) error {
	ctx := context.Background()
	err := js.h.store.write(ctx, func(tx *sql.Tx) error {
		_, err := endJobDevice(ctx, tx, jobID, deviceID, from, result, js.h.now())
		return err
	})
	if err != nil {
		return fmt.Errorf("note the end of job %s on device %s: %w", jobID, deviceID, err)
	}
	return nil
}

func failed(err error) deviceResult {
	fault := rest.DeviceJobError{Code: "JobTimeout", Description: "The job's maxExecutionTimeInSeconds passed while the device was at work."}
	if wire, ok := isWire(err); ok {
		fault = rest.DeviceJobError{Code: wire.Code.String(), Description: wire.Message}
	} else if !errors.Is(err, context.DeadlineExceeded) {
		fault = rest.DeviceJobError{Code: iothub.ServerError.String(), Description: "The hub failed on this device."}
	}
	return deviceResult{status: rest.DeviceJobFailed, fault: &fault}
}
