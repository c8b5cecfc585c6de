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

const (
	// maxActiveJobs bounds the jobs that wait or run, each of which takes
	// memory. IoT Hub allows 1 to 10 by tier.
	maxActiveJobs = 100
	// jobDevicesAtOnce is how many devices of a job work on a method at the
	// same time: doors of one building, not all of them in one second.
	jobDevicesAtOnce = 10
	// maxFinishedJobs and maxFinishedDevices bound what is kept of finished
	// jobs: those that ended last, up to so many, with up to so many devices in
	// all (some tens of megabytes, if the devices answer in short). IoT Hub
	// keeps them for 30 days; but a clock that is wrong once would then be the
	// end of all of them.
	maxFinishedJobs    = 1000
	maxFinishedDevices = 100_000
	// jobRetry is when a job goes on that the hub itself stood in the way of: a
	// full disk, most likely, which takes a person to mend.
	jobRetry = time.Minute
)

// jobs runs the jobs. Their state is in the store, so that a job goes on when
// the hub starts again; here is only who is at work.
//
// A device's part goes pending → running → completed or failed. The change to
// running is on the disk before a method is sent, and a device that is found
// running at a start is failed: its method may have been sent, and is not sent
// again. So a job calls no device twice, whatever happens to the hub.
type jobs struct {
	h    *Hub
	news chan struct{} // a job was created; holds one

	mu      sync.Mutex // guards everything that follows
	active  map[string]context.CancelFunc
	waiting map[string]map[chan struct{}]bool // by device: closed when it connects
}

func newJobs(h *Hub) *jobs {
	return &jobs{
		h: h, news: make(chan struct{}, 1),
		active:  map[string]context.CancelFunc{},
		waiting: map[string]map[chan struct{}]bool{},
	}
}

// create stores a job; its runner picks it up. The oldest finished ones make
// room for it.
func (js *jobs) create(ctx context.Context, j job) error {
	err := js.h.store.write(ctx, func(tx *sql.Tx) error {
		switch _, err := getJob(ctx, tx, j.id); {
		case err == nil:
			return iothub.Errorf(iothub.JobAlreadyExists, "A job with ID '%s' already exists.", j.id)
		case !errors.Is(err, &iothub.Error{Code: iothub.JobNotFound}):
			return err
		}
		waiting, err := countUnfinishedJobs(ctx, tx)
		if err != nil {
			return err
		}
		if waiting >= maxActiveJobs {
			return iothub.Errorf(iothub.ThrottlingMaxActiveJobCountExceeded, "%d jobs wait or run already", waiting)
		}
		if err := deleteOldJobs(ctx, tx, maxFinishedJobs, maxFinishedDevices); err != nil {
			return err
		}
		return insertJob(ctx, tx, j)
	})
	if err == nil {
		js.announce()
	}
	return err
}

func (js *jobs) announce() {
	select {
	case js.news <- struct{}{}:
	default: // the runner has not yet looked since the last one
	}
}

// cancel ends a job that waits or runs. What was sent to a device already is
// not undone, and its outcome is still noted.
func (js *jobs) cancel(ctx context.Context, id string) (job, error) {
	var j job
	err := js.h.store.write(ctx, func(tx *sql.Tx) (err error) {
		if j, err = getJob(ctx, tx, id); err != nil || j.status == rest.JobCancelled {
			return err
		}
		if j.over() {
			return iothub.Errorf(iothub.JobRunPreconditionFailed, "the job has %s already", j.status)
		}
		from := j.status
		j.status, j.ended = rest.JobCancelled, js.h.now()
		if _, err := setJobStatus(ctx, tx, j, from); err != nil {
			return err
		}
		return endJobDevices(ctx, tx, id, rest.DeviceJobPending, rest.DeviceJobCanceled, nil, j.ended)
	})
	if err != nil {
		return j, err
	}
	js.mu.Lock()
	stop := js.active[id]
	js.mu.Unlock()
	if stop != nil {
		stop()
	}
	return j, nil
}

