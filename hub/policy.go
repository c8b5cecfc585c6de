package hub

import (
	"slices"
	"strings"

	"latchd/iothub"
)

// right is what a policy lets its holder do (Learn, "Control access to IoT Hub").
type right uint8

const (
	registryRead   right = 1 << iota // read identities
	registryWrite                    // create, change and delete them
	serviceConnect                   // twins, methods, queries, jobs, events
	deviceConnect                    // connect as a device
)

// policyRights are the policies of every hub, those of a new hub in Azure. The
// keys are made by Init.
var policyRights = map[string]right{
	"iothubowner":       registryRead | registryWrite | serviceConnect | deviceConnect,
	"service":           serviceConnect,
	"device":            deviceConnect,
	"registryRead":      registryRead,
	"registryReadWrite": registryRead | registryWrite,
}

// policy is a name with a pair of keys, either of which signs.
type policy struct {
	primary, secondary iothub.Key
	rights             right
}

// isHost tells whether a name, its port aside, is one of the hub's.
func (h *Hub) isHost(name string) bool {
	host, _ := iothub.SplitHostPort(name)
	return slices.ContainsFunc(h.names, func(n string) bool { return strings.EqualFold(n, host) })
}

// unauthorized is the one answer to everything that is wrong with a token, so
// that it teaches a guesser nothing.
func unauthorized() error {
	return iothub.Errorf(iothub.IotHubUnauthorizedAccess, "Unauthorized")
}

// authorizeService checks the token of a request to the service API: signed by
// a policy that has one of the rights, for this hub and this path, not expired.
// A device's own key opens nothing here.
func (h *Hub) authorizeService(token, path string, any right) error {
	s, err := iothub.ParseSAS(token)
	if err != nil {
		return unauthorized()
	}
	// Without a policy of that name there are no keys, and those match nothing.
	p := h.policies[s.Policy]
	if s.Policy == "" || !s.SignedBy(p.primary, p.secondary) || s.ExpiredAt(h.now()) ||
		!h.isHost(s.Host()) || !s.Covers(path) || p.rights&any == 0 {
		return unauthorized()
	}
	return nil
}
