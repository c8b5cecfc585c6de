package device

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"latchd/internal/backoff"
	"latchd/iothub"
)

const (
	// The first retry of a patch comes within patchBase, the last ones within
	// patchCap: a report should arrive soon after a throttled hub recovers.
	patchBase = 2 * time.Second
	patchCap  = 2 * time.Minute

	// throttledFloor is the least pause after a 429; the Node SDK's is as long.
	throttledFloor = 10 * time.Second
	// quotaFloor is the least pause after a 403: the hub's daily quota is
	// used up, and asking again costs more of it.
	quotaFloor = time.Minute
)

// reports brings what the hub holds in the reported section to what the user
// wants there. It does no I/O: the session asks it for the next patch and
// tells it what became of the last.
//
// The difference is taken between documents, by key. A patch that is refused
// as a whole is tried again key by key, so that one bad value costs only
// itself.
type reports struct {
	log  *slog.Logger
	wake chan struct{} // receives when there may be a patch to send

	mu        sync.Mutex // guards the fields below
	changed   chan struct{}
	wanted    map[string]any // nil values: to be absent
	sequence  int64          // of wanted; grows when it changes
	confirmed int64          // the sequence that the hub held in full, refusals aside

	held    map[string]any
	known   bool           // held is what the hub holds
	sent    map[string]any // the patch that is not answered yet; nil: none is
	sentFor map[string]any // wanted, when sent was made
	settled bool           // nothing is missing: the session asks at each of its steps
	refused map[string]refusal
	alone   map[string]bool // keys to be sent alone, because they were in a refused patch

	retry     backoff.Policy
	notBefore time.Time // of the next patch
}

type refusal struct {
	value any // refused until another is wanted
	why   string
}

// nextStep is what the session shall do about the reported section; the zero
// value: nothing.
type nextStep struct {
	patch   map[string]any // to be sent
	unknown bool           // what the hub holds has to be read first
	pause   time.Duration  // to be waited first
}

func newReports(log *slog.Logger) *reports {
	return &reports{
		log:     log,
		wake:    make(chan struct{}, 1),
		changed: make(chan struct{}),
		refused: map[string]refusal{},
		alone:   map[string]bool{},
		retry:   backoff.Policy{Base: patchBase, Cap: patchCap},
	}
}

