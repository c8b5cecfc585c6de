package hub

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"latchd/hub/broker"
	"latchd/iothub"
	"latchd/iothub/rest"
)

// backend is the hub as the broker sees it. The broker calls it while a device
// waits, so nothing here takes longer than a transaction.
type backend struct{ h *Hub }

var _ broker.Backend = backend{}

// Authenticate implements broker.Backend.
func (b backend) Authenticate(deviceID string, c broker.Credentials) (time.Time, error) {
	h, ctx := b.h, context.Background()
	d, err := getIdentity(ctx, h.store.r, deviceID)
	if _, known := isWire(err); err != nil && !known {
		// Not the device's fault: a refusal would make SDKs give up for good.
		return time.Time{}, iothub.Errorf(iothub.ServerError, "%s", err)
	}
	if err != nil {
		return time.Time{}, err
	}
	if d.status != rest.StatusEnabled {
		return time.Time{}, iothub.Errorf(iothub.DeviceDisabled, "the device is disabled")
	}
	var expiry time.Time
	if c.Password != "" { // some clients with a certificate send an empty one
		expiry, err = h.authenticateToken(d, c.Host, c.Password)
	} else {
		expiry, err = h.authenticateCertificate(d, c.Certificates)
		if err == nil && c.Host != "" && !h.isHost(c.Host) {
			err = fmt.Errorf("its user name is for the hub %q, which is none of this hub's names", c.Host)
		}
	}
	if err != nil {
		return time.Time{}, err
	}
	if c.ModelID != d.modelID && len(c.ModelID) <= maxModelID {
		err := h.store.write(ctx, func(tx *sql.Tx) error { return setModelID(ctx, tx, deviceID, c.ModelID) })
		if err != nil {
			return time.Time{}, iothub.Errorf(iothub.ServerError, "%s", err)
		}
	}
	return expiry, nil
}

// maxModelID bounds what is kept of a device's announcement; a DTMI has at most
// 2048 characters (DTDL v3).
const maxModelID = 2048

// Twin implements broker.Backend.
func (b backend) Twin(deviceID string) (iothub.Twin, error) {
	t, err := getTwin(context.Background(), b.h.store.r, deviceID)
	return t.deviceView(), err
}

// Report implements broker.Backend.
func (b backend) Report(deviceID string, patch map[string]any, ifVersion *int64) (int64, error) {
	return b.h.reportTwin(context.Background(), deviceID, patch, ifVersion)
}

// Telemetry implements broker.Backend.
func (b backend) Telemetry(deviceID string, m iothub.Message) error {
	return b.h.write(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
		d, err := getIdentity(ctx, tx, deviceID)
		if err != nil {
			return err
		}
		if err := setLastActivity(ctx, tx, deviceID, b.h.now()); err != nil {
			return err
		}
		_, err = appendEvent(ctx, tx, b.h.telemetryEvent(d, m))
		return err
	})
}

// ConnectionChanged implements broker.Backend.
func (b backend) ConnectionChanged(deviceID string, connected bool) {
	h := b.h
	state, operation := rest.StateDisconnected, "deviceDisconnected"
	if connected {
		state, operation = rest.StateConnected, "deviceConnected"
	}
	err := h.write(context.Background(), func(ctx context.Context, tx *sql.Tx) error {
		if err := setConnectionState(ctx, tx, deviceID, state, h.now()); err != nil {
			return err
		}
		return h.report(ctx, tx, rest.EventConnectionState, operation, deviceID,
			map[string]any{"sequenceNumber": fmt.Sprintf("%032X", h.now().UnixNano())})
	})
	if err != nil { // it is informational, and the device is there all the same
		h.log.Error("the connection of a device could not be noted", "device", deviceID, "connected", connected, "err", err)
	}
	if connected {
		h.jobs.arrived(deviceID)
	}
}

// Subscriptions implements broker.Backend.
func (b backend) Subscriptions(deviceID string) (map[string]byte, error) {
	return getSubscriptions(context.Background(), b.h.store.r, deviceID)
}

// SaveSubscriptions implements broker.Backend.
func (b backend) SaveSubscriptions(deviceID string, filters map[string]byte) error {
	ctx := context.Background()
	return b.h.store.write(ctx, func(tx *sql.Tx) error { return putSubscriptions(ctx, tx, deviceID, filters) })
}
