package service_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// A job is looked at every second, later every five, until it has ended.
func TestWaitJob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		client := newClient(t, "hub.example.net", service.Options{Transport: handlerTransport(func(*http.Request) reply {
			status := rest.JobQueued
			switch age := time.Since(began); {
			case age > 2*time.Minute:
				status = rest.JobCompleted
			case age > time.Minute && age < 80*time.Second:
				return hubError(iothub.ServiceUnavailable, "restarting") // does not end the wait
			case age > time.Second:
				status = rest.JobRunning
			}
			return reply{body: fmt.Sprintf(`{"jobId":"j","status":%q}`, status)}
		})})
		var seen []string
		n := 0
		job, err := client.WaitJob(t.Context(), "j", func(job rest.Job) { seen = append(seen, job.Status); n++ })
		if err != nil || job.Status != rest.JobCompleted {
			t.Fatalf("%+v, %v", job, err)
		}
		if got := strings.Join(slices.Compact(seen), " "); got != "queued running completed" {
			t.Errorf("seen %s", got)
		}
		if took := time.Since(began); took > 130*time.Second {
			t.Errorf("noticed after %s", took)
		}
		if n < 30 || n > 60 {
			t.Errorf("looked %d times", n)
		}
	})
}

func TestPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := service.Poll(ctx, func(context.Context) (bool, error) { return false, nil })
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("in vain: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		err := service.Poll(ctx, func(context.Context) (bool, error) {
			return false, iothub.Errorf(iothub.ServiceUnavailable, "down")
		})
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "down") {
			t.Errorf("in vain, hub down: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := service.Poll(t.Context(), func(context.Context) (bool, error) {
			return false, iothub.Errorf(iothub.DeviceNotFound, "d1")
		})
		if !errors.Is(err, &iothub.Error{Code: iothub.DeviceNotFound}) || time.Since(began) > 0 {
			t.Errorf("for good: %v", err)
		}
	})
}

// A token is replaced before it ends, and when the clock was set back.
func TestTokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tokens []string
		client := newClient(t, "hub.example.net", service.Options{Transport: handlerTransport(func(r *http.Request) reply {
			sas, err := iothub.ParseSAS(r.Header.Get("Authorization"))
			if err != nil || time.Until(sas.Expiry) < 10*time.Minute {
				t.Errorf("token ends %s: %v", sas.Expiry, err)
			}
			tokens = append(tokens, r.Header.Get("Authorization"))
			return reply{body: anybody}
		})})
		for range 13 { // two hours
			if _, err := client.Twin(t.Context(), "d1"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
		}
		if n := len(slices.Compact(tokens)); n != 3 {
			t.Errorf("%d tokens", n)
		}
	})
}
