package service

import (
	"context"
	"net/http"
	"net/url"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// Twin reads a device's twin.
func (c *Client) Twin(ctx context.Context, id string) (rest.Twin, error) {
	if err := iothub.CheckDeviceID(id); err != nil {
		return rest.Twin{}, err
	}
	out, err := exchange[rest.Twin](ctx, c, call{verb: http.MethodGet, path: twinPath(id), repeat: always})
	return out, wrap("get twin of "+id, complete(err, out.DeviceID != "", "deviceId"))
}

// UpdateTwin merges a patch into tags and desired properties (null removes)
// and gives the twin as it is then. With an etag, only if the twin still has
// it ([iothub.PreconditionFailed] otherwise); "" merges in any case.
func (c *Client) UpdateTwin(ctx context.Context, id string, patch rest.TwinPatch, etag string) (rest.Twin, error) {
	if err := iothub.CheckDeviceID(id); err != nil {
		return rest.Twin{}, err
	}
	out, err := exchange[rest.Twin](ctx, c, call{
		verb: http.MethodPatch, path: twinPath(id), ifMatch: anyETag(etag), body: patch, repeat: ifThrottled,
	})
	return out, wrap("update twin of "+id, complete(err, out.DeviceID != "", "deviceId"))
}

func twinPath(id string) string { return "/twins/" + url.PathEscape(id) }
