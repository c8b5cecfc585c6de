package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

// The examples of docs/device.md are run as they stand, each block on a device
// of its own.
func TestDeviceDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/device.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```example\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(blocks) < 10 {
		t.Fatalf("found %d examples", len(blocks))
	}
	for i, b := range blocks {
		t.Run(fmt.Sprintf("example %d", i+1), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(r *rig) {
				e := example{rig: r}
				for _, line := range strings.Split(strings.TrimSpace(b[1]), "\n") {
					e.run(line)
				}
			})
		})
	}
}

// example is a block that is being run.
type example struct {
	*rig
	last reply
}

func (e *example) run(line string) {
	e.Helper()
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case ">":
		method, payload, _ := strings.Cut(rest, " ")
		id, _ := e.last.body["operationId"].(string)
		e.last = e.call(method, strings.ReplaceAll(payload, "$operationId", id))
	case "<":
		status, body, _ := strings.Cut(rest, " ")
		if fmt.Sprint(e.last.status) != status {
			e.Errorf("%s\ngot %s", line, e.last)
		}
		e.compare(line, body, e.last.body)
	case "twin":
		e.settle()
		held := map[string]any{}
		for name := range e.decode(rest) { // the document shows the properties it talks of
			if v, ok := e.hub.twin()[name]; ok {
				held[name] = v
			}
		}
		e.compare(line, rest, held)
	case "event":
		e.compare(line, rest, e.nextEvent())
	case "desired":
		version, body, _ := strings.Cut(rest, " ")
		var n int64
		fmt.Sscan(version, &n)
		e.desire(n, body)
	case "wait":
		d, err := time.ParseDuration(rest)
		if err != nil {
			e.Fatal(err)
		}
		e.pass(d)
	case "button":
		e.input("button", rest)
	case "reboot":
		e.pass(10 * time.Second)
		if e.machine.asked.Load() != 1 {
			e.Fatal("the machine was not asked to reboot")
		}
		e.pass(22 * time.Second) // it went down after the default delay of 2 s
		e.boot(rest)
	default:
		e.Fatalf("the example has a line that nobody knows: %s", line)
	}
}

// nextEvent is the next one that the hub was sent.
func (e *example) nextEvent() map[string]any {
	e.Helper()
	e.hub.mu.Lock()
	none := len(e.hub.events) == 0
	e.hub.mu.Unlock()
	if none {
		e.pass(2 * time.Second) // until it is on disk
	}
	e.hub.mu.Lock()
	defer e.hub.mu.Unlock()
	if len(e.hub.events) == 0 {
		e.Fatal("no event came")
	}
	m := e.hub.events[0]
	e.hub.events = e.hub.events[1:]
	return e.decode(string(m.Body))
}

func (e *example) decode(text string) map[string]any {
	e.Helper()
	doc, err := iothub.DecodeObject([]byte(text))
	if err != nil {
		e.Fatalf("%s: %v", text, err)
	}
	return doc
}

// compare tells whether the document says what is true: no member more, no
// member less. "…" stands for any text within a string, and for any key.
func (e *example) compare(line, want string, got map[string]any) {
	e.Helper()
	if err := alike(e.decode(want), got); err != nil {
		text, _ := json.Marshal(got)
		e.Errorf("%s\ngot %s\n%v", line, text, err)
	}
}

func alike(want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		if !ok || len(got) != len(want) {
			return fmt.Errorf("%v is not like %v", got, want)
		}
		for k, w := range want {
			g, ok := got[k]
			if k == "…" {
				for _, g = range got {
					ok = true
				}
			}
			if !ok {
				return fmt.Errorf("%s is absent", k)
			}
			if err := alike(w, g); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
		return nil
	case string:
		got, ok := got.(string)
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(want), "…", ".+") + "$"
		if !ok || !regexp.MustCompile(pattern).MatchString(got) {
			return fmt.Errorf("%q is not like %q", got, want)
		}
		return nil
	}
	g, err := iothub.ToDocument(map[string]any{"v": got})
	if err != nil || !iothub.Equal(g["v"], want) {
		return fmt.Errorf("%v is not %v", got, want)
	}
	return nil
}
