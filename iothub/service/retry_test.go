package service_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// What is sent again, and what never is: each row is a call, what the hub
// does to its first attempt, and how often it comes.
func TestRepetition(t *testing.T) {
	read := func(ctx context.Context, c *service.Client) error { return second(c.Twin(ctx, "d1")) }
	query := func(ctx context.Context, c *service.Client) error { return firstError(c.Query(ctx, "q")) }
	method := func(ctx context.Context, c *service.Client) error {
		return second(c.Invoke(ctx, "d1", rest.MethodCall{MethodName: "unlockDoor"}))
	}
	write := func(ctx context.Context, c *service.Client) error {
		return second(c.UpdateTwin(ctx, "d1", rest.TwinPatch{}, ""))
	}
	create := func(ctx context.Context, c *service.Client) error {
		return second(c.CreateJob(ctx, rest.JobRequest{JobID: "j", QueryCondition: "*", CloudToDeviceMethod: &rest.MethodCall{MethodName: "m"}}))
	}
	var (
		hangUp   = reply{hangUp: true}
		busy     = hubError(iothub.ThrottlingException, "slow down")
		trouble  = hubError(iothub.ServiceUnavailable, "later")
		timeout  = methodError(iothub.GatewayTimeout, "no answer")
		jobsFull = hubError(iothub.ThrottlingMaxActiveJobCountExceeded, "one job at a time")
		unknown  = hubError(iothub.DeviceNotFound, "d1")
	)
	for _, test := range []struct {
		name  string
		call  func(context.Context, *service.Client) error
		first reply
		want  int // requests
	}{
		{"a read after a broken connection", read, hangUp, 2},
		{"a read after 429", read, busy, 2},
		{"a read after 503", read, trouble, 2},
		{"a read after 404", read, unknown, 1},
		{"a query after a broken connection", query, hangUp, 2},
		{"a query after 429", query, busy, 2},
		{"a method after a broken connection", method, hangUp, 1},
		{"a method after 504", method, timeout, 1},
		{"a method after 503", method, trouble, 1},
		{"a method after 429", method, busy, 1},
		{"a write after a broken connection", write, hangUp, 1},
		{"a write after 503", write, trouble, 1},
		{"a write after 429", write, busy, 2},
		{"a job after 429", create, busy, 2},
		{"a job after too many jobs", create, jobsFull, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var n int
				client := newClient(t, "hub.example.net", service.Options{Transport: handlerTransport(func(r *http.Request) reply {
					if n++; n == 1 {
						return test.first
					}
					if strings.HasSuffix(r.URL.Path, "/query") {
						return reply{body: `[]`}
					}
					return reply{body: anybody}
				})})
				err := test.call(t.Context(), client)
				if n != test.want {
					t.Errorf("%d requests, want %d", n, test.want)
				}
				if failed := err != nil; failed != (test.want == 1) {
					t.Errorf("error is %v", err)
				}
			})
		})
	}
}

// The same over a real connection: net/http must not repeat a POST either,
// not even on a kept connection that broke.
func TestMethodIsSentOnceOverTheWire(t *testing.T) {
	hub := newHub(t, reply{body: anybody}, reply{hangUp: true})
	client := hub.client(t)
	if _, err := client.Twin(t.Context(), "d1"); err != nil { // keeps a connection
		t.Fatal(err)
	}
	_, err := client.Invoke(t.Context(), "d1", rest.MethodCall{MethodName: "unlockDoor"})
	unreachable, ok := errors.AsType[*service.UnreachableError](err)
	if !ok || !unreachable.MaybeSent {
		t.Errorf("%v does not tell that the call may have been sent", err)
	}
	if n := len(hub.requests()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}

// Retry-After is waited for, as seconds or as a date; a minute is too long.
func TestRetryAfter(t *testing.T) {
	for _, test := range []struct {
		name, header string
		least, most  time.Duration
		want         int
	}{
		{"none", "", time.Second, 2 * time.Second, 2},
		{"seconds", "7", 7 * time.Second, 8 * time.Second, 2},
		{"a date", "Sat, 01 Jan 2000 00:00:09 GMT", 9 * time.Second, 10 * time.Second, 2},
		{"too long", "3600", 0, 0, 1},
		{"nonsense", "soon", time.Second, 2 * time.Second, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // the bubble's clock starts with the year 2000
				n, began := 0, time.Now()
				client := newClient(t, "hub.example.net", service.Options{Transport: handlerTransport(func(*http.Request) reply {
					if n++; n == 1 {
						r := hubError(iothub.ThrottlingException, "")
						r.header["Retry-After"] = test.header
						return r
					}
					return reply{body: anybody}
				})})
				_, _ = client.Twin(t.Context(), "d1")
				if took := time.Since(began); took < test.least || took > test.most || n != test.want {
					t.Errorf("%d requests in %s", n, took)
				}
			})
		})
	}
}

