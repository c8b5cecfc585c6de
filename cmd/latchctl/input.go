package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"latchd/iothub"
)

// maxInput bounds JSON that is read from a file or stdin. The hub's own
// limits are far below.
const maxInput = 1 << 20

// jsonText reads a JSON argument: the text itself, @FILE, or - for stdin. It
// gives the text as it was, checked and without white space around it.
func (p *program) jsonText(name, arg string) (json.RawMessage, error) {
	text, err := p.inputText(name, arg)
	if err != nil {
		return nil, err
	}
	if _, err := iothub.DecodeJSON(text); err != nil {
		return nil, withHint(usagef("%s: %w", name, err),
			`in a shell JSON stands in single quotes, as '{"lockTime":"10m"}'; @FILE and - read it from a file or stdin`)
	}
	return text, nil
}

// inputText reads what an argument gives: the text itself, @FILE, or - for
// stdin, without white space around it.
func (p *program) inputText(name, arg string) ([]byte, error) {
	text := []byte(arg)
	var err error
	switch {
	case arg == "-":
		text, err = io.ReadAll(io.LimitReader(p.stdin, maxInput+1))
	case strings.HasPrefix(arg, "@"):
		text, err = readFile(arg[1:], maxInput+1)
	}
	if err != nil {
		return nil, usagef("%s: %w", name, err)
	}
	if len(text) > maxInput {
		return nil, usagef("%s: more than %d bytes", name, maxInput)
	}
	return bytes.TrimSpace(trimBOM(text)), nil
}

// readFile reads at most so many bytes of a file, which may be one without end.
func readFile(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, most))
}

// patch reads a merge patch for a twin section; nil where arg is "".
func (p *program) patch(name, arg string) (*map[string]any, error) {
	if arg == "" {
		return nil, nil
	}
	text, err := p.jsonText(name, arg)
	if err != nil {
		return nil, err
	}
	doc, err := iothub.DecodeObject(text)
	if err == nil {
		err = iothub.CheckPatch(doc)
	}
	if err != nil {
		return nil, usagef("%s: %w", name, err)
	}
	return &doc, nil
}

// wholeSeconds turns a duration flag into what travels.
func wholeSeconds(name string, d, least, most time.Duration) (int, error) {
	if d < least || d > most {
		return 0, usagef("%s is %s; it must be %s to %s", name, d, least, most)
	}
	if d%time.Second != 0 {
		return 0, usagef("%s is %s; it must be whole seconds", name, d)
	}
	return int(d / time.Second), nil
}

// checkDevice checks a device id given by the operator.
func checkDevice(id string) error {
	if err := iothub.CheckDeviceID(id); err != nil {
		return usagef("%w", err)
	}
	return nil
}

// decodeAny reads JSON that came from elsewhere and may be none; numbers keep
// their digits.
func decodeAny(text json.RawMessage) any {
	v, err := iothub.DecodeJSON(text)
	if err != nil {
		return string(text)
	}
	return v
}

// textOf is a member of a document as text, "" where there is none.
func textOf(doc map[string]any, key string) string {
	switch v := doc[key].(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, json.Number:
		return fmt.Sprint(v)
	}
	return compact(doc[key])
}
