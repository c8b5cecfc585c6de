package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"latchd/hub"
)

const initUsage = `Usage: latchhub init --dir DIR [--name NAME,NAME...]

Makes a hub in DIR: a certificate authority of its own, a server certificate,
and random keys for the policies. Devices and operators must trust DIR/ca.pem.

  --dir DIR      where the hub lives; created if it is not there
  --name NAMES   host names and addresses by which others reach this machine;
                 localhost, 127.0.0.1 and ::1 are always added. A token must
                 name one of them: where devices dial a gateway, name the hub
                 of their connection strings here too

Where DIR holds a hub already, init refuses, unless --name is given: then the
hub gets these names and a certificate for them, and keeps its authority, its
keys and its devices. Stop the hub before that.

The clock of the machine must be set: certificates are valid for a time.
`

func runInit(_ context.Context, c call) error {
	dir := c.flags.String("dir", "", "")
	names := c.flags.String("name", "", "")
	if err := c.parse("dir"); err != nil {
		return err
	}
	var list []string
	if *names != "" {
		list = strings.Split(*names, ",")
	}
	if err := hub.Init(*dir, list); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.stdout, "The hub in %s is ready to serve. Devices and operators must trust %s.\n", *dir, filepath.Join(*dir, "ca.pem"))
	return err
}
