package hub

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
)

// getSubscriptions gives the filters of a device's persistent session with
// their QoS; none for a device without one.
func getSubscriptions(ctx context.Context, from reader, id string) (map[string]byte, error) {
	var text string
	err := from.QueryRowContext(ctx, "SELECT filters FROM sessions WHERE device_id = ?", id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return map[string]byte{}, nil
	}
	filters := map[string]byte{}
	if err == nil {
		err = json.Unmarshal([]byte(text), &filters)
	}
	if err != nil {
		return nil, fmt.Errorf("read the session of device %s: %w", id, err)
	}
	return filters, nil
}

// putSubscriptions keeps the filters of a device; none is no session.
func putSubscriptions(ctx context.Context, tx *sql.Tx, id string, filters map[string]byte) error {
	if _, err := getIdentity(ctx, tx, id); err != nil {
		return err
	}
	var err error
	if len(filters) == 0 {
		_, err = tx.ExecContext(ctx, "DELETE FROM sessions WHERE device_id = ?", id)
	} else {
		var text []byte
		if text, err = json.Marshal(filters); err == nil {
			_, err = tx.ExecContext(ctx, `INSERT INTO sessions (device_id, filters) VALUES (?, ?)
				ON CONFLICT (device_id) DO UPDATE SET filters = excluded.filters`, id, string(text))
		}
	}
	if err != nil {
		return fmt.Errorf("write the session of device %s: %w", id, err)
	}
	return nil
}
