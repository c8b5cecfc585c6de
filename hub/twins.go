package hub

import (
	"context"
	"database/sql"
	"maps"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// Operation types of twin change events.
const (
	opUpdateTwin  = "updateTwin"
	opReplaceTwin = "replaceTwin"
)

// twinWithIdentity reads both of a device.
func (h *Hub) twinWithIdentity(ctx context.Context, from reader, id string) (twin, identity, error) {
	d, err := getIdentity(ctx, from, id)
	if err != nil {
		return twin{}, d, err
	}
	t, err := getTwin(ctx, from, id)
	return t, d, err
}

// patchTwin writes tags and desired for the service and notifies the device.
// operation is opUpdateTwin or opReplaceTwin. A further step, when there is
// one, is part of the same transaction.
func (h *Hub) patchTwin(ctx context.Context, id string, p twinPatch, match ifMatch, operation string, further func(context.Context, *sql.Tx) error) (rest.Twin, error) {
	// Held until the device is notified, so that notifications leave in the
	// order of their versions.
	h.desiredMu.Lock()
	defer h.desiredMu.Unlock()
	var t twin
	var d identity
	var notify *iothub.Section
	err := h.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if t, d, err = h.twinWithIdentity(ctx, tx, id); err != nil {
			return err
		}
		if err := match.check(t.etag.String()); err != nil {
			return err
		}
		version := t.version
		if t, notify, err = t.patched(p, h.now()); err != nil {
			return err
		}
		if t.version != version {
			if err := putTwin(ctx, tx, t); err != nil {
				return err
			}
			if err := h.report(ctx, tx, rest.EventTwinChange, operation, id, changeBody(t, p, notify)); err != nil {
				return err
			}
		}
		if further != nil {
			return further(ctx, tx)
		}
		return nil
	})
	if err != nil {
		return rest.Twin{}, err
	}
	if notify != nil {
		h.broker.NotifyDesired(id, *notify)
	}
	return t.wire(d), nil
}

// changeBody says in an event what a service's write changed.
func changeBody(t twin, p twinPatch, desired *iothub.Section) map[string]any {
	body := map[string]any{"version": t.version}
	if p.tags != nil {
		body["tags"] = p.tags
	}
	if desired != nil {
		content := maps.Clone(desired.Properties)
		content[versionKey] = desired.Version
		body["properties"] = map[string]any{"desired": content}
	}
	return body
}

// reportTwin merges a device's patch into its reported section. With
// ifVersion the section must have that version. It gives the new version.
func (h *Hub) reportTwin(ctx context.Context, id string, patch map[string]any, ifVersion *int64) (int64, error) {
	var t twin
	err := h.write(ctx, func(ctx context.Context, tx *sql.Tx) (err error) {
		if t, err = getTwin(ctx, tx, id); err != nil {
			return err
		}
		if ifVersion != nil && *ifVersion != t.reported.version {
			return iothub.Errorf(iothub.PreconditionFailed, "the reported section has version %d, not %d", t.reported.version, *ifVersion)
		}
		old := t.version
		if t, err = t.reportedBy(patch, h.now()); err != nil || t.version == old {
			return err
		}
		if err := putTwin(ctx, tx, t); err != nil {
			return err
		}
		if err := setLastActivity(ctx, tx, id, h.now()); err != nil {
			return err
		}
		// The patch as the device sent it, nulls included, so that a reader of
		// the feed can follow the section.
		return h.report(ctx, tx, rest.EventTwinChange, opUpdateTwin, id,
			map[string]any{"version": t.version, "properties": map[string]any{"reported": patch}})
	})
	return t.reported.version, err
}
