package hub

import (
	"strconv"
	"time"

	"latchd/iothub"
)

// maxEventWait bounds how long a reader of the feed waits with one request.
const maxEventWait = 5 * time.Minute

func (h *Hub) apiEvents(r *request) (answer, error) {
	q := r.URL.Query()
	after, err := wholeNumber(q.Get("after"), -1)
	if err != nil || after < -1 {
		return answer{}, iothub.Errorf(iothub.ArgumentInvalid, "after: it must be the number of an event, or -1")
	}
	seconds, err := wholeNumber(q.Get("wait"), 0)
	if err != nil || seconds < 0 {
		return answer{}, iothub.Errorf(iothub.ArgumentInvalid, "wait: it must be a number of seconds")
	}
	wait := time.Duration(min(seconds, int64(maxEventWait/time.Second))) * time.Second
	if err := r.patience(wait); err != nil {
		return answer{}, err
	}
	page, err := h.events(r.Context(), after, wait)
	if err != nil {
		return answer{}, err
	}
	return ok(page)
}

// wholeNumber reads a query parameter, or gives the default for one that is
// not there.
func wholeNumber(text string, absent int64) (int64, error) {
	if text == "" {
		return absent, nil
	}
	return strconv.ParseInt(text, 10, 64)
}
