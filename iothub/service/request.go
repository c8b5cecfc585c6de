package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"latchd/internal/backoff"
	"latchd/iothub"
)

// repeat says when a call may be sent again without asking the caller.
type repeat int

const (
	never       repeat = iota // a direct method: its effect is in the world
	ifThrottled               // writes that end in the same state; 429 means nothing was done
	always                    // reads
)

const (
	// maxAttempts is how often a call is tried in all.
	maxAttempts = 3
	// The waits between attempts. An operator sits in front of this: short,
	// and never for long.
	retryBase = 200 * time.Millisecond
	retryCap  = 5 * time.Second
	// throttleFloor is the least wait after 429 without Retry-After.
	throttleFloor = time.Second
	// longestRetryAfter is the longest Retry-After that is waited for; above
	// it the caller gets the error and decides.
	longestRetryAfter = 30 * time.Second

	// maxResponse bounds an answer in bytes. The largest honest one is a page
	// of 100 twins, each under 72 KB of data and perhaps twice that in
	// metadata.
	maxResponse = 32 << 20
)

// call is one request.
type call struct {
	verb    string
	path    string // percent-encoded
	query   url.Values
	ifMatch string // an etag or *, unquoted; "" sends no If-Match
	header  http.Header
	body    any // sent as JSON unless nil
	repeat  repeat
	timeout time.Duration // of each attempt; 0 means callTimeout
}

// answer is a response with a status of success.
type answer struct {
	header http.Header
	body   []byte
}

// do sends the call, as often as it may be, and gives its answer; any status
// but 2xx is an [*iothub.Error].
func (c *Client) do(ctx context.Context, q call) (answer, error) {
	body, err := encode(q.body)
	if err != nil {
		return answer{}, err
	}
	waits := backoff.Policy{Base: retryBase, Cap: retryCap}
	for attempt := 1; ; attempt++ {
		got, after, err := c.attempt(ctx, q, body)
		if err == nil || attempt == maxAttempts || !mayRepeat(q.repeat, err) || after > longestRetryAfter {
			return got, err
		}
		if waits.Wait(ctx, after) != nil {
			return answer{}, err // the hub's answer says more than "context ended"
		}
	}
}

func mayRepeat(r repeat, err error) bool {
	switch r {
	case always:
		return Transient(err)
	case ifThrottled:
		refused, ok := errors.AsType[*iothub.Error](err)
		return ok && throttled(refused)
	}
	return false
}

// attempt sends the call once. after is how long to wait before another.
func (c *Client) attempt(ctx context.Context, q call, body []byte) (got answer, after time.Duration, err error) {
	limit := q.timeout
	if limit == 0 {
		limit = callTimeout
	}
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()

	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	request, err := c.request(ctx, q, body)
	if err != nil {
		return answer{}, 0, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return answer{}, 0, c.unreachable(whole, err, sent.Load(), limit)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxResponse+1))
	switch {
	case err != nil:
		return answer{}, 0, c.unreachable(whole, err, true, limit)
	case len(text) > maxResponse:
		return answer{}, 0, fmt.Errorf("hub %s: the answer is larger than %d bytes", c.host, maxResponse)
	case response.StatusCode < 200 || response.StatusCode > 299:
		e := iothub.DecodeError(response.StatusCode, response.Header.Get(iothub.ErrorHeader), text)
		return answer{}, retryAfter(e, response.Header, time.Now()), e
	}
	return answer{response.Header, text}, 0, nil
}

func (c *Client) request(ctx context.Context, q call, body []byte) (*http.Request, error) {
	values := url.Values{"api-version": {iothub.APIVersion}}
	for name, value := range q.query {
		values[name] = value
	}
	r, err := http.NewRequestWithContext(ctx, q.verb, c.base+q.path+"?"+values.Encode(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, value := range q.header {
		r.Header[http.CanonicalHeaderKey(name)] = value
	}
	r.Header.Set("Authorization", c.token.get(time.Now()))
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", c.agent)
	if body != nil {
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	if q.ifMatch != "" {
		r.Header.Set("If-Match", quoteETag(q.ifMatch))
	}
	return r, nil
}

// quoteETag writes an etag as If-Match wants it: in quotes, the star too.
func quoteETag(etag string) string {
	etag = strings.TrimPrefix(etag, "W/")
	return `"` + strings.Trim(etag, `"`) + `"`
}

// retryAfter is the least wait that the answer asks for, in seconds or as a
// date; 0 where it asks for none.
func retryAfter(e *iothub.Error, h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	if e.Status() == http.StatusTooManyRequests {
		return throttleFloor
	}
	return 0
}

// encode writes JSON as it should travel: what the caller gave, not dressed
// for HTML.
func encode(v any) ([]byte, error) {
	if v == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, fmt.Errorf("cannot be sent as JSON: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads the answer; numbers in untyped places keep their digits.
func (a answer) decode(into any) error {
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	err := d.Decode(into)
	if err == nil {
		return nil
	}
	if kind, _, _ := mime.ParseMediaType(a.header.Get("Content-Type")); kind != "" && kind != "application/json" {
		return fmt.Errorf("the answer is %s, not JSON: is this really an IoT Hub?", kind)
	}
	return fmt.Errorf("the answer is not what an IoT Hub sends: %w", err)
}

// exchange is do and decode.
func exchange[T any](ctx context.Context, c *Client, q call) (out T, err error) {
	got, err := c.do(ctx, q)
	if err != nil {
		return out, err
	}
	err = got.decode(&out)
	return out, err
}

// complete is err, or an error where an answer that is JSON lacks the member
// that each such answer of a hub has: a proxy's {} is not a door that locked.
func complete(err error, there bool, member string) error {
	if err == nil && !there {
		return fmt.Errorf("the answer is not what an IoT Hub sends: it has no %s", member)
	}
	return err
}
