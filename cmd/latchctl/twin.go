package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) twin() *cobra.Command {
	return group("twin", "show and change what a device should be and says it is", p.twinShow(), p.twinSet())
}

// printTwin shows a twin in its sections.
func (p *program) printTwin(t rest.Twin) error {
	if p.wantsJSON() {
		return p.printJSON(t)
	}
	if err := p.printTable([][]string{
		{"device", t.DeviceID},
		{"status", t.Status},
		{"connection", t.ConnectionState},
		{"last activity", showTime(t.LastActivityTime.Time)},
		{"etag", t.ETag},
	}); err != nil {
		return err
	}
	for _, section := range []struct {
		title string
		doc   map[string]any
	}{{"tags", t.Tags}, {"desired", t.Properties.Desired}, {"reported", t.Properties.Reported}} {
		title := "\n" + section.title
		if version := textOf(section.doc, "$version"); version != "" {
			title += " (version " + clean(version) + ")"
		}
		fmt.Fprintln(p.stdout, title)
		rows := flatten(section.doc)
		for i := range rows {
			rows[i][0] = "  " + rows[i][0]
		}
		if len(rows) == 0 {
			rows = [][]string{{"  (none)"}}
		}
		if err := p.printTable(rows); err != nil {
			return err
		}
	}
	return nil
}