// want takes what the reported section shall hold.
func (r *reports) want(want map[string]any) {
	doc := make(map[string]any, len(want))
	for key, value := range want {
		// The form that answers of the hub have, so that both compare.
		one, err := iothub.ToDocument(map[string]any{key: value})
		if err != nil {
			r.log.Error("a reported property cannot be written as JSON", "key", key, "error", err)
			continue
		}
		doc[key] = one[key]
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.wanted != nil && iothub.Equal(r.wanted, doc) {
		return
	}
	r.wanted, r.settled = doc, false
	r.sequence++
	for key, old := range r.refused {
		if value, ok := doc[key]; !ok || !iothub.Equal(value, old.value) {
			delete(r.refused, key)
		}
	}
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// next gives the next step. A patch that it gives counts as sent.
func (r *reports) next(now time.Time) nextStep {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.sent != nil {
		return nextStep{}
	}
	if pause := r.notBefore.Sub(now); pause > 0 {
		return nextStep{pause: pause}
	}
	if !r.known {
		return nextStep{unknown: true}
	}
	if r.settled {
		return nextStep{}
	}
	if r.sent, r.sentFor = r.nextPatch(), r.wanted; r.sent == nil {
		r.settled = true
		if r.confirmed != r.sequence {
			r.confirmed = r.sequence
			r.announce()
		}
		return nextStep{}
	}
	return nextStep{patch: r.sent}
}

// nextPatch gives what is missing, or a part of it that has to go alone, or
// nil. Keys that the hub is known to refuse it refuses itself: some of them
// would cost the connection.
func (r *reports) nextPatch() map[string]any {
	missing := r.missing()
	for _, key := range sortedDeletionsFirst(missing) {
		if err := iothub.CheckPatch(map[string]any{key: missing[key]}); err != nil {
			r.refuse(key, r.wanted[key], err.Error())
			delete(missing, key)
		}
	}
	if len(missing) == 0 {
		clear(r.alone)
		return nil
	}
	if len(r.alone) == 0 {
		if r.tooLarge(missing) == nil {
			return missing
		}
		r.putAlone(missing)
	}
	for _, key := range sortedDeletionsFirst(missing) {
		if !r.alone[key] {
			continue
		}
		patch := map[string]any{key: missing[key]}
		err := r.tooLarge(patch)
		if err == nil {
			return patch
		}
		r.refuse(key, r.wanted[key], err.Error())
		delete(missing, key)
	}
	clear(r.alone) // all of them are done; what else is missing goes together
	return r.nextPatch()
}

// missing is the patch from what the hub holds to what it shall hold.
func (r *reports) missing() map[string]any {
	from, to := map[string]any{}, map[string]any{}
	for key, value := range r.wanted {
		if _, refused := r.refused[key]; refused {
			continue
		}
		if held, ok := r.held[key]; ok {
			from[key] = held
		}
		to[key] = value
	}
	return iothub.Diff(from, to)
}

func (r *reports) tooLarge(patch map[string]any) error {
	return iothub.CheckSize(iothub.Merge(r.held, patch), iothub.MaxReported)
}

func (r *reports) putAlone(patch map[string]any) {
	for key := range patch {
		r.alone[key] = true
	}
}

// refuse leaves a key out as long as that value is wanted.
func (r *reports) refuse(key string, value any, why string) {
	r.log.Error("a reported property is refused; it is left out until its value changes", "key", key, "why", why)
	delete(r.alone, key)
	if now, ok := r.wanted[key]; ok && iothub.Equal(now, value) {
		r.refused[key] = refusal{value, why}
	}
}

// sortedDeletionsFirst gives the keys of a patch in order; deletions first,
// because they make room.
func sortedDeletionsFirst(patch map[string]any) []string {
	var deletions, others []string
	for key, value := range patch {
		if value == nil {
			deletions = append(deletions, key)
		} else {
			others = append(others, key)
		}
	}
	slices.Sort(deletions)
	slices.Sort(others)
	return append(deletions, others...)
}

// accepted notes that the hub took the patch, and gives what it holds now.
func (r *reports) accepted() map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = iothub.Merge(r.held, r.sent)
	for key := range r.sent {
		delete(r.alone, key)
	}
	r.sent = nil
	r.retry.Reset()
	return r.held
}

// rejected notes that the hub refused the patch, for now or for good.
func (r *reports) rejected(now time.Time, err *iothub.Error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	patch := r.sent
	r.sent = nil
	switch status := err.Status(); status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge:
		r.refusedForGood(patch, err)
		return
	case http.StatusPreconditionFailed:
		r.known = false
		r.pause(now, 0)
	case http.StatusTooManyRequests:
		r.pause(now, throttledFloor)
	case http.StatusForbidden:
		r.pause(now, quotaFloor)
	default:
		r.known = r.known && status < 500 // a failing server may have applied it
		r.pause(now, 0)
	}
	r.log.Warn("the hub did not take a patch of the reported properties; trying again", "error", err)
}

// refusedForGood refuses the one key of a patch, or has the keys of a larger
// one sent alone.
func (r *reports) refusedForGood(patch map[string]any, err *iothub.Error) {
	if len(patch) > 1 {
		r.log.Warn("the hub refused a patch of the reported properties; trying its keys one by one", "error", err)
		r.putAlone(patch)
		return
	}
	for key := range patch {
		r.refuse(key, r.sentFor[key], fmt.Sprintf("status %d: %v", err.Status(), err))
	}
}

func (r *reports) pause(now time.Time, floor time.Duration) {
	r.notBefore = now.Add(floor + r.retry.Next())
}

// unanswered notes that no answer came: the hub may have applied the patch.
func (r *reports) unanswered(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = nil
	r.known = false
	r.pause(now, 0)
}

// disconnected notes that the session is over: what the hub holds will have
// to be read anew.
func (r *reports) disconnected() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = nil
	r.known = false
}

// fetched takes what the hub says it holds.
func (r *reports) fetched(held map[string]any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held, r.known = held, true
	r.settled = false
}
