package hub

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// maxList is the most identities that GET /devices gives; it has no pages.
const maxList = 1000

func (h *Hub) apiListDevices(r *request) (answer, error) {
	top, err := strconv.Atoi(r.URL.Query().Get("top"))
	if err != nil || top < 1 || top > maxList {
		top = maxList // as IoT Hub: anything else is all it may be
	}
	all, err := listIdentities(r.Context(), h.store.r, top)
	if err != nil {
		return answer{}, err
	}
	out := make([]rest.Device, len(all))
	for i, d := range all {
		out[i] = d.wire()
	}
	return ok(out)
}

func (h *Hub) apiGetDevice(r *request) (answer, error) {
	d, err := getIdentity(r.Context(), h.store.r, r.args[0])
	if err != nil {
		return answer{}, err
	}
	return okWithETag(d.wire(), d.etag)
}

// apiPutDevice creates without If-Match and updates with it.
func (h *Hub) apiPutDevice(r *request) (answer, error) {
	var in struct {
		DeviceID string `json:"deviceId"`
		identityInput
	}
	if err := decodeInto(r.body, &in); err != nil {
		return answer{}, err
	}
	id := r.args[0]
	if in.DeviceID != "" && in.DeviceID != id {
		return answer{}, iothub.Errorf(iothub.ArgumentInvalid, "deviceId: the body names another device than the path")
	}
	put := h.createDevice
	if match := readIfMatch(r.Header); match.given {
		put = func(ctx context.Context, id string, in identityInput) (identity, error) {
			return h.updateDevice(ctx, id, in, match)
		}
	}
	d, err := put(r.Context(), id, in.identityInput)
	if err != nil {
		return answer{}, err
	}
	return okWithETag(d.wire(), d.etag)
}

func (h *Hub) apiDeleteDevice(r *request) (answer, error) {
	if err := h.deleteDevice(r.Context(), r.args[0], readIfMatch(r.Header)); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, nil
}

func (h *Hub) apiDeviceStatistics(r *request) (answer, error) {
	n, err := countDevices(r.Context(), h.store.r)
	if err != nil {
		return answer{}, err
	}
	return ok(n)
}

func (h *Hub) apiServiceStatistics(*request) (answer, error) {
	return ok(rest.ServiceStatistics{ConnectedDeviceCount: h.broker.ConnectedCount()})
}

// apiEndpoints says what devices dial: the name by which the operator reached
// the hub, with the port for devices.
func (h *Hub) apiEndpoints(r *request) (answer, error) {
	host, _ := iothub.SplitHostPort(r.Host)
	if !h.isHost(host) {
		host = h.names[0]
	}
	return ok(map[string]string{"mqtt": net.JoinHostPort(host, *h.mqttPort.Load())})
}
