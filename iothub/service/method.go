package service

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// Timeouts of direct methods, in whole seconds as they travel. The ranges are
// the hub's (Learn, "Direct methods").
const (
	// DefaultConnectTimeout is how long the hub waits for a device that is
	// away. The hub's own default, 0, turns every token renewal of a device
	// into a failure for whoever calls in that second.
	DefaultConnectTimeout = 10
	MaxConnectTimeout     = 300
	// DefaultResponseTimeout is how long the hub waits for the answer of a
	// device that got the call; it is the hub's own default.
	DefaultResponseTimeout = 30
	MinResponseTimeout     = 5
	MaxResponseTimeout     = 300
)

// Invoke calls a direct method, once. Timeouts that are nil get the defaults.
// An error means that no answer came; a device's refusal is an answer, and
// its status is in the result. [iothub.DeviceNotOnline] means that the call
// did not reach the device, [iothub.GatewayTimeout] and an
// [UnreachableError] with MaybeSent that it may have.
func (c *Client) Invoke(ctx context.Context, id string, m rest.MethodCall) (rest.MethodResult, error) {
	if err := iothub.CheckDeviceID(id); err != nil {
		return rest.MethodResult{}, err
	}
	m, err := completeMethod(m)
	if err != nil {
		return rest.MethodResult{}, err
	}
	wait := time.Duration(*m.ConnectTimeoutInSeconds+*m.ResponseTimeoutInSeconds) * time.Second
	out, err := exchange[struct {
		Status  *int            `json:"status"` // any number is a device's own
		Payload json.RawMessage `json:"payload"`
	}](ctx, c, call{
		verb: http.MethodPost, path: twinPath(id) + "/methods", body: m, repeat: never, timeout: wait + httpMargin,
	})
	if err = complete(err, out.Status != nil, "status"); err != nil {
		return rest.MethodResult{}, wrap("invoke "+m.MethodName+" on "+id, err)
	}
	return rest.MethodResult{Status: *out.Status, Payload: out.Payload}, nil
}

// completeMethod checks the call and fills in the timeouts.
func completeMethod(m rest.MethodCall) (rest.MethodCall, error) {
	if err := iothub.CheckMethodName(m.MethodName); err != nil {
		return m, err
	}
	if len(m.Payload) > iothub.MaxMethodPayload {
		return m, fmt.Errorf("the payload has %d bytes; at most %d are allowed", len(m.Payload), iothub.MaxMethodPayload)
	}
	if len(m.Payload) > 0 {
		if _, err := iothub.DecodeJSON(m.Payload); err != nil {
			return m, fmt.Errorf("payload: %w", err)
		}
	}
	if m.ConnectTimeoutInSeconds == nil {
		m.ConnectTimeoutInSeconds = new(DefaultConnectTimeout)
	}
	if m.ResponseTimeoutInSeconds == nil {
		m.ResponseTimeoutInSeconds = new(DefaultResponseTimeout)
	}
	if s := *m.ConnectTimeoutInSeconds; s < 0 || s > MaxConnectTimeout {
		return m, fmt.Errorf("the connect timeout is %d s; it must be 0 to %d s", s, MaxConnectTimeout)
	}
	if s := *m.ResponseTimeoutInSeconds; s < MinResponseTimeout || s > MaxResponseTimeout {
		return m, fmt.Errorf("the response timeout is %d s; it must be %d to %d s", s, MinResponseTimeout, MaxResponseTimeout)
	}
	return m, nil
}
