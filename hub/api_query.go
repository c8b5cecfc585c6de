package hub

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// Items on a page: what IoT Hub honours at most, and gives unasked.
const maxPage = 100

// paging is which page of a list a client wants.
type paging struct {
	size      int
	after     string // key of the last item that it has
	delivered int    // how many it has; for jobs the number of the last
}

// token writes a continuation. It is opaque to clients.
func (p paging) token() string {
	return base64.StdEncoding.EncodeToString([]byte(strconv.Itoa(p.delivered) + " " + p.after))
}

// readPaging reads the paging headers, or the query parameters that some
// documents name instead.
func readPaging(r *request) (paging, error) {
	p := paging{size: maxPage}
	q := r.URL.Query()
	if text := firstOf(r.Header.Get(rest.HeaderMaxItemCount), q.Get("pageSize")); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n == 0 || n < -1 {
			return p, iothub.Errorf(iothub.ArgumentInvalid, "%s: it must be a positive number", rest.HeaderMaxItemCount)
		}
		if n > 0 { // -1 is "as you like" to some clients
			p.size = min(n, maxPage)
		}
	}
	token := firstOf(r.Header.Get(rest.HeaderContinuation), q.Get("continuationToken"))
	if token == "" {
		return p, nil
	}
	bad := iothub.Errorf(iothub.ArgumentInvalid, "%s: this hub did not write it", rest.HeaderContinuation)
	text, err := base64.StdEncoding.DecodeString(token)
	if err != nil {
		return p, bad
	}
	count, after, ok := strings.Cut(string(text), " ")
	if p.delivered, err = strconv.Atoi(count); err != nil || !ok || p.delivered < 0 {
		return p, bad
	}
	p.after = after
	return p, nil
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// page is an answer with a page of items: a bare array, and the continuation
// only where there is more (the Node SDK takes even an empty one for more).
func page(items []json.RawMessage, itemType string, more bool, next paging) (answer, error) {
	if items == nil {
		items = []json.RawMessage{}
	}
	a, err := ok(items)
	a.header = map[string]string{rest.HeaderItemType: itemType}
	if more {
		a.header[rest.HeaderContinuation] = next.token()
	}
	return a, err
}

func (h *Hub) apiQuery(r *request) (answer, error) {
	var in rest.QueryRequest
	if err := decodeInto(r.body, &in); err != nil {
		return answer{}, err
	}
	p, err := readPaging(r)
	if err != nil {
		return answer{}, err
	}
	result, err := h.query(r.Context(), in.Query, p)
	if isQueryMistake(err) {
		return answer{}, iothub.Errorf(iothub.ArgumentInvalid, "%s", err)
	}
	if errors.Is(err, errQuerySlow) && r.Context().Err() == nil {
		return answer{}, iothub.Errorf(iothub.ServiceUnavailable, "%s", err)
	}
	if err != nil {
		return answer{}, err
	}
	return page(result.items, result.itemType, result.more, result.next)
}
