package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"latchd/iothub/device"
)

const configureUsage = `Usage: latchd configure [--connection-string-file FILE] [--ca FILE]
       latchd configure --host HOST --device ID --certificate FILE --key FILE [--ca FILE]

Tells this device its hub and how it proves itself there. Asks for the device's
connection string at the terminal, without showing it, unless an option says
where it is. Connects once to check, stores the credentials so that only root and
the service can read them, and restarts the service; the door stays as it is.
If anything fails before they are stored, what was configured before stays.

For a device on Azure IoT Hub, the connection string comes from
  az iot hub device-identity connection-string show --hub-name HUB --device-id ID

Options:
`

const configureExits = "\nExit status: 0 when the device is configured, 1 after a failure, 2 for a wrong command line.\n"

// configureOptions is the command line of `latchd configure`.
type configureOptions struct {
	config                 string
	connection             string
	connectionFile         string
	certificate, key       string
	host, device           string
	ca                     string
	withoutCheck, unsealed bool
}

func (o *configureOptions) flags() *flag.FlagSet {
	f := newFlags("latchd configure")
	f.StringVar(&o.connectionFile, "connection-string-file", "", "read the device's connection string from `FILE`; - is standard input")
	f.StringVar(&o.connection, "connection-string", "", "the device's connection string itself, `TEXT`: every user of this machine can see\nit in the list of processes, and the shell keeps it; better use a file")
	f.StringVar(&o.certificate, "certificate", "", "the device's own certificate, with its chain: `FILE` in PEM")
	f.StringVar(&o.key, "key", "", "the certificate's private key: `FILE` in PEM, without a password")
	f.StringVar(&o.host, "host", "", "the hub's `HOST` name, for a device with a certificate")
	f.StringVar(&o.device, "device", "", "the device's `ID` at the hub, for a device with a certificate")
	f.StringVar(&o.ca, "ca", "", "trust the hub by the certificates in `FILE` (PEM) alone: for a site's own hub.\nWithout it the system's roots count")
	f.BoolVar(&o.withoutCheck, "no-check", false, "do not connect to the hub, as on a bench without a network")
	f.BoolVar(&o.unsealed, "plain", false, "do not encrypt what is stored, though systemd could: for a disk that is to be\nmoved to another machine")
	f.StringVar(&o.config, "config", defaultConfig, "the configuration `FILE` of the service")
	return f
}

// check finds what does not go together.
func (o *configureOptions) check() error {
	byName := o.host != "" || o.device != ""
	switch {
	case o.connection != "" && o.connectionFile != "":
		return errors.New("--connection-string and --connection-string-file exclude each other")
	case byName && (o.connection != "" || o.connectionFile != ""):
		return errors.New("a connection string and --host or --device exclude each other")
	case byName && (o.host == "" || o.device == ""):
		return errors.New("--host and --device go together")
	case byName && o.certificate == "":
		return errors.New("--host and --device are for a device with a certificate: give --certificate and --key")
	case (o.certificate == "") != (o.key == ""):
		return errors.New("--certificate and --key go together")
	}
	return nil
}

// configure is the command `latchd configure`.
func (p program) configure(ctx context.Context, args []string) int {
	var o configureOptions
	rest, exit, done := p.parse(o.flags(), args, configureUsage, configureExits)
	if done {
		return exit
	}
	if len(rest) > 0 { // not repeated: it may be a connection string
		return p.misused("latchd configure", "configure takes options only")
	}
	if err := o.check(); err != nil {
		return p.misused("latchd configure", err.Error())
	}
	switch err := p.configureWith(ctx, o); {
	case errors.Is(err, errNoTerminal):
		return p.misused("latchd configure", err.Error())
	case err != nil && ctx.Err() != nil:
		return p.failed(fmt.Errorf("interrupted: %w", err))
	case err != nil:
		return p.failed(err)
	}
	return exitOK
}

// checkWithinConfigure bounds the one connection of configure: a look-up of a
// name, TCP, TLS and CONNACK, each over a slow mobile network.
const checkHubWithin = 20 * time.Second

// configureWith does it: read, validate, connect, store, restart. Its errors say
// whether the credentials of before are still in place.
func (p program) configureWith(ctx context.Context, o configureOptions) error {
	if p.system.uid != 0 {
		return errors.New("only root may configure this device: sudo latchd configure")
	}
	hub, err := hubOf(o)
	if err != nil {
		return err
	}
	set, err := p.read(ctx, o)
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	found, err := set.validate(hub.CAFile, time.Now())
	if err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	for _, warning := range found.warnings {
		fmt.Fprintln(p.stderr, "latchd: warning:", warning)
	}
	who := found.connection.DeviceID + " at " + found.connection.HostName
	if o.withoutCheck {
		fmt.Fprintf(p.stdout, "Not checked: whether the hub accepts %s.\n", who)
	} else {
		fmt.Fprintf(p.stdout, "Connecting as %s ...\n", who)
		checking, cancel := context.WithTimeout(ctx, checkHubWithin)
		defer cancel()
		hub := found.client()
		hub.Clock = checkClock()
		if err := device.Check(checking, hub); err != nil {
			return fmt.Errorf("%w; nothing was changed (--no-check configures without connecting)", err)
		}
		fmt.Fprintln(p.stdout, "The hub accepts this device.")
	}
	where, err := p.system.store(ctx, set, o.unsealed)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "Stored in %s.\n", where)
	return p.restart(ctx)
}

// restart is the last step, and tells what to do by hand where it cannot be.
func (p program) restart(ctx context.Context) error {
	switch err := p.system.restartService(ctx); {
	case errors.Is(err, errNoSystemd):
		fmt.Fprintln(p.stdout, "systemd does not run here, so nothing was restarted. Where it is to run, the service\n"+
			"reads the credentials at its next start. Without systemd, as in a container, let the\n"+
			"configuration name the files instead (hub.connection_string_file).")
		return nil
	case err != nil:
		return fmt.Errorf("%w; the credentials are stored, and count from the next start: see systemctl status %s", err, unitName)
	}
	fmt.Fprintln(p.stdout, "The service was restarted. See what it does: sudo latchd status")
	return nil
}

// hubOf is the configuration's part about the hub, which must leave room for what
// is to be stored: what the configuration names wins over that.
func hubOf(o configureOptions) (hubConfig, error) {
	cfg, err := loadConfig(o.config)
	if err != nil && o.config != defaultConfig && cannotRead(err) {
		return hubConfig{}, err
	}
	for _, key := range []struct {
		name     string
		inTheWay bool
	}{
		{"connection_string", cfg.Hub.ConnectionString != ""},
		{"connection_string_file", cfg.Hub.ConnectionStringFile != ""},
		{"certificate_file", cfg.Hub.CertificateFile != ""},
		{"key_file", cfg.Hub.KeyFile != ""},
		{"ca_file", cfg.Hub.CAFile != "" && o.ca != ""},
	} {
		if key.inTheWay {
			return hubConfig{}, fmt.Errorf("the configuration %s sets hub.%s, which wins over what would be stored; remove it there first", o.config, key.name)
		}
	}
	return cfg.Hub, nil
}
