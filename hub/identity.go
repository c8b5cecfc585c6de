package hub

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"latchd/iothub"
	"latchd/iothub/rest"
)

// identityInput is what a client may say about an identity. Everything else in
// a body is read-only: the SDKs send it back as they got it, and it is ignored.
type identityInput struct {
	Status         string              `json:"status"`
	StatusReason   *string             `json:"statusReason"`
	Authentication authenticationInput `json:"authentication"`
	Capabilities   rest.Capabilities   `json:"capabilities"`
}

type authenticationInput struct {
	Type           string              `json:"type"`
	SymmetricKey   rest.SymmetricKey   `json:"symmetricKey"`
	X509Thumbprint rest.X509Thumbprint `json:"x509Thumbprint"`
}

// maxStatusReason is in characters (Learn, "Identity registry").
const maxStatusReason = 128

// maxKeyText bounds a given key. IoT Hub's own have 44 characters.
const maxKeyText = 344 // base64 of 256 bytes

// newIdentity makes the identity that a client asked for.
func newIdentity(id string, in identityInput, at time.Time) (identity, error) {
	if err := iothub.CheckDeviceID(id); err != nil {
		return identity{}, iothub.Errorf(iothub.ArgumentInvalid, "%s", err)
	}
	blank := identity{
		id:              id,
		generation:      strconv.FormatInt(ticks(at), 10),
		status:          rest.StatusEnabled,
		connectionState: rest.StateDisconnected,
	}
	d, err := blank.updated(in, time.Time{})
	return d, err
}

// ticks counts tenths of microseconds since the year 1, as .NET does; IoT
// Hub's generation ids are such numbers.
func ticks(t time.Time) int64 {
	const unixEpoch = 621355968000000000
	return unixEpoch + t.UnixNano()/100
}

// updated is the identity after a client's PUT. What the client leaves out
// stays, but for the reason of the status, which goes with the status it
// explained.
func (d identity) updated(in identityInput, at time.Time) (identity, error) {
	if in.Capabilities.IotEdge {
		return d, iothub.Errorf(iothub.ArgumentInvalid, "capabilities.iotEdge: this hub has no Edge devices")
	}
	status := strings.ToLower(in.Status)
	switch status {
	case "":
		status = d.status
	case rest.StatusEnabled, rest.StatusDisabled:
	default:
		return d, iothub.Errorf(iothub.ArgumentInvalid, "status: %q is neither enabled nor disabled", in.Status)
	}
	if r := in.StatusReason; r != nil && utf8.RuneCountInString(*r) > maxStatusReason {
		return d, iothub.Errorf(iothub.ArgumentInvalid, "statusReason: at most %d characters are allowed", maxStatusReason)
	}
	auth, err := d.auth.updated(in.Authentication)
	if err != nil {
		return d, err
	}
	if status != d.status {
		d.statusUpdated = at
	}
	d.status, d.statusReason, d.auth, d.etag = status, in.StatusReason, auth, newIdentityETag(d.etag)
	return d, nil
}

// newIdentityETag makes an etag other than the old one: base64 of decimal
// digits, as a real hub's.
func newIdentityETag(old string) string {
	for {
		n, err := rand.Int(rand.Reader, big.NewInt(1_000_000_000))
		if err != nil {
			panic(err) // crypto/rand aborts the program rather than fail
		}
		if etag := base64.StdEncoding.EncodeToString([]byte(n.String())); etag != old {
			return etag
		}
	}
}

// updated is the authentication after a client's PUT; of the zero one, the
// authentication of a new device.
func (a authentication) updated(in authenticationInput) (authentication, error) {
	kind, err := authKind(in, a.kind)
	if err != nil {
		return a, err
	}
	switch kind {
	case rest.AuthSAS:
		return a.withKeys(in.SymmetricKey)
	case rest.AuthSelfSigned:
		return a.withThumbprints(in.X509Thumbprint)
	}
	return authentication{kind: kind}, nil
}

// authKind is the kind of authentication that is meant. The Node SDK leaves it
// out beside a thumbprint.
func authKind(in authenticationInput, old string) (string, error) {
	if in.Type == "" {
		switch {
		case given(in.X509Thumbprint.PrimaryThumbprint) || given(in.X509Thumbprint.SecondaryThumbprint):
			return rest.AuthSelfSigned, nil
		case given(in.SymmetricKey.PrimaryKey) || given(in.SymmetricKey.SecondaryKey) || old == "":
			return rest.AuthSAS, nil
		}
		return old, nil
	}
	kinds := []string{rest.AuthSAS, rest.AuthSelfSigned, rest.AuthCertificateAuthority, rest.AuthNone}
	i := slices.IndexFunc(kinds, func(k string) bool { return strings.EqualFold(k, in.Type) })
	if i < 0 {
		return "", iothub.Errorf(iothub.ArgumentInvalid, "authentication.type: %q is none of %s", in.Type, strings.Join(kinds, ", "))
	}
	return kinds[i], nil
}

