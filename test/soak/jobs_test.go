package soak

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"latchd/test/site"
)

// jobWriter creates jobs that call a method on both devices.
type jobWriter struct {
	*load
	devices []*reporter

	mu           sync.Mutex // guards the field below
	acknowledged []string
}

// mostJobs is how many jobs are created: fewer than the 1,000 that the hub
// remembers, so that each is there to be compared at the end.
const mostJobs = 900

func (w *jobWriter) write(ctx context.Context) {
	for n := 0; n < mostJobs && ctx.Err() == nil; n++ {
		id := fmt.Sprintf("job-%d", n)
		status, _ := w.send(ctx, "PUT", "/jobs/v2/"+id, fmt.Sprintf(`{"jobId":%[1]q,"type":"scheduleDeviceMethod",
			"cloudToDeviceMethod":{"methodName":"count","payload":%[1]q,"responseTimeoutInSeconds":10,"connectTimeoutInSeconds":60},
			"queryCondition":"deviceId IN ['d0','d1']","maxExecutionTimeInSeconds":300}`, id))
		switch status {
		case 200:
			w.mu.Lock()
			w.acknowledged = append(w.acknowledged, id)
			w.mu.Unlock()
		case 0, 429: // nobody knows; too many wait
		default:
			w.Errorf("PUT of %s: %d", id, status)
		}
		select { // jobs take a while on the devices
		case <-time.After(30 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

func (w *jobWriter) check() {
	w.mu.Lock()
	last := slices.Clone(w.acknowledged[max(0, len(w.acknowledged)-3):])
	w.mu.Unlock()
	for _, id := range last {
		if status, _ := w.get("/jobs/v2/" + id); status != 200 {
			w.Errorf("%s was acknowledged and is gone: %d", id, status)
		}
	}
	for _, d := range w.devices {
		d.checkCalls()
	}
}

// finish waits for all jobs and compares what they say of each device with what
// reached it.
func (w *jobWriter) finish() {
	for _, d := range w.devices {
		d.comeBack()
	}
	for _, id := range w.acknowledged {
		if w.Failed() {
			return
		}
		if job := w.AwaitJob(id); job["status"] != "completed" {
			w.Errorf("%s ended as %v", id, job)
		}
	}
	for _, id := range w.acknowledged {
		rows := w.rows(id)
		for _, d := range w.devices {
			w.compare(d, id, rows[d.id])
		}
	}
	for _, d := range w.devices {
		d.checkCalls()
	}
}

// rows are what a job says of its devices.
func (w *jobWriter) rows(id string) map[string]any {
	rows := map[string]any{}
	query := fmt.Sprintf(`{"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = '%s'"}`, id)
	status, page := w.Request("POST", "/devices/query", query)
	list, ok := page.([]any)
	if status != 200 || !ok {
		w.Fatalf("query of jobs: %d, %v", status, page)
	}
	for _, row := range list {
		device, _ := site.At(row, "deviceId").(string)
		rows[device] = row
	}
	return rows
}

// compare judges one job on one device: called once if the job says that it
// succeeded, at most once if the hub died while the device was at work.
func (w *jobWriter) compare(d *reporter, id string, row any) {
	calls := d.callsOf(id)
	switch status := site.At(row, "status"); {
	case status == "completed" && calls == 1:
		w.figures.saw("a job's device: called once")
	case status == "failed" && calls <= 1 && strings.Contains(fmt.Sprint(row), "OutcomeUnknown"):
		w.figures.saw(fmt.Sprintf("a job's device: outcome unknown, called %d times", calls))
	case status == "failed" && calls <= 1 && site.At(row, "error") != nil:
		w.figures.saw(fmt.Sprintf("a job's device: %v, called %d times", site.At(row, "error", "code"), calls))
	default:
		w.Errorf("%s on %s: called %d times, the job says %v", id, d.id, calls, row)
	}
}

// feedReader follows the feed of events, and wants every message in it that the
// hub acknowledged to a device.
type feedReader struct {
	*load
	devices []*reporter
	last    int64
	found   map[string]int // of messages, by device and number
}

func (w *feedReader) write(ctx context.Context) {
	w.found = map[string]int{}
	for ctx.Err() == nil {
		w.page(ctx)
	}
}

// page reads on, and tells whether there was something.
func (w *feedReader) page(ctx context.Context) bool {
	status, page := w.send(ctx, "GET", fmt.Sprintf("/__events?after=%d&wait=1", w.last), "")
	events, _ := site.At(page, "events").([]any)
	if status != 200 {
		return status == 0 && ctx.Err() == nil
	}
	for _, e := range events {
		seq := number(site.At(e, "seq"))
		if seq <= w.last {
			w.Errorf("the feed goes back: %d after %d", seq, w.last)
		}
		w.last = seq
		if site.At(e, "source") == "Telemetry" {
			w.found[fmt.Sprint(site.At(e, "deviceId"), site.At(e, "body", "n"))]++
		}
	}
	return len(events) > 0
}

func (w *feedReader) check() {}

func (w *feedReader) finish() {
	for w.page(context.Background()) {
	}
	lost := 0
	for _, d := range w.devices {
		for _, n := range d.messages() {
			if w.found[fmt.Sprint(d.id, n)] == 0 {
				lost++
			}
		}
	}
	if lost > 0 {
		w.Errorf("%d messages of devices were acknowledged and are not in the feed", lost)
	}
}
