package hub

import (
	"encoding/json"

	"latchd/iothub/rest"
)

func (h *Hub) apiCreateJob(r *request) (answer, error) {
	var in jobInput
	if err := decodeInto(r.body, &in); err != nil {
		return answer{}, err
	}
	j, err := newJob(r.args[0], in, h.now())
	if err != nil {
		return answer{}, err
	}
	if err := h.jobs.create(r.Context(), j); err != nil {
		return answer{}, err
	}
	// "queued", also where the start is far: the Node SDK's tests insist.
	return ok(j.wire(&rest.JobStatistics{}))
}

func (h *Hub) apiGetJob(r *request) (answer, error) {
	j, err := getJob(r.Context(), h.store.r, r.args[0])
	if err != nil {
		return answer{}, err
	}
	return h.jobAnswer(r, j)
}

func (h *Hub) jobAnswer(r *request, j job) (answer, error) {
	n, err := jobStatistics(r.Context(), h.store.r, j.id)
	if err != nil {
		return answer{}, err
	}
	return ok(j.wire(n))
}

func (h *Hub) apiCancelJob(r *request) (answer, error) {
	j, err := h.jobs.cancel(r.Context(), r.args[0])
	if err != nil {
		return answer{}, err
	}
	return h.jobAnswer(r, j)
}

// apiListJobs gives jobs in pages, in the order of their creation.
func (h *Hub) apiListJobs(r *request) (answer, error) {
	p, err := readPaging(r)
	if err != nil {
		return answer{}, err
	}
	q := r.URL.Query()
	all, err := listJobs(r.Context(), h.store.r, int64(p.delivered), p.size+1, q.Get("jobType"), q.Get("jobStatus"))
	if err != nil {
		return answer{}, err
	}
	more := len(all) > p.size
	all = all[:min(len(all), p.size)]
	items := make([]json.RawMessage, len(all))
	for i, j := range all {
		a, err := h.jobAnswer(r, j)
		if err != nil {
			return answer{}, err
		}
		items[i] = a.body
	}
	next := paging{}
	if more {
		next.delivered = int(all[len(all)-1].seq)
	}
	return page(items, rest.ItemJobResponse, more, next)
}

// apiOldJobs answers for the import and export jobs, which this hub has not:
// the az command line asks for both kinds.
func (h *Hub) apiOldJobs(*request) (answer, error) { return ok([]any{}) }
