package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"slices"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"latchd/iothub"
)

func (p *program) query() *cobra.Command {
	var limit int
	cmd := &cobra.Command{
		Use:   "query 'SELECT …'",
		Short: "ask the hub in its query language",
		Long: fmt.Sprintf("Query runs a query and shows its rows: a column for each name that occurs,\n"+
			"nested values as JSON, cut at %d characters. --output json gives everything.\n"+
			"On Azure the result may trail the twins by seconds.", longestCell),
		Example: `  latchctl query "SELECT deviceId, properties.reported.door.state AS door FROM devices"
  latchctl query 'SELECT COUNT() AS n FROM devices WHERE tags.building = 43'`,
		Args: arguments("QUERY"),
	}
	cmd.Flags().IntVar(&limit, "max", 0, "at most so many rows; 0 is all")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		if limit < 0 {
			return usagef("--max is %d; it must be 0 or more", limit)
		}
		if p.wantsJSON() {
			return p.queryJSON(ctx, args[0], limit)
		}
		rows, err := p.queryRows(ctx, args[0], limit)
		if err != nil {
			return err
		}
		return p.printRows(rows)
	})
	return cmd
}

// first gives at most limit elements of a result; 0 is all.
func first[T any](rows iter.Seq2[T, error], limit int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		n := 0
		for row, err := range rows {
			if !yield(row, err) {
				return
			}
			if n++; n == limit {
				return
			}
		}
	}
}

// collect reads a result whole; after an error there is none.
func collect[T any](rows iter.Seq2[T, error]) ([]T, error) {
	var out []T
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, nil
}

func (p *program) queryRows(ctx context.Context, text string, limit int) ([]json.RawMessage, error) {
	hub, err := p.connect()
	if err != nil {
		return nil, err
	}
	defer hub.Close()
	return collect(first(hub.Query(ctx, text), limit))
}

// queryJSON writes the rows as they come, as an array of what the hub sent.
// After an error the array stays open, so that nobody takes it for the whole.
func (p *program) queryJSON(ctx context.Context, text string, limit int) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	opened := false
	for row, err := range first(hub.Query(ctx, text), limit) {
		if err != nil {
			return err
		}
		if opened {
			fmt.Fprint(p.stdout, ",\n")
		} else {
			fmt.Fprint(p.stdout, "[\n")
		}
		opened = true
		var line bytes.Buffer
		if err := json.Compact(&line, row); err != nil {
			return err
		}
		if _, err := p.stdout.Write(cleanJSON(line.Bytes())); err != nil {
			return err
		}
	}
	if !opened {
		fmt.Fprint(p.stdout, "[]\n")
		return nil
	}
	fmt.Fprint(p.stdout, "\n]\n")
	return nil
}

// printRows shows rows with a column for each name, in the order in which
// names first occur.
func (p *program) printRows(rows []json.RawMessage) error {
	if len(rows) == 0 {
		fmt.Fprintln(p.stderr, "no rows")
		return nil
	}
	var columns []string
	docs := make([]map[string]any, len(rows))
	for i, row := range rows {
		doc, err := iothub.DecodeObject(row)
		if err != nil {
			return fmt.Errorf("query: a row: %w", err)
		}
		docs[i] = doc
		for _, name := range memberNames(row) {
			if !slices.Contains(columns, name) {
				columns = append(columns, name)
			}
		}
	}
	table := [][]string{columns}
	for _, doc := range docs {
		line := make([]string, len(columns))
		for i, name := range columns {
			if value, has := doc[name]; has {
				line[i] = shorten(compact(value))
			}
		}
		table = append(table, line)
	}
	return p.printTable(table)
}

// memberNames are the names of an object's members as they stand.
func memberNames(object json.RawMessage) []string {
	d := json.NewDecoder(bytes.NewReader(object))
	if _, err := d.Token(); err != nil { // {
		return nil
	}
	var names []string
	for d.More() {
		name, err := d.Token()
		text, ok := name.(string)
		var value json.RawMessage
		if err != nil || !ok || d.Decode(&value) != nil {
			return names
		}
		names = append(names, text)
	}
	return names
}

// longestCell keeps a table on a screen.
const longestCell = 100

func shorten(text string) string {
	if utf8.RuneCountInString(text) <= longestCell {
		return text
	}
	return string([]rune(text)[:longestCell-1]) + "…"
}
