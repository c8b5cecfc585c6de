package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"latchd/hub"
	"latchd/internal/logging"
)

const (
	defaultMQTT  = "127.0.0.1:8883" // loopback unless told otherwise
	defaultHTTPS = "127.0.0.1:" + hub.DefaultHTTPSPort
)

const serveUsage = `Usage: latchhub serve --dir DIR [flags]

Serves the hub in DIR until SIGTERM or SIGINT. When it is ready it writes
DIR/endpoints.json and logs one line.

  --dir DIR          the hub, made by latchhub init
  --mqtt ADDRESS     where devices connect        (default ` + defaultMQTT + `)
  --https ADDRESS    where operators connect      (default ` + defaultHTTPS + `)
  --device-ca FILE   certificate authorities, in PEM form, whose certificates
                     devices of type certificateAuthority may use
  --verbose          log details too

An ADDRESS is HOST:PORT. Only this machine can reach 127.0.0.1; 0.0.0.0 lets
others in. Port 0 takes a free port, which endpoints.json tells.
`

func runServe(ctx context.Context, c call) (err error) {
	dir := c.flags.String("dir", "", "")
	mqtt := c.flags.String("mqtt", defaultMQTT, "")
	https := c.flags.String("https", defaultHTTPS, "")
	deviceCA := c.flags.String("device-ca", "", "")
	verbose := c.flags.Bool("verbose", false, "")
	if err := c.parse("dir", "mqtt", "https"); err != nil {
		return err
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := logging.New(c.stderr, level, logging.ToJournal(os.Stderr))
	h, err := hub.Open(*dir, hub.Options{DeviceCA: *deviceCA, Log: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	devices, err := net.Listen("tcp", *mqtt)
	if err != nil {
		return fmt.Errorf("listen for devices: %w", err)
	}
	operators, err := net.Listen("tcp", *https)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for operators: %w", err), devices.Close())
	}
	if err := h.Serve(ctx, devices, operators); err != nil {
		return err
	}
	log.Info("the hub has stopped")
	return nil
}
