package hub

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"latchd/iothub/rest"
)

// The feed keeps the newest events within both bounds.
const (
	maxEvents     = 10_000
	maxEventBytes = 64 << 20 // 10,000 of the largest would be 2.5 GB
)

// pruneEvery is how many events go by until the oldest are taken out; the
// bounds may be exceeded by that many.
const pruneEvery = 100

// appendEvent adds an event and gives its number.
func appendEvent(ctx context.Context, tx *sql.Tx, e rest.Event) (seq int64, err error) {
	system, err1 := json.Marshal(e.System)
	properties, err2 := json.Marshal(e.Properties)
	if err := errors.Join(err1, err2); err != nil {
		return 0, fmt.Errorf("write event: %w", err)
	}
	size := len(e.Body) + len(system) + len(properties)
	err = tx.QueryRowContext(ctx, `INSERT INTO events (total, source, device_id, body, system, properties)
		VALUES (? + coalesce((SELECT total FROM events ORDER BY seq DESC LIMIT 1), 0), ?, ?, ?, ?, ?) RETURNING seq`,
		size, e.Source, e.DeviceID, string(e.Body), string(system), string(properties)).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("write event: %w", err)
	}
	if seq%pruneEvery == 0 {
		err = pruneEvents(ctx, tx, maxEvents, maxEventBytes)
	}
	return seq, err
}

// pruneEvents takes out the oldest events until the rest is within both bounds.
// The newest stays whatever its size.
func pruneEvents(ctx context.Context, tx *sql.Tx, count, bytes int64) error {
	_, err := tx.ExecContext(ctx, `WITH last AS (SELECT seq, total FROM events ORDER BY seq DESC LIMIT 1)
		DELETE FROM events WHERE seq < (SELECT seq FROM last)
			AND (seq <= (SELECT seq FROM last) - ?1 OR total <= (SELECT total FROM last) - ?2)`, count, bytes)
	if err != nil {
		return fmt.Errorf("remove the oldest events: %w", err)
	}
	return nil
}

// lastEvent is the number of the newest event ever; 0 before the first.
func lastEvent(ctx context.Context, from reader) (seq int64, err error) {
	// The newest is never pruned.
	if err := from.QueryRowContext(ctx, "SELECT coalesce(max(seq), 0) FROM events").Scan(&seq); err != nil {
		return 0, fmt.Errorf("read the last event: %w", err)
	}
	return seq, nil
}

// A page of events has at most that many, and that many bytes but for one event.
const (
	eventsPerPage = 1000
	bytesPerPage  = 4 << 20
)

// eventsAfter gives the next events after one, oldest first.
func eventsAfter(ctx context.Context, from reader, after int64) ([]rest.Event, error) {
	// The first row is in whatever its size.
	all, err := collect(ctx, from, scanEvent, `
		WITH page AS (SELECT *, total - first_value(total) OVER (ORDER BY seq) AS bytes FROM
			(SELECT seq, total, source, device_id, body, system, properties FROM events WHERE seq > ? ORDER BY seq LIMIT ?))
		SELECT seq, source, device_id, body, system, properties FROM page WHERE bytes <= ? ORDER BY seq`,
		after, eventsPerPage, bytesPerPage)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return all, nil
}

func scanEvent(r row) (rest.Event, error) {
	var e rest.Event
	var body, system, properties string
	if err := r.Scan(&e.Seq, &e.Source, &e.DeviceID, &body, &system, &properties); err != nil {
		return e, err
	}
	e.Body = json.RawMessage(body)
	return e, errors.Join(json.Unmarshal([]byte(system), &e.System), json.Unmarshal([]byte(properties), &e.Properties))
}
