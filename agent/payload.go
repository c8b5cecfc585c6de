package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"
	"unicode/utf8"

	"latchd/internal/duration"
	"latchd/iothub"
)

// params is a decoded payload. Its getters read known keys; the first one
// that is of the wrong type or out of range is kept in err, so that a method
// reads all it knows and checks once. A null is an absent key: SDKs with
// typed payloads send null for what was not set.
type params struct {
	values    map[string]any
	err       error
	rehearsal bool // set by a method that will move nothing this time: its id is not used up
}

// decodePayload reads a payload as callers send it: an object, a JSON string
// that holds an object (the Node and Python service SDKs' samples), "", null
// or nothing at all.
func decodePayload(payload []byte) (*params, error) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return &params{}, nil
	}
	v, err := iothub.DecodeJSON(payload)
	if err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	if text, ok := v.(string); ok {
		if strings.TrimSpace(text) == "" {
			return &params{}, nil
		}
		if v, err = iothub.DecodeJSON([]byte(text)); err != nil {
			return nil, errors.New("payload: the text must itself be a JSON object")
		}
		if v == nil {
			return nil, errors.New("payload: the text must itself be a JSON object")
		}
	}
	switch v := v.(type) {
	case nil:
		return &params{}, nil
	case map[string]any:
		return &params{values: v}, nil
	}
	return nil, errors.New("payload: must be a JSON object")
}

// hash is the same for payloads that ask for the same. commandId and notAfter
// are not part of what is asked for: whoever repeats a command whose answer
// was lost gives it a later end.
func (p *params) hash() string {
	asked := maps.Clone(p.values)
	delete(asked, "commandId")
	delete(asked, "notAfter")
	var text []byte
	if len(asked) > 0 {
		text, _ = json.Marshal(asked) // keys sorted; what was decoded always marshals
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16])
}

func (p *params) fail(key, format string, args ...any) {
	if p.err == nil {
		p.err = fmt.Errorf("%s: %s", key, fmt.Sprintf(format, args...))
	}
}

func (p *params) has(key string) bool { return p.values[key] != nil }

// duration gives nil where the key is absent.
func (p *params) duration(key string, check func(time.Duration) error) *time.Duration {
	v := p.values[key]
	if v == nil {
		return nil
	}
	d, err := duration.FromJSON(v)
	if err == nil && check != nil {
		err = check(d)
	}
	if err != nil {
		p.fail(key, "%s", err)
		return nil
	}
	return &d
}

func (p *params) boolean(key string) bool {
	v := p.values[key]
	if v == nil {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		p.fail(key, "must be true or false")
	}
	return b
}

func (p *params) text(key string, longest int) string {
	v := p.values[key]
	if v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		p.fail(key, "must be text")
		return ""
	}
	if n := utf8.RuneCountInString(s); n > longest {
		p.fail(key, "has %d characters; at most %d are allowed", n, longest)
		return ""
	}
	return s
}

// maxCommandID is the contract's: 1–64 of A-Za-z0-9._-
const maxCommandID = 64

func (p *params) commandID() string {
	const key = "commandId"
	id := p.text(key, maxCommandID)
	if s, isText := p.values[key].(string); isText && s == "" {
		p.fail(key, "must have 1 to %d characters", maxCommandID)
	}
	for _, r := range id {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("._-", r) {
			p.fail(key, "may only hold A-Z, a-z, 0-9 and . _ -")
			return ""
		}
	}
	return id
}

func (p *params) time(key string) time.Time {
	v := p.values[key]
	if v == nil {
		return time.Time{}
	}
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339Nano, s)
	t = t.UTC()
	// The years keep out the zero time, which means "none" inside, and years
	// that RFC 3339 cannot write.
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		p.fail(key, "must be a time like 2026-11-22T02:30:00Z")
		return time.Time{}
	}
	return t
}

// formatTime writes a time as the device reports all of them: RFC 3339, UTC,
// milliseconds.
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
