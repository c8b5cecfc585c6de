package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

func (p *program) deviceConnectionString() *cobra.Command {
	var secondary bool
	cmd := &cobra.Command{
		Use:   "connection-string DEVICE",
		Short: "print what the device needs to connect: a secret",
		Long: "Connection-string prints a device's connection string, its key included: the\n" +
			"only command that shows a key. A local hub is asked where its devices connect.",
		Example: "  (umask 077; latchctl device connection-string front-door >connection-string)",
		Args:    arguments("DEVICE"),
	}
	cmd.Flags().BoolVar(&secondary, "secondary", false, "with the secondary key")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		text, err := p.deviceSecret(ctx, args[0], secondary)
		if err != nil {
			return err
		}
		if p.wantsJSON() {
			return p.printJSON(map[string]any{"deviceId": args[0], "connectionString": text})
		}
		return p.printTable([][]string{{text}})
	})
	return cmd
}

func (p *program) deviceSecret(ctx context.Context, id string, secondary bool) (string, error) {
	if err := checkDevice(id); err != nil {
		return "", err
	}
	hub, err := p.connect()
	if err != nil {
		return "", err
	}
	defer hub.Close()
	device, err := hub.Device(ctx, id)
	if err != nil {
		return "", err
	}
	cs := iothub.ConnectionString{DeviceID: id}
	if cs.HostName, err = p.deviceHost(ctx, hub); err != nil {
		return "", err
	}
	if err := prove(&cs, device.Authentication, secondary); err != nil {
		return "", fmt.Errorf("device %s: %w", id, err)
	}
	// Parts of it came from the hub: what is printed must be what a device
	// reads, no more and no less.
	text := cs.Reveal()
	read, err := iothub.ParseDeviceConnectionString(text)
	if err != nil {
		return "", fmt.Errorf("the hub gave parts of no use: %w", err)
	}
	if read.HostName != cs.HostName || read.SharedAccessKeyName != "" || read.GatewayHostName != "" {
		return "", errors.New("the hub gave parts of no use: its address for devices is more than a host and a port")
	}
	return text, nil
}

// prove says in cs how the device proves itself.
func prove(cs *iothub.ConnectionString, a rest.Authentication, secondary bool) (err error) {
	switch a.Type {
	case rest.AuthSelfSigned, rest.AuthCertificateAuthority:
		if secondary {
			return usagef("it proves itself by a certificate and has no secondary key")
		}
		cs.X509 = true
		return nil
	case rest.AuthSAS:
		key := a.SymmetricKey.PrimaryKey
		if secondary {
			key = a.SymmetricKey.SecondaryKey
		}
		if key == nil || *key == "" {
			return fmt.Errorf("the hub gives no key: the policy may lack the right to read the registry")
		}
		cs.SharedAccessKey, err = iothub.ParseKey(*key)
		return err
	}
	return fmt.Errorf("it cannot connect: its authentication is %q", a.Type)
}

// standardMQTT is the port that devices use where HostName has none.
const standardMQTT = "8883"

// deviceHost is the HostName for devices: where a local hub says that it
// listens, otherwise the name of the hub without the port of its REST API.
func (p *program) deviceHost(ctx context.Context, hub *service.Client) (string, error) {
	endpoints, err := hub.Endpoints(ctx)
	if err != nil {
		return "", err
	}
	if endpoints.MQTT == "" {
		cs, err := p.connectionString()
		if err != nil {
			return "", err
		}
		host, _ := iothub.SplitHostPort(cs.HostName)
		return host, nil
	}
	// The standard port is left out: the Python device SDK takes no port.
	if host, port := iothub.SplitHostPort(endpoints.MQTT); port == standardMQTT {
		return host, nil
	}
	return endpoints.MQTT, nil
}
