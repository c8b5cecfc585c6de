package hub

import (
	"context"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

func (h *Hub) apiGetTwin(r *request) (answer, error) {
	t, d, err := h.twinWithIdentity(r.Context(), h.store.r, r.args[0])
	if err != nil {
		return answer{}, err
	}
	return okWithETag(t.wire(d), t.etag.String())
}

func (h *Hub) apiPatchTwin(r *request) (answer, error) { return h.apiWriteTwin(r, opUpdateTwin) }

func (h *Hub) apiReplaceTwin(r *request) (answer, error) { return h.apiWriteTwin(r, opReplaceTwin) }

func (h *Hub) apiWriteTwin(r *request, operation string) (answer, error) {
	doc, err := decodeObject(r.body)
	if err != nil {
		return answer{}, err
	}
	p, err := readTwinPatch(doc, operation == opReplaceTwin)
	if err != nil {
		return answer{}, err
	}
	t, err := h.patchTwin(r.Context(), r.args[0], p, readIfMatch(r.Header), operation, nil)
	if err != nil {
		return answer{}, err
	}
	return okWithETag(t, t.ETag)
}

// Limits of a direct method (Learn, "Understand and invoke direct methods").
const (
	minResponseTimeout     = 5 // seconds
	maxMethodTimeout       = 300
	defaultResponseTimeout = 30
	defaultConnectTimeout  = 0
)

// methodCall is a direct method that was checked.
type methodCall struct {
	name              string
	payload           []byte // one JSON value, byte for byte as the caller wrote it; null for none
	connect, response time.Duration
}

// readMethodCall checks a call. connect is the default in seconds of the time
// to wait for the device.
func readMethodCall(in rest.MethodCall, connect int) (methodCall, error) {
	bad := func(format string, args ...any) (methodCall, error) {
		return methodCall{}, iothub.Errorf(iothub.ArgumentInvalid, format, args...)
	}
	if err := iothub.CheckMethodName(in.MethodName); err != nil {
		return bad("methodName: %s", err)
	}
	if len(in.Payload) > iothub.MaxMethodPayload {
		return methodCall{}, iothub.Errorf(iothub.MessageTooLarge, "payload: it has %d bytes, and at most %d are allowed", len(in.Payload), iothub.MaxMethodPayload)
	}
	response := defaultResponseTimeout
	if in.ResponseTimeoutInSeconds != nil {
		response = *in.ResponseTimeoutInSeconds
	} else if in.TimeoutInSeconds != nil {
		response = *in.TimeoutInSeconds
	}
	if in.ConnectTimeoutInSeconds != nil {
		connect = *in.ConnectTimeoutInSeconds
	}
	if response < minResponseTimeout || response > maxMethodTimeout {
		return bad("responseTimeoutInSeconds: it must be from %d to %d", minResponseTimeout, maxMethodTimeout)
	}
	if connect < 0 || connect > maxMethodTimeout {
		return bad("connectTimeoutInSeconds: it must be from 0 to %d", maxMethodTimeout)
	}
	payload := in.Payload
	if payload == nil {
		payload = []byte("null")
	}
	return methodCall{in.MethodName, payload, time.Duration(connect) * time.Second, time.Duration(response) * time.Second}, nil
}

func (h *Hub) apiMethod(r *request) (answer, error) {
	// The device first: a call for one that does not exist is that, whatever
	// else is wrong with it. One that is connected exists, for deleting it ends
	// its connection; to look that up anyway would be a quarter of the hub's
	// work on a call.
	if !h.broker.Connected(r.args[0]) {
		if _, err := getIdentity(r.Context(), h.store.r, r.args[0]); err != nil {
			return answer{}, err
		}
	}
	var in rest.MethodCall
	if err := decodeInto(r.body, &in); err != nil {
		return answer{}, err
	}
	call, err := readMethodCall(in, defaultConnectTimeout)
	if err != nil {
		return answer{}, err
	}
	if err := r.patience(call.connect + call.response); err != nil {
		return answer{}, err
	}
	// A caller that hangs up while the device is not there yet takes the call
	// back: r's context ends.
	result, err := h.invoke(r.Context(), r.args[0], call)
	if err != nil {
		return answer{}, err
	}
	return ok(result)
}

// invoke calls a direct method, once. The broker has checked that the answer is
// JSON or empty.
func (h *Hub) invoke(ctx context.Context, id string, call methodCall) (rest.MethodResult, error) {
	status, body, err := h.broker.Invoke(ctx, id, call.name, call.payload, call.connect, call.response)
	if err != nil {
		return rest.MethodResult{}, err
	}
	if len(body) == 0 {
		body = []byte("null")
	}
	return rest.MethodResult{Status: status, Payload: body}, nil
}
