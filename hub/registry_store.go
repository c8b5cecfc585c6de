package hub

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// identity is a row of the registry.
type identity struct {
	id, generation, etag string
	status               string
	statusReason         *string
	statusUpdated        time.Time
	connectionState      string
	connectionUpdated    time.Time
	lastActivity         time.Time
	auth                 authentication
	modelID              string
}

// authentication is how a device proves itself. Unused parts are nil.
type authentication struct {
	kind                                   string // rest.AuthSAS, …
	primaryKey, secondaryKey               *string
	primaryThumbprint, secondaryThumbprint *string
}

const identityColumns = `device_id, generation_id, etag, status, status_reason, status_updated,
	connection_state, connection_updated, last_activity,
	auth_type, primary_key, secondary_key, primary_thumbprint, secondary_thumbprint, model_id`

func scanIdentity(r row) (identity, error) {
	var d identity
	a := &d.auth
	err := r.Scan(&d.id, &d.generation, &d.etag, &d.status, &d.statusReason, (*storedTime)(&d.statusUpdated),
		&d.connectionState, (*storedTime)(&d.connectionUpdated), (*storedTime)(&d.lastActivity),
		&a.kind, &a.primaryKey, &a.secondaryKey, &a.primaryThumbprint, &a.secondaryThumbprint, &d.modelID)
	return d, err
}

func deviceNotFound(id string) error { return iothub.Errorf(iothub.DeviceNotFound, "%s", id) }

// getIdentity gives one identity, or DeviceNotFound.
func getIdentity(ctx context.Context, from reader, id string) (identity, error) {
	d, err := scanIdentity(from.QueryRowContext(ctx, "SELECT "+identityColumns+" FROM devices WHERE device_id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return d, deviceNotFound(id)
	}
	if err != nil {
		return d, fmt.Errorf("read device %s: %w", id, err)
	}
	return d, nil
}

func listIdentities(ctx context.Context, from reader, top int) ([]identity, error) {
	all, err := collect(ctx, from, scanIdentity,
		"SELECT "+identityColumns+" FROM devices ORDER BY device_id LIMIT ?", top)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return all, nil
}

// putIdentity writes a whole row; a new one too.
func putIdentity(ctx context.Context, tx *sql.Tx, d identity) error {
	a := d.auth
	_, err := tx.ExecContext(ctx, "INSERT INTO devices ("+identityColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (device_id) DO UPDATE SET
			etag = excluded.etag, status = excluded.status, status_reason = excluded.status_reason,
			status_updated = excluded.status_updated, auth_type = excluded.auth_type,
			primary_key = excluded.primary_key, secondary_key = excluded.secondary_key,
			primary_thumbprint = excluded.primary_thumbprint, secondary_thumbprint = excluded.secondary_thumbprint`,
		d.id, d.generation, d.etag, d.status, d.statusReason, formatTime(d.statusUpdated),
		d.connectionState, formatTime(d.connectionUpdated), formatTime(d.lastActivity),
		a.kind, a.primaryKey, a.secondaryKey, a.primaryThumbprint, a.secondaryThumbprint, d.modelID)
	if err != nil {
		return fmt.Errorf("write device %s: %w", d.id, err)
	}
	return nil
}

func deleteIdentity(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, "DELETE FROM devices WHERE device_id = ?", id); err != nil {
		return fmt.Errorf("delete device %s: %w", id, err)
	}
	return nil
}

// setConnectionState notes that a device came or went.
func setConnectionState(ctx context.Context, tx *sql.Tx, id, state string, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE devices
		SET connection_state = ?, connection_updated = ?, last_activity = ? WHERE device_id = ?`,
		state, formatTime(at), formatTime(at), id)
	if err != nil {
		return fmt.Errorf("note the connection of device %s: %w", id, err)
	}
	return nil
}

// setModelID notes the plug-and-play model that a device announced when it connected.
func setModelID(ctx context.Context, tx *sql.Tx, id, model string) error {
	if _, err := tx.ExecContext(ctx, "UPDATE devices SET model_id = ? WHERE device_id = ? AND model_id <> ?", model, id, model); err != nil {
		return fmt.Errorf("note the model of device %s: %w", id, err)
	}
	return nil
}

func setLastActivity(ctx context.Context, tx *sql.Tx, id string, at time.Time) error {
	if _, err := tx.ExecContext(ctx, "UPDATE devices SET last_activity = ? WHERE device_id = ?", formatTime(at), id); err != nil {
		return fmt.Errorf("note the activity of device %s: %w", id, err)
	}
	return nil
}

// disconnectAll notes that nobody is connected: true when a hub starts, and
// not noted when the last one was killed.
func disconnectAll(ctx context.Context, tx *sql.Tx, at time.Time) error {
	_, err := tx.ExecContext(ctx, `UPDATE devices SET connection_state = ?, connection_updated = ? WHERE connection_state <> ?`,
		rest.StateDisconnected, formatTime(at), rest.StateDisconnected)
	if err != nil {
		return fmt.Errorf("note that nobody is connected: %w", err)
	}
	return nil
}

func countDevices(ctx context.Context, from reader) (rest.DeviceStatistics, error) {
	var n rest.DeviceStatistics
	err := from.QueryRowContext(ctx, "SELECT count(*), count(*) FILTER (WHERE status = ?) FROM devices", rest.StatusEnabled).
		Scan(&n.TotalDeviceCount, &n.EnabledDeviceCount)
	if err != nil {
		return n, fmt.Errorf("count devices: %w", err)
	}
	n.DisabledDeviceCount = n.TotalDeviceCount - n.EnabledDeviceCount
	return n, nil
}