// run runs jobs until ctx ends, and waits for what it began. recover must have
// succeeded before.
func (js *jobs) run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		if err := js.startAll(ctx, &running); err != nil {
			js.h.log.Error("jobs could not be started", "err", err)
		}
		select {
		case <-js.news:
		case <-ctx.Done():
			return
		}
	}
}

// recover notes what is known of the devices that were at work when the hub ended.
func (js *jobs) recover(ctx context.Context) error {
	err := js.h.store.write(ctx, func(tx *sql.Tx) error {
		return endJobDevices(ctx, tx, "", rest.DeviceJobRunning, rest.DeviceJobFailed, outcomeUnknown, js.h.now())
	})
	if err != nil {
		return fmt.Errorf("note what jobs were doing when the hub ended: %w", err)
	}
	return nil
}

// outcomeUnknown is what is known of a device that was at work when the hub
// ended, or could not note what came of it.
var outcomeUnknown = &rest.DeviceJobError{
	Code:        "OutcomeUnknown",
	Description: "The hub lost the outcome while the device was at work. The method may have been carried out; it was not sent again.",
}

// startAll starts a goroutine for each unfinished job that has none.
func (js *jobs) startAll(ctx context.Context, running *sync.WaitGroup) error {
	all, err := unfinishedJobs(ctx, js.h.store.r)
	if err != nil {
		if ctx.Err() != nil {
			return nil
		}
		return err
	}
	for _, j := range all {
		jobCtx, cancel := context.WithCancel(ctx)
		if !js.adopt(j.id, cancel) {
			cancel()
			continue
		}
		running.Go(func() {
			defer js.drop(j.id)
			defer cancel()
			if err := js.runJob(ctx, jobCtx, j); err != nil && ctx.Err() == nil {
				js.h.log.Error("a job could not go on; it will be tried again", "job", j.id, "err", err, "in", jobRetry)
				time.AfterFunc(jobRetry, js.announce)
			}
		})
	}
	return nil
}

func (js *jobs) adopt(id string, cancel context.CancelFunc) bool {
	js.mu.Lock()
	defer js.mu.Unlock()
	if js.active[id] != nil {
		return false
	}
	js.active[id] = cancel
	return true
}

func (js *jobs) drop(id string) {
	js.mu.Lock()
	defer js.mu.Unlock()
	delete(js.active, id)
}

// arrived wakes the jobs that wait for a device.
func (js *jobs) arrived(deviceID string) {
	js.mu.Lock()
	defer js.mu.Unlock()
	for c := range js.waiting[deviceID] {
		close(c)
	}
	delete(js.waiting, deviceID)
}

// awaitDevice waits until a device is connected; it tells whether it is. It
// gives up at the deadline and when ctx ends.
func (js *jobs) awaitDevice(ctx context.Context, deviceID string, deadline time.Time) bool {
	c := make(chan struct{})
	js.mu.Lock()
	if js.waiting[deviceID] == nil {
		js.waiting[deviceID] = map[chan struct{}]bool{}
	}
	js.waiting[deviceID][c] = true
	js.mu.Unlock()
	defer func() {
		js.mu.Lock()
		defer js.mu.Unlock()
		delete(js.waiting[deviceID], c)
		if len(js.waiting[deviceID]) == 0 {
			delete(js.waiting, deviceID)
		}
	}()
	if js.h.broker.Connected(deviceID) {
		return true
	}
	timeout := time.NewTimer(deadline.Sub(js.h.now()))
	defer timeout.Stop()
	select {
	case <-c:
		return true
	case <-timeout.C:
	case <-ctx.Done():
	}
	return false
}

// awaitTime waits for a time on the wall clock, which may be set meanwhile.
func (js *jobs) awaitTime(ctx context.Context, at time.Time) error {
	const look = time.Minute // how late a job is after the clock was set forward
	for {
		left := at.Sub(js.h.now())
		if left <= 0 {
			return nil
		}
		timer := time.NewTimer(min(left, look))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("wait for the start of the job: %w", ctx.Err())
		}
	}
}
