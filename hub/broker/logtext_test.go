package broker

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

// Whoever has a key to connect with cannot fill the log with long texts.
func TestLogLinesAreShort(t *testing.T) {
	var log bytes.Buffer // the handler writes to it under its own lock
	r := start(t, &fakeHub{}, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	long := strings.Repeat("ü", 30_000)

	c := r.rawWith(t, connectPacket{id: "d1", user: "localhost/d1/?api-version=1&DeviceClientType=" + long})
	c.send(subscribePacket(1, 0, long))
	c.expectClosed()
	c = r.raw(t, "d1")
	c.send(publishPacket("$iothub/"+long, "", 0, 0, 0))
	c.expectClosed()
	refused := r.tls(t)
	if _, code := refused.connect(connectPacket{id: "d1", user: long}); code != 5 {
		t.Errorf("code %d", code)
	}
	r.stop() // all is written then

	if n := strings.Count(log.String(), "\n"); n < 5 {
		t.Errorf("only %d lines", n)
	}
	for line := range strings.Lines(log.String()) {
		if len(line) > 1000 {
			t.Errorf("%d bytes: %.200s", len(line), line)
		}
	}
}

func TestLogText(t *testing.T) {
	short := strings.Repeat("x", maxLogText)
	for text, want := range map[string]string{
		"": "", short: short, short + "x": short + "…",
		strings.Repeat("x", maxLogText-1) + "üy": short[1:] + "…",
	} {
		if got := logText(text); got != want {
			t.Errorf("%d bytes: %q", len(text), got)
		}
	}
}
