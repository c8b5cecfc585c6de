package hub

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

func appendMany(t *testing.T, s *store, n, size int) {
	t.Helper()
	ctx := context.Background()
	body := json.RawMessage(`"` + strings.Repeat("x", size-2) + `"`)
	err := s.write(ctx, func(tx *sql.Tx) error {
		for range n {
			if _, err := appendEvent(ctx, tx, rest.Event{Source: rest.EventTelemetry, DeviceID: "d", Body: body}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEventsAreBounded(t *testing.T) {
	s := testStore(t)
	count := func() (n int, bytes int64) {
		t.Helper()
		if err := s.r.QueryRow("SELECT count(*), coalesce(sum(length(body)), 0) FROM events").Scan(&n, &bytes); err != nil {
			t.Fatal(err)
		}
		return n, bytes
	}
	appendMany(t, s, maxEvents+2*pruneEvery, 10)
	if n, _ := count(); n < maxEvents || n > maxEvents+pruneEvery {
		t.Errorf("%d events are kept", n)
	}
	appendMany(t, s, 3*pruneEvery, 512<<10)
	if n, bytes := count(); n == 0 || bytes > maxEventBytes+pruneEvery*512<<10 {
		t.Errorf("%d events of %d bytes are kept", n, bytes)
	}
	// A page has few enough bytes, but at least one event.
	last, err := lastEvent(context.Background(), s.r)
	if err != nil {
		t.Fatal(err)
	}
	page, err := eventsAfter(context.Background(), s.r, last-50)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(page); n < 8 || n > 9 {
		t.Errorf("a page has %d events of half a megabyte", n)
	}
	if page[0].Seq != last-49 {
		t.Errorf("the page begins at %d", page[0].Seq)
	}
	appendMany(t, s, 1, 8<<20)
	if page, err = eventsAfter(context.Background(), s.r, last); err != nil || len(page) != 1 {
		t.Errorf("a large event: %d, %v", len(page), err)
	}
}

func TestOldJobsAreForgotten(t *testing.T) {
	s := testStore(t)
	ctx := context.Background()
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	err := s.write(ctx, func(tx *sql.Tx) error {
		for id, ended := range map[string]time.Time{"old": now.Add(-31 * 24 * time.Hour), "new": now.Add(-29 * 24 * time.Hour), "open": {}} {
			j := job{id: id, kind: rest.JobUpdateTwin, work: json.RawMessage("{}"), condition: "*", created: now, start: now, status: rest.JobQueued}
			if err := insertJob(ctx, tx, j); err != nil {
				return err
			}
			if err := insertJobDevice(ctx, tx, j, "d", now); err != nil {
				return err
			}
			if !ended.IsZero() {
				j.status, j.ended = rest.JobCompleted, ended
				if _, err := setJobStatus(ctx, tx, j, rest.JobQueued); err != nil {
					return err
				}
			}
		}
		return deleteOldJobs(ctx, tx, now.Add(-jobHistory))
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, kept := range map[string]bool{"old": false, "new": true, "open": true} {
		_, err := getJob(ctx, s.r, id)
		if kept != (err == nil) {
			t.Errorf("%s: %v", id, err)
		}
		if _, err := getDeviceJob(ctx, s.r, jobDeviceKey(id, "d")); kept == errors.Is(err, sql.ErrNoRows) {
			t.Errorf("%s on its device: %v", id, err)
		}
	}
}

// A panic is one request's, not the hub's, and its text is not the client's.
func TestPanicIsAnAnswer(t *testing.T) {
	var log bytes.Buffer
	h := &Hub{log: slog.New(slog.NewTextHandler(&log, nil)), names: []string{"localhost"}, now: time.Now}
	key := iothub.GenerateKey()
	h.policies = map[string]policy{"iothubowner": {key, key, policyRights["iothubowner"]}}
	r := httptest.NewRequest("GET", "/devices", nil) // there is no store
	r.Header.Set("Authorization", iothub.NewSAS(key, "localhost", time.Now().Add(time.Hour), "iothubowner"))
	w := httptest.NewRecorder()
	h.serveRequest(w, r)
	e := iothub.DecodeError(w.Code, w.Header().Get(iothub.ErrorHeader), w.Body.Bytes())
	if w.Code != 500 || e.Code != iothub.ServerError || strings.Contains(w.Body.String(), "nil pointer") {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if !strings.Contains(log.String(), "nil pointer") {
		t.Error("the log does not tell")
	}
	if strings.Contains(log.String(), "sig=") {
		t.Error("the log holds a token")
	}
}
