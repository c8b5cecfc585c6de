package agent

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"latchd/iothub"
)

func TestDecodePayload(t *testing.T) {
	for _, row := range []struct{ payload, want string }{
		{``, "map[]"},
		{" \n\t", "map[]"},
		{`null`, "map[]"},
		{`""`, "map[]"},
		{`"  "`, "map[]"},
		{`{}`, "map[]"},
		{`{"a":1}`, "map[a:1]"},
		{` {"a":{"b":[]}} `, "map[a:map[b:[]]]"},
		{`"{\"a\":1}"`, "map[a:1]"},
		{`" {\"a\":null} "`, "map[a:<nil>]"},
		{`{"a":1,"a":2}`, "map[a:2]"},
		{`{"n":12345678901234567890}`, "map[n:12345678901234567890]"},
		{`[]`, "error"},
		{`7`, "error"},
		{`true`, "error"},
		{`"text"`, "error"},
		{`"[]"`, "error"},
		{`"null"`, "error"},
		{`"7"`, "error"},
		{`"\"{}\""`, "error"},
		{`{`, "error"},
		{`{}{}`, "error"},
		{`{} x`, "error"},
		{"\xff", "error"},
		{"{\"a\":\"\xff\"}", "error"},
		{"\ufeff{}", "error"},
	} {
		got := "error"
		if p, err := decodePayload([]byte(row.payload)); err == nil {
			if p.values == nil {
				p.values = map[string]any{}
			}
			got = fmt.Sprint(p.values)
		}
		if got != row.want {
			t.Errorf("%q: %s, want %s", row.payload, got, row.want)
		}
	}
}

func TestAHashIsThatOfTheMeaning(t *testing.T) {
	same := [][]string{
		{``, `{}`, `null`, `""`, `"{}"`, ` { } `},
		{`{"a":1,"b":2}`, `{"b":2,"a":1}`, `"{\"b\": 2, \"a\": 1}"`},
		{`{"a":2,"b":1}`},
		{`{"a":"1","b":2}`},
		{`{"a":[1,2]}`},
		{`{"a":[2,1]}`},
	}
	seen := map[string]int{}
	for i, texts := range same {
		for _, text := range texts {
			p, err := decodePayload([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if j, ok := seen[p.hash()]; ok && j != i {
				t.Errorf("%s has the hash of %s", text, same[j][0])
			} else if !ok && text != texts[0] {
				t.Errorf("%s has another hash than %s", text, texts[0])
			}
			seen[p.hash()] = i
		}
	}
}

func TestGettersKeepTheFirstError(t *testing.T) {
	p := &params{values: map[string]any{"a": true, "b": "x", "c": json.Number("1"), "n": nil, "time": "2026-11-22T03:30:00+01:00"}}
	if p.has("n") || p.text("n", 1) != "" || p.boolean("n") || p.duration("n", nil) != nil || !p.time("n").IsZero() || p.err != nil {
		t.Errorf("null is not absent: %v", p.err)
	}
	if at := p.time("time"); !at.Equal(time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)) || at.Location() != time.UTC {
		t.Errorf("read as %s", at)
	}
	if !p.boolean("a") || *p.duration("c", nil) != time.Second || p.text("b", 1) != "x" || p.err != nil {
		t.Errorf("good values: %v", p.err)
	}
	p.boolean("b")
	p.duration("a", nil)
	p.text("c", 5)
	p.time("b")
	if p.err == nil || p.err.Error() != "b: must be true or false" {
		t.Errorf("got %v", p.err)
	}
}

func FuzzDecodePayload(f *testing.F) {
	for _, s := range []string{
		``, `null`, `""`, `{}`, `"{}"`, `{"lockTime":"10m","commandId":"c1","notAfter":"2026-11-22T02:30:00Z"}`,
		`"{\"lockTime\":\"10m\"}"`, `[]`, `{"door":1}`, `{"delay":1e99}`, `{"notAfter":"0001-01-01T00:00:00Z"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := decodePayload(payload)
		if err != nil {
			return
		}
		for name, m := range methods { // no method chokes on what it is given
			p.err = nil
			m.parse(&Agent{}, p)
			if id := p.commandID(); p.err == nil && len(id) > maxCommandID {
				t.Errorf("%s: an id of %d characters", name, len(id))
			}
			at := p.time("notAfter")
			if _, err := at.MarshalJSON(); err != nil && p.err == nil {
				t.Errorf("a time that cannot be recorded: %v", err)
			}
			if p.has("notAfter") && p.err == nil && at.IsZero() {
				t.Error("a time that counts as none")
			}
		}
		text, err := json.Marshal(p.values)
		if err != nil {
			t.Fatalf("cannot be written again: %v", err)
		}
		again, err := decodePayload(text)
		if err != nil || p.hash() != again.hash() || !iothub.Equal(any(again.values), any(p.values)) && len(p.values) > 0 {
			t.Errorf("written again it is %v, error %v", again, err)
		}
	})
}
