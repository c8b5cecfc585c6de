package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"latchd/iothub/rest"
)

func (p *program) wantsJSON() bool { return p.output == outputJSON }

// printJSON shows a value to programs.
func (p *program) printJSON(v any) error {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := p.stdout.Write(cleanJSON(text.Bytes()))
	return err
}

// printTable shows rows in columns.
func (p *program) printTable(rows [][]string) error {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 8, 2, ' ', 0)
	for _, row := range rows {
		cells := make([]string, len(row))
		for i, cell := range row {
			cells[i] = clean(cell)
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(text.String()) {
		// Empty cells at the end of a row leave spaces behind.
		fmt.Fprintln(p.stdout, strings.TrimRight(line, " \n"))
	}
	return nil
}

// clean makes text from elsewhere safe for a terminal: control characters,
// which could move the cursor or rewrite a line, are shown by their escapes.
func clean(text string) string {
	if strings.IndexFunc(text, unsafeRune) < 0 {
		return text
	}
	var b strings.Builder
	for _, r := range text {
		if unsafeRune(r) {
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// cleanJSON is clean for JSON text: its escapes mean the same to a program.
// Those below the space can only stand between the values, as white space, and
// stay.
func cleanJSON(text []byte) []byte {
	unsafe := func(r rune) bool { return r > ' ' && unsafeRune(r) }
	if bytes.IndexFunc(text, unsafe) < 0 {
		return text
	}
	var out []byte
	for _, r := range string(text) {
		if unsafe(r) {
			out = fmt.Appendf(out, "\\u%04x", r) // none is above U+FFFF
			continue
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// unsafeRune is true also for the invisible ones that change the direction of
// writing, and for what is not UTF-8.
func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' || r == unicode.ReplacementChar
}

// compact is a JSON value in one line, or a string's own text.
func compact(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprint(v)
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// flatten lists the leaves of a document as rows of path and value, in order,
// without the hub's own $ members.
func flatten(doc map[string]any) [][]string {
	var rows [][]string
	var walk func(prefix string, m map[string]any)
	walk = func(prefix string, m map[string]any) {
		keys := make([]string, 0, len(m))
		for k := range m {
			if !strings.HasPrefix(k, "$") {
				keys = append(keys, k)
			}
		}
		slices.Sort(keys)
		for _, k := range keys {
			if sub, ok := m[k].(map[string]any); ok && len(sub) > 0 {
				walk(prefix+k+".", sub)
				continue
			}
			rows = append(rows, []string{prefix + k, compact(m[k])})
		}
	}
	walk("", doc)
	return rows
}

// showTime is a time for people, to the second.
func showTime(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

func showTimeOf(t *rest.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return showTime(t.Time)
}
