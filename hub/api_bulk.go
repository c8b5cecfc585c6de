package hub

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// maxBulk is the most identities in one POST /devices (Learn, "Quotas").
const maxBulk = 100

// bulkItem is one of the identities; mind id and eTag.
type bulkItem struct {
	ID         string `json:"id"`
	ModuleID   string `json:"moduleId"`
	ETag       string `json:"eTag"`
	TwinETag   string `json:"twinETag"`
	ImportMode string `json:"importMode"`
	identityInput
}

// apiBulk does each item by itself: what one fails at leaves the others.
func (h *Hub) apiBulk(r *request) (answer, error) {
	var raw []json.RawMessage
	if err := decodeInto(r.body, &raw); err != nil {
		return answer{}, err
	}
	if len(raw) == 0 || len(raw) > maxBulk {
		return answer{}, iothub.Errorf(iothub.ArgumentInvalid, "the body must hold 1 to %d devices", maxBulk)
	}
	items := make([]bulkItem, len(raw))
	seen := map[string]bool{}
	for i := range raw {
		if err := decodeInto(raw[i], &items[i]); err != nil {
			return answer{}, err
		}
		id := items[i].ID
		if seen[id] {
			return answer{}, iothub.Errorf(iothub.DeviceDefinedMultipleTimes, "DeviceDefinedMultipleTimes, device ID %s", id)
		}
		seen[id] = true
	}
	result := rest.BulkResult{IsSuccessful: true, Errors: []rest.BulkError{}, Warnings: []any{}}
	for i, item := range items {
		err := h.bulkOne(r.Context(), item, raw[i])
		if err == nil {
			continue
		}
		wire, known := isWire(err)
		if !known {
			return answer{}, err
		}
		result.IsSuccessful = false
		result.Errors = append(result.Errors, rest.BulkError{DeviceID: item.ID, ErrorCode: wire.Code.String(), ErrorStatus: wire.Message})
	}
	a, err := ok(result)
	if !result.IsSuccessful {
		a.status = http.StatusBadRequest
	}
	return a, err
}

// bulkOne does one item. The names of the modes are IoT Hub's, in any case.
func (h *Hub) bulkOne(ctx context.Context, item bulkItem, raw json.RawMessage) error {
	if item.ModuleID != "" {
		return iothub.Errorf(iothub.ArgumentInvalid, "moduleId: this hub has no module identities")
	}
	doc, err := decodeObject(raw)
	if err != nil {
		return err
	}
	switch mode := strings.ToLower(item.ImportMode); mode {
	case "create", "":
		content, err := readTwinPatch(doc, false)
		if err == nil {
			_, err = h.createDeviceWithTwin(ctx, item.ID, item.identityInput, content)
		}
		return err
	case "update":
		_, err := h.updateDevice(ctx, item.ID, item.identityInput, ifMatch{})
		return err
	case "updateifmatchetag":
		_, err := h.updateDevice(ctx, item.ID, item.identityInput, ifMatch{given: true, etag: item.ETag})
		return err
	case "delete":
		return h.deleteDevice(ctx, item.ID, ifMatch{})
	case "deleteifmatchetag":
		return h.deleteDevice(ctx, item.ID, ifMatch{given: true, etag: item.ETag})
	case "updatetwin", "updatetwinifmatchetag":
		match := ifMatch{given: mode != "updatetwin", etag: item.TwinETag}
		p, err := readTwinPatch(doc, false)
		if err == nil {
			_, err = h.patchTwin(ctx, item.ID, p, match, opUpdateTwin, nil)
		}
		return err
	}
	return iothub.Errorf(iothub.ArgumentInvalid, "importMode: %q is not one", item.ImportMode)
}
