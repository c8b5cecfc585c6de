package broker

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A stranger who knocks without end gets a bounded place in the log.
func TestRefusalsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log safeBuffer
		r := refusals{log: slog.New(slog.NewTextHandler(&log, nil))}
		for range 3 { // intervals
			for range 1000 {
				r.note("192.0.2.1:9", errors.New("the password is wrong"))
			}
			time.Sleep(refusalInterval + time.Second)
		}
		time.Sleep(10 * refusalInterval) // nothing happens, and nothing is said
		r.note("192.0.2.1:9", errors.New("the device is disabled"))
		r.summarize()
		text := log.String()
		if n := strings.Count(text, "device refused\""); n != 3*refusalLines+1 {
			t.Errorf("%d lines", n)
		}
		if n := strings.Count(text, "connections=990"); n != 3 || strings.Count(text, "\n") != 3*refusalLines+1+3 {
			t.Errorf("%d lines tell how many more:\n%s", n, text)
		}
	})
}

// The same over the network: each connection is refused, few of them are logged.
func TestManyRefusedConnections(t *testing.T) {
	var log safeBuffer
	r := start(t, &fakeHub{}, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	const knocks = 30
	for range knocks {
		c := r.tls(t)
		if _, code := c.connect(connectPacket{id: "d1", password: "guess"}); code != 5 {
			t.Fatalf("CONNACK %d", code)
		}
	}
	r.stop()
	if text := log.String(); strings.Count(text, "device refused\"") != refusalLines || !strings.Contains(text, "connections=20") {
		t.Errorf("the log says:\n%s", text)
	}
}
