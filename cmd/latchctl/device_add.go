package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
	"latchd/iothub/service"
)

func (p *program) deviceAdd() *cobra.Command {
	var (
		tags        string
		thumbprints []string
		disabled    bool
	)
	cmd := &cobra.Command{
		Use:   "add DEVICE",
		Short: "register a device",
		Long: "Add registers a device. The hub makes its keys, unless the device proves\n" +
			"itself by a certificate, whose thumbprint is given instead.\n\n" +
			"An id that exists already is refused and stays as it is.",
		Example: `  latchctl device add front-door --tags '{"building":43}'
  latchctl device add back-door --x509-thumbprint "$(openssl x509 -in back-door.pem -noout -fingerprint -sha256 | cut -d= -f2)"`,
		Args: arguments("DEVICE"),
	}
	cmd.Flags().StringVar(&tags, "tags", "", "tags of its twin: a JSON object, @FILE or - for stdin")
	cmd.Flags().StringArrayVar(&thumbprints, "x509-thumbprint", nil, "SHA-1 or SHA-256 thumbprint of its certificate, in hex; at most two")
	cmd.Flags().BoolVar(&disabled, "disabled", false, "do not let it connect yet")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		device := service.NewDevice{ID: args[0], Disabled: disabled}
		if err := checkDevice(device.ID); err != nil {
			return err
		}
		for _, text := range thumbprints {
			thumbprint, err := service.ParseThumbprint(text)
			if err != nil {
				return usagef("--x509-thumbprint: %w", err)
			}
			device.Thumbprints = append(device.Thumbprints, thumbprint)
		}
		if len(thumbprints) > 2 {
			return usagef("--x509-thumbprint is given %d times; a device has at most two", len(thumbprints))
		}
		patch, err := p.patch("--tags", tags)
		if err != nil {
			return err
		}
		return p.addDevice(ctx, device, patch)
	})
	return cmd
}

func (p *program) addDevice(ctx context.Context, device service.NewDevice, tags *map[string]any) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	made, err := hub.CreateDevice(ctx, device)
	if err != nil {
		return err
	}
	if tags != nil {
		if _, err := hub.UpdateTwin(ctx, device.ID, rest.TwinPatch{Tags: tags}, ""); err != nil {
			return withHint(fmt.Errorf("the device was created, but not its tags: %w", err),
				"latchctl twin set %s --tags …", device.ID)
		}
	}
	return p.printDevice(made)
}
