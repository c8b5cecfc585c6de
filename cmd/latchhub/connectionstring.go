package main

import (
	"context"
	"fmt"

	"latchd/hub"
)

const connectionStringUsage = `Usage: latchhub connection-string --dir DIR [--policy POLICY]

Prints the connection string of a policy, which latchctl and the Azure tools
take. It holds the policy's key: keep it as you keep a password. It is for this
machine, with the port of the last latchhub serve; elsewhere put the hub's name
in place of localhost.

  --dir DIR         the hub, made by latchhub init
  --policy POLICY   iothubowner (default), service, device, registryRead or
                    registryReadWrite
`

func runConnectionString(_ context.Context, c call) error {
	dir := c.flags.String("dir", "", "")
	policy := c.flags.String("policy", "iothubowner", "")
	if err := c.parse("dir", "policy"); err != nil {
		return err
	}
	text, err := hub.ConnectionString(*dir, *policy)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(c.stdout, text)
	return err
}
