package hub

import (
	"context"
	"database/sql"
	"errors"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// Operation types of lifecycle events.
const (
	opCreate = "createDeviceIdentity"
	opDelete = "deleteDeviceIdentity"
)

// createDevice registers a device and its twin.
func (h *Hub) createDevice(ctx context.Context, id string, in identityInput) (identity, error) {
	return h.createDeviceWithTwin(ctx, id, in, twinPatch{})
}

// createDeviceWithTwin registers a device whose twin begins with some content.
func (h *Hub) createDeviceWithTwin(ctx context.Context, id string, in identityInput, content twinPatch) (identity, error) {
	now := h.now()
	d, err := newIdentity(id, in, now)
	if err != nil {
		return d, err
	}
	t := newTwin(id, now)
	if !content.empty() {
		t, _, err = t.patched(content, now)
		if err != nil {
			return d, err
		}
	}
	err = h.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		switch _, err := getIdentity(ctx, tx, id); {
		case err == nil:
			return iothub.Errorf(iothub.DeviceAlreadyExists, "A device with ID '%s' is already registered.", id)
		case !errors.Is(err, &iothub.Error{Code: iothub.DeviceNotFound}):
			return err
		}
		if err := putIdentity(ctx, tx, d); err != nil {
			return err
		}
		if err := putTwin(ctx, tx, t); err != nil {
			return err
		}
		return h.report(ctx, tx, rest.EventLifecycle, opCreate, id, map[string]any{"deviceId": id, "etag": t.etag.String()})
	})
	return d, err
}

// updateDevice changes a device. One that may no longer connect, or that would
// have to prove itself otherwise, loses its connection.
func (h *Hub) updateDevice(ctx context.Context, id string, in identityInput, match ifMatch) (identity, error) {
	var old, d identity
	err := h.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if old, err = getIdentity(ctx, tx, id); err != nil {
			return err
		}
		if err := match.check(old.etag); err != nil {
			return err
		}
		if d, err = old.updated(in, h.now()); err != nil {
			return err
		}
		return putIdentity(ctx, tx, d)
	})
	if err != nil {
		return d, err
	}
	if d.status == rest.StatusDisabled || !d.auth.sameAs(old.auth) {
		h.broker.Disconnect(id)
	}
	return d, nil
}

// deleteDevice takes a device out, with its twin and its session.
func (h *Hub) deleteDevice(ctx context.Context, id string, match ifMatch) error {
	err := h.write(ctx, func(ctx context.Context, tx *sql.Tx) error {
		d, err := getIdentity(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := match.check(d.etag); err != nil {
			return err
		}
		if err := deleteIdentity(ctx, tx, id); err != nil {
			return err
		}
		return h.report(ctx, tx, rest.EventLifecycle, opDelete, id, map[string]any{"deviceId": id, "etag": d.etag})
	})
	if err != nil {
		return err
	}
	h.broker.Disconnect(id)
	h.broker.ForgetSession(id)
	return nil
}
