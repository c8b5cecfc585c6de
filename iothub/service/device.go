package service

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// NewDevice describes an identity to create.
type NewDevice struct {
	ID string
	// Thumbprints of the client certificates it may show, at most two (see
	// [ParseThumbprint]); none: the hub generates keys for it.
	Thumbprints []string
	Disabled    bool
}

// The body of a new identity holds no more than this: the official SDKs send
// the same, and an absent key is what asks the hub to make one.
type (
	identityBody struct {
		DeviceID       string            `json:"deviceId"`
		Status         string            `json:"status"`
		Authentication authBody          `json:"authentication"`
		Capabilities   rest.Capabilities `json:"capabilities"`
	}
	authBody struct {
		SymmetricKey   *struct{}       `json:"symmetricKey,omitempty"`
		X509Thumbprint *thumbprintBody `json:"x509Thumbprint,omitempty"`
		Type           string          `json:"type"`
	}
	thumbprintBody struct {
		Primary   string `json:"primaryThumbprint"`
		Secondary string `json:"secondaryThumbprint,omitempty"`
	}
)

// CreateDevice adds an identity. An id that exists already is
// [iothub.DeviceAlreadyExists]; the existing one stays as it is.
func (c *Client) CreateDevice(ctx context.Context, d NewDevice) (rest.Device, error) {
	if err := iothub.CheckDeviceID(d.ID); err != nil {
		return rest.Device{}, err
	}
	body := identityBody{
		DeviceID:       d.ID,
		Status:         rest.StatusEnabled,
		Authentication: authBody{SymmetricKey: &struct{}{}, Type: rest.AuthSAS},
	}
	if d.Disabled {
		body.Status = rest.StatusDisabled
	}
	switch len(d.Thumbprints) {
	case 0:
	case 1, 2:
		prints := &thumbprintBody{Primary: d.Thumbprints[0]}
		if len(d.Thumbprints) == 2 {
			prints.Secondary = d.Thumbprints[1]
		}
		body.Authentication = authBody{X509Thumbprint: prints, Type: rest.AuthSelfSigned}
	default:
		return rest.Device{}, fmt.Errorf("a device has at most 2 thumbprints, not %d", len(d.Thumbprints))
	}
	// Without If-Match PUT means create, and never overwrites.
	out, err := exchange[rest.Device](ctx, c, call{
		verb: http.MethodPut, path: devicePath(d.ID), body: body, repeat: ifThrottled,
	})
	return out, wrap("create device "+d.ID, complete(err, out.DeviceID != "", "deviceId"))
}

// Device reads an identity, keys included: the result is a secret.
func (c *Client) Device(ctx context.Context, id string) (rest.Device, error) {
	if err := iothub.CheckDeviceID(id); err != nil {
		return rest.Device{}, err
	}
	out, err := exchange[rest.Device](ctx, c, call{verb: http.MethodGet, path: devicePath(id), repeat: always})
	return out, wrap("get device "+id, complete(err, out.DeviceID != "", "deviceId"))
}

// DeleteDevice removes an identity and its twin. With an etag, only if it is
// still the one that has it; "" removes whatever is there.
func (c *Client) DeleteDevice(ctx context.Context, id, etag string) error {
	if err := iothub.CheckDeviceID(id); err != nil {
		return err
	}
	_, err := c.do(ctx, call{
		verb: http.MethodDelete, path: devicePath(id), ifMatch: anyETag(etag), repeat: ifThrottled,
	})
	return wrap("delete device "+id, err)
}

// ParseThumbprint reads the SHA-1 or SHA-256 thumbprint of a certificate as
// tools print it: hex of any case, bare or with colons or spaces.
func ParseThumbprint(text string) (string, error) {
	hex := strings.ToUpper(strings.NewReplacer(":", "", " ", "").Replace(text))
	if len(hex) != 40 && len(hex) != 64 {
		return "", fmt.Errorf("a thumbprint has 40 (SHA-1) or 64 (SHA-256) hexadecimal digits, not %d", len(hex))
	}
	if strings.Trim(hex, "0123456789ABCDEF") != "" {
		return "", fmt.Errorf("a thumbprint has hexadecimal digits only")
	}
	return hex, nil
}

func devicePath(id string) string { return "/devices/" + url.PathEscape(id) }

func anyETag(etag string) string {
	if etag == "" {
		return "*"
	}
	return etag
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
