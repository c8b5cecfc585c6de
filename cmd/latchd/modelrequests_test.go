package main

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"latchd/agent/health"
	"latchd/test/dtdl"
)

// Every command of the model is a method, every value of the right type is taken and
// every other one refused.
func TestDeviceTakesItsModelsCommands(t *testing.T) {
	for name, c := range model(t).Contents {
		if c.Type != "Command" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onModel(t, func(m *modelled) {
				a := m.call(name, ``)
				if a.status == 404 {
					m.Fatalf("%s answers %s", name, a)
				}
				m.checkAnswer(name, a)
				if c.Request != nil {
					checkRequest(m, name, c.Request)
				}
			})
		})
	}
}

// samples are values that the device takes, of fields whose type does not say which.
var samples = map[string]any{
	"commandId": "model-1", "notAfter": "2098-01-01T00:00:00Z", "operationId": "op-1",
	"lockTime": 10, "unlockTime": 2.5, "delay": 60, "reason": "a reason",
	"hold": true, "force": true, "dryRun": true, "checks": health.IDs()[:1],
}

func checkRequest(m *modelled, name string, request *dtdl.Schema) {
	m.Helper()
	for field, schema := range request.Fields {
		sample, ok := samples[field]
		if !ok {
			m.Errorf("%s has the field %s, of which this test has no sample", name, field)
			continue
		}
		if err := schema.Check(sample, field, nil); err != nil {
			m.Errorf("the sample is not as the model says: %v", err)
		}
		if a := m.call(name, payload(m.T, field, sample)); a.status == 400 {
			m.Errorf("%s %s %v: %s", name, field, sample, a)
		} else {
			m.checkAnswer(name, a)
		}
		moved := m.edges()
		for _, wrong := range schema.Wrong() {
			a := m.call(name, payload(m.T, field, wrong))
			if a.status != 400 {
				m.Errorf("%s takes %v as %s, which is a %s: %s", name, wrong, field, schema.Kind, a)
			}
			m.checkAnswer(name, a)
		}
		if m.edges() != moved {
			m.Errorf("a refused %s moved the door", name)
		}
	}
}

func payload(t *testing.T, field string, value any) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{field: value})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A word of the operator's page that a method refuses with a value of the wrong type
// is a field that the method knows: the model must have it.
func TestModelHasWhatTheDeviceKnows(t *testing.T) {
	page, err := os.ReadFile("../../docs/device.md")
	if err != nil {
		t.Fatal(err)
	}
	words := slices.Compact(slices.Sorted(slices.Values(regexp.MustCompile(`[A-Za-z]{3,}`).FindAllString(string(page), -1))))
	if !slices.Contains(words, "unlockTime") || !slices.Contains(words, "getStatus") {
		t.Fatalf("these are not the words of the page: %q", words)
	}
	onModel(t, func(m *modelled) {
		for name, c := range m.model.Contents {
			if c.Type != "Command" {
				continue
			}
			for _, word := range words {
				a := m.call(name, `{"`+word+`":{}}`)
				known := c.Request != nil && c.Request.Fields[word] != nil
				if a.status == 400 && strings.HasPrefix(fmt.Sprint(a.body["Response"]), word+":") && !known && word != "door" {
					m.Errorf("%s knows %s, and the model does not: %s", name, word, a)
				}
			}
		}
	})
}

// What the model says an operator may write, the device takes; what it says is of
// another type, the device refuses.
func TestDeviceTakesItsModelsProperties(t *testing.T) {
	good := map[string]any{
		"building": 43, "floor": -1,
		"doorPolicy": map[string]any{"resting": "unlocked", "unlockTime": 2.5, "heldOpenAfter": 60},
		"maintenance": map[string]any{
			"timeZone":   "Europe/Berlin",
			"windows":    []any{map[string]any{"name": "night", "days": []any{"mon", "sun"}, "start": "02:30", "duration": 7200}},
			"exclusions": []any{map[string]any{"from": "2026-12-24", "to": "2026-12-26"}},
			"spread":     600,
			"policy":     map[string]any{"rebootDevice": "defer", "firmwareUpdate": "allow", "factoryReset": "reject"},
		},
	}
	onModel(t, func(m *modelled) {
		version := int64(1)
		write := func(name string, value any) any {
			version++
			text, err := json.Marshal(map[string]any{name: value})
			if err != nil {
				m.Fatal(err)
			}
			m.desire(version, string(text))
			return m.hub.twin()[name]
		}
		status := func(ack any) string {
			doc, _ := ack.(map[string]any)
			return fmt.Sprint(doc["ac"])
		}
		for name, c := range m.model.Contents {
			if c.Type != "Property" || !c.Writable {
				continue
			}
			if err := c.Schema.Check(good[name], name, nil); err != nil {
				m.Errorf("the sample is not as the model says: %v", err)
			}
			if ack := write(name, good[name]); status(ack) != "200" {
				m.Errorf("%s %v: %v", name, good[name], ack)
			}
			for _, wrong := range c.Schema.Wrong() {
				if ack := write(name, wrong); status(ack) != "400" {
					m.Errorf("%s takes %v: %v", name, wrong, ack)
				}
			}
			for field, schema := range c.Schema.Fields {
				for _, wrong := range schema.Wrong() {
					if ack := write(name, map[string]any{field: wrong}); status(ack) != "400" {
						m.Errorf("%s takes %v as %s: %v", name, wrong, field, ack)
					}
				}
			}
			m.checkReports()
		}
	})
}
