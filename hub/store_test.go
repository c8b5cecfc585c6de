package hub

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/hub/broker"
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
	ctx := context.Background()
	kept := func(count, bytes int64) (first, last int64) {
		t.Helper()
		if err := s.write(ctx, func(tx *sql.Tx) error { return pruneEvents(ctx, tx, count, bytes) }); err != nil {
			t.Fatal(err)
		}
		if err := s.r.QueryRow("SELECT min(seq), max(seq) FROM events").Scan(&first, &last); err != nil {
			t.Fatal(err)
		}
		return first, last
	}
	appendMany(t, s, 50, 100) // and 8 for two nulls
	for _, row := range []struct{ count, bytes, first int64 }{
		{100, 1 << 20, 1}, {40, 1 << 20, 11}, {100, 30 * 108, 21}, {20, 10 * 108, 41}, {100, 0, 50}, {0, 100, 50},
	} {
		if first, last := kept(row.count, row.bytes); first != row.first || last != 50 {
			t.Errorf("within %d events and %d bytes: %d to %d, want %d to 50", row.count, row.bytes, first, last, row.first)
		}
	}
	appendMany(t, s, pruneEvery-50-1, 10)
	if first, _ := kept(maxEvents, maxEventBytes); first != 50 {
		t.Errorf("the default bounds have taken out events up to %d", first)
	}
}

// A page has few enough bytes, but at least one event.
func TestEventPages(t *testing.T) {
	s := testStore(t)
	appendMany(t, s, 12, bytesPerPage/8)
	appendMany(t, s, 1, bytesPerPage+100)
	for _, row := range []struct {
		after int64
		n     int
	}{{0, 8}, {8, 4}, {11, 1}, {12, 1}, {13, 0}, {1000, 0}} {
		page, err := eventsAfter(context.Background(), s.r, row.after)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) != row.n || row.n > 0 && page[0].Seq != row.after+1 {
			t.Errorf("after %d: %d events, want %d", row.after, len(page), row.n)
		}
	}
}

// Of the finished jobs the newest are kept, whatever the clock says they are.
func TestOldJobsAreForgotten(t *testing.T) {
	s := testStore(t)
	ctx := context.Background()
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	far := now.Add(50 * 365 * 24 * time.Hour)
	made := []struct {
		id      string
		devices int
	}{{"waits", 3}, {"a", 1}, {"b", 5}, {"c", 2}, {"d", 1}, {"e", 9}}
	ended := []struct { // in this order
		id string
		at time.Time
	}{{"b", now}, {"c", far}, {"d", time.Unix(0, 0)}, {"a", far}, {"e", now}}
	err := s.write(ctx, func(tx *sql.Tx) error {
		for _, m := range made {
			j := job{id: m.id, kind: rest.JobUpdateTwin, work: json.RawMessage("{}"), condition: "*", created: now, start: now, status: rest.JobQueued}
			if err := insertJob(ctx, tx, j); err != nil {
				return err
			}
			for i := range m.devices {
				if err := insertJobDevice(ctx, tx, j, fmt.Sprint("d", i), now); err != nil {
					return err
				}
			}
		}
		for _, e := range ended {
			j := job{id: e.id, status: rest.JobCompleted, ended: e.at}
			if _, err := setJobStatus(ctx, tx, j, rest.JobQueued); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		jobs, devices int
		kept          string
	}{
		{5, 100, "waits a b c d e"},
		{4, 100, "waits a c d e"},
		{4, 12, "waits a d e"},
		{4, 1, "waits e"}, // the last one stays, however large
	} {
		err := s.write(ctx, func(tx *sql.Tx) error { return deleteOldJobs(ctx, tx, step.jobs, step.devices) })
		if err != nil {
			t.Fatal(err)
		}
		all, err := listJobs(ctx, s.r, 0, 100, "", "")
		if err != nil {
			t.Fatal(err)
		}
		var kept []string
		for _, j := range all {
			kept = append(kept, j.id)
		}
		if got := strings.Join(kept, " "); got != step.kept {
			t.Errorf("with room for %d jobs and %d devices: %s, want %s", step.jobs, step.devices, got, step.kept)
		}
	}
	if _, err := getDeviceJob(ctx, s.r, jobDeviceKey("b", "d0")); !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("the devices of a job that was removed: %v", err)
	}
}

// A hub that starts with a clock that is years ahead forgets nothing for it.
func TestJobsSurviveAWrongClock(t *testing.T) {
	dir := initDir(t)
	for _, ahead := range []time.Duration{0, 30 * 365 * 24 * time.Hour} {
		h, err := Open(dir, Options{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		h.now = func() time.Time { return time.Now().Add(ahead) }
		ctx := t.Context()
		if err := h.jobs.recover(ctx); err != nil {
			t.Fatal(err)
		}
		j := job{id: fmt.Sprintf("j%d", ahead), kind: rest.JobUpdateTwin, work: json.RawMessage("{}"), condition: "*", created: h.now(), start: h.now(), status: rest.JobQueued}
		if err := h.jobs.create(ctx, j); err != nil {
			t.Fatal(err)
		}
		if _, err := h.jobs.cancel(ctx, j.id); err != nil {
			t.Fatal(err)
		}
		if _, err := getJob(ctx, h.store.r, "j0"); err != nil {
			t.Errorf("%s ahead: %v", ahead, err)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Queries that take long hold up each other, and nobody else.
func TestSlowQueriesLeaveDevicesAlone(t *testing.T) {
	h, err := Open(initDir(t), Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	ctx := t.Context()
	var slow []*sql.Conn
	for range queries {
		c, err := h.store.q.Conn(ctx)
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
	}
	soon, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if _, err := h.query(soon, "SELECT * FROM devices", paging{size: 1}); err == nil {
		t.Error("a query did not wait for those before it; the test shows nothing")
	}
	var wire *iothub.Error
	if _, err := (backend{h}).Authenticate("d", broker.Credentials{Host: "localhost"}); !errors.As(err, &wire) || wire.Code != iothub.DeviceNotFound {
		t.Errorf("a device that connects meanwhile: %v", err)
	}
	for _, c := range slow {
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.query(ctx, "SELECT * FROM devices", paging{size: 1}); err != nil {
		t.Error(err)
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

// When the hub itself fails, a device must not hear that its key is wrong: SDKs
// give up for good then.
func TestHubFaultIsNoRefusal(t *testing.T) {
	s, err := openStore(filepath.Join(t.TempDir(), "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	h := &Hub{store: s, names: []string{"localhost"}, now: time.Now}
	var wire *iothub.Error
	_, err = backend{h}.Authenticate("d", broker.Credentials{Host: "localhost"})
	if !errors.As(err, &wire) || wire.Code != iothub.DeviceNotFound {
		t.Errorf("an unknown device: %v", err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	_, err = backend{h}.Authenticate("d", broker.Credentials{Host: "localhost"})
	if !errors.As(err, &wire) || wire.Code != iothub.ServerError {
		t.Errorf("a database that fails: %v", err)
	}
}
