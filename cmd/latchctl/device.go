package main

import (
	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) device() *cobra.Command {
	return group("device", "register, list and remove devices",
		p.deviceAdd(), p.deviceList(), p.deviceShow(), p.deviceDelete(), p.deviceConnectionString())
}

// withoutKeys gives the identity as it may be shown.
func withoutKeys(d rest.Device) rest.Device {
	d.Authentication.SymmetricKey = rest.SymmetricKey{}
	return d
}

// printDevice shows an identity, without its keys.
func (p *program) printDevice(d rest.Device) error {
	d = withoutKeys(d)
	if p.wantsJSON() {
		return p.printJSON(d)
	}
	rows := [][]string{
		{"device", d.DeviceID},
		{"status", d.Status},
		{"connection", d.ConnectionState},
		{"authentication", d.Authentication.Type},
	}
	if d.StatusReason != nil {
		rows = append(rows, []string{"status reason", *d.StatusReason})
	}
	for _, thumbprint := range []*string{
		d.Authentication.X509Thumbprint.PrimaryThumbprint, d.Authentication.X509Thumbprint.SecondaryThumbprint,
	} {
		if thumbprint != nil {
			rows = append(rows, []string{"thumbprint", *thumbprint})
		}
	}
	rows = append(rows,
		[]string{"last activity", showTime(d.LastActivityTime.Time)},
		[]string{"generation", d.GenerationID},
		[]string{"etag", d.ETag},
	)
	return p.printTable(rows)
}