// A hub that never recovers is given up on, with its last word.
func TestGivingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		client := newClient(t, "hub.example.net", service.Options{Transport: handlerTransport(func(*http.Request) reply {
			n++
			return hubError(iothub.ServiceUnavailable, "down")
		})})
		_, err := client.Twin(t.Context(), "d1")
		if !errors.Is(err, &iothub.Error{Code: iothub.ServiceUnavailable}) || n != 3 {
			t.Errorf("%d requests: %v", n, err)
		}
	})
}

// A hub that accepts the call and says nothing is given up on after what it
// may take and a margin: 10 s, 30 s and 15 s by default.
func TestTimeouts(t *testing.T) {
	for _, test := range []struct {
		call rest.MethodCall
		want time.Duration
	}{
		{rest.MethodCall{MethodName: "m"}, 55 * time.Second},
		{rest.MethodCall{MethodName: "m", ConnectTimeoutInSeconds: new(0), ResponseTimeoutInSeconds: new(300)}, 315 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			client := newClient(t, "hub.example.net", service.Options{Transport: silent{}})
			began := time.Now()
			_, err := client.Invoke(t.Context(), "d1", test.call)
			if took := time.Since(began); took != test.want || !strings.Contains(err.Error(), "no answer within "+test.want.String()) {
				t.Errorf("after %s: %v", took, err)
			}
		})
	}
}

type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A caller that stops waiting is told so, and not that the hub is slow.
func TestInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := newClient(t, "hub.example.net", service.Options{Transport: silent{}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Twin(ctx, "d1")
		if !errors.Is(err, context.DeadlineExceeded) || strings.Contains(err.Error(), "no answer") {
			t.Error(err)
		}
	})
}

// A certificate that nobody we trust has signed ends the attempt before the
// token is sent, and is not tried again.
func TestUntrusted(t *testing.T) {
	hub := newHub(t, reply{body: anybody})
	client := newClient(t, hub.host(), service.Options{RootCAs: x509.NewCertPool()})
	_, err := client.Twin(t.Context(), "d1")
	unreachable, ok := errors.AsType[*service.UnreachableError](err)
	if !ok || !unreachable.Untrusted() || unreachable.MaybeSent || service.Transient(err) {
		t.Errorf("%v", err)
	}
	if n := len(hub.requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// A hub that is not there is an UnreachableError that was not sent.
func TestNobodyListens(t *testing.T) {
	const host = "127.0.0.1:1" // tcpmux, which nobody runs
	_, err := newClient(t, host, service.Options{}).Invoke(t.Context(), "d1", rest.MethodCall{MethodName: "m"})
	unreachable, ok := errors.AsType[*service.UnreachableError](err)
	if !ok || unreachable.MaybeSent || unreachable.Untrusted() || !strings.Contains(err.Error(), host) {
		t.Errorf("%v", err)
	}
}

// No error shows the key or a token.
func TestErrorsHoldNoSecret(t *testing.T) {
	client := newClient(t, "hub.example.net", service.Options{Transport: handlerTransport(func(*http.Request) reply { return reply{hangUp: true} })})
	_, err := client.Invoke(t.Context(), "d1", rest.MethodCall{MethodName: "m"})
	if text := fmt.Sprintf("%v %+v %#v %v", err, err, client, client); strings.Contains(text, policyKey) || strings.Contains(text, "sig=") {
		t.Error(text)
	}
}