func given(text *string) bool { return text != nil && *text != "" }

// withKeys takes the keys given. Empty ones mean: those it has, or new ones.
func (a authentication) withKeys(in rest.SymmetricKey) (authentication, error) {
	switch primary, secondary := given(in.PrimaryKey), given(in.SecondaryKey); {
	case primary && secondary:
		for name, key := range map[string]string{"primaryKey": *in.PrimaryKey, "secondaryKey": *in.SecondaryKey} {
			if _, err := iothub.ParseKey(key); err != nil || len(key) > maxKeyText {
				return a, iothub.Errorf(iothub.ArgumentInvalid, "authentication.symmetricKey.%s: not a key in base64 of at most %d characters", name, maxKeyText)
			}
		}
		return authentication{kind: rest.AuthSAS, primaryKey: in.PrimaryKey, secondaryKey: in.SecondaryKey}, nil
	case primary || secondary:
		return a, iothub.Errorf(iothub.ArgumentInvalid, "authentication.symmetricKey: give both keys or none")
	case a.kind == rest.AuthSAS:
		return a, nil
	}
	one, two := iothub.GenerateKey().Reveal(), iothub.GenerateKey().Reveal()
	return authentication{kind: rest.AuthSAS, primaryKey: &one, secondaryKey: &two}, nil
}

func (a authentication) withThumbprints(in rest.X509Thumbprint) (authentication, error) {
	primary, secondary := in.PrimaryThumbprint, in.SecondaryThumbprint
	if !given(primary) && !given(secondary) {
		if a.kind == rest.AuthSelfSigned {
			return a, nil
		}
		return a, iothub.Errorf(iothub.ArgumentInvalid, "authentication.x509Thumbprint: a device with a self-signed certificate needs a thumbprint")
	}
	out := authentication{kind: rest.AuthSelfSigned}
	for name, text := range map[string]*string{"primaryThumbprint": primary, "secondaryThumbprint": secondary} {
		if !given(text) {
			continue
		}
		if _, err := parseThumbprint(*text); err != nil {
			return a, iothub.Errorf(iothub.ArgumentInvalid, "authentication.x509Thumbprint.%s: %s", name, err)
		}
	}
	if given(primary) {
		out.primaryThumbprint = primary
	}
	if given(secondary) {
		out.secondaryThumbprint = secondary
	}
	return out, nil
}

// parseThumbprint reads a SHA-1 or SHA-256 thumbprint: hex in any case, with
// or without the colons and spaces that tools print.
func parseThumbprint(text string) ([]byte, error) {
	b, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(text))
	if err != nil || len(b) != 20 && len(b) != 32 {
		return nil, errors.New("a thumbprint is 40 (SHA-1) or 64 (SHA-256) hexadecimal digits")
	}
	return b, nil
}

// sameAs tells whether a device that proved itself by one also does by the other.
func (a authentication) sameAs(b authentication) bool {
	return a.kind == b.kind && same(a.primaryKey, b.primaryKey) && same(a.secondaryKey, b.secondaryKey) &&
		same(a.primaryThumbprint, b.primaryThumbprint) && same(a.secondaryThumbprint, b.secondaryThumbprint)
}

func same(a, b *string) bool {
	if a == nil || b == nil {
		return a == b
	}
	return *a == *b
}

// wire is the identity as clients see it.
func (d identity) wire() rest.Device {
	return rest.Device{
		DeviceID: d.id, GenerationID: d.generation, ETag: d.etag,
		ConnectionState: d.connectionState, Status: d.status, StatusReason: d.statusReason,
		ConnectionStateUpdatedTime: rest.Time{Time: d.connectionUpdated},
		StatusUpdatedTime:          rest.Time{Time: d.statusUpdated},
		LastActivityTime:           rest.Time{Time: d.lastActivity},
		Authentication: rest.Authentication{
			SymmetricKey:   rest.SymmetricKey{PrimaryKey: d.auth.primaryKey, SecondaryKey: d.auth.secondaryKey},
			X509Thumbprint: rest.X509Thumbprint{PrimaryThumbprint: d.auth.primaryThumbprint, SecondaryThumbprint: d.auth.secondaryThumbprint},
			Type:           d.auth.kind,
		},
	}
}
