package main

import (
	"log/slog"

	"latchd/agent"
	"latchd/internal/version"
	"latchd/iothub"
	"latchd/iothub/device"
)

// newClient connects the agent to its hub; nil if it cannot be.
func (s *service) newClient() *device.Client {
	client, err := newClient(s.config, s.agent, s.clock, &s.link, s.log)
	if err != nil {
		s.log.Error("the hub cannot be reached with this configuration; the door works without it", "error", err)
		s.link.changed(false, err)
		return nil
	}
	s.agent.Connect(client)
	return client
}

// newClient makes the connection to the hub.
func newClient(cfg config, a *agent.Agent, clock device.Clock, l *link, log *slog.Logger) (*device.Client, error) {
	found, err := findCredentials(cfg.Hub)
	if err != nil {
		return nil, err
	}
	c := found.client()
	c.Log, c.Clock = log, clock
	c.Handler = device.Handler{
		Method: a.Serve, Desired: a.Desired, Reported: a.Reported, Connection: l.changed,
	}
	return device.New(c)
}

func information(m machine) map[string]any {
	doc, err := iothub.ToDocument(m.Information(version.Version))
	if err != nil {
		return nil
	}
	doc["__t"] = "c" // the plug-and-play mark of a component
	return doc
}
