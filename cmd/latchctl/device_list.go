package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"latchd/iothub/rest"
)

func (p *program) deviceList() *cobra.Command {
	var (
		where string
		limit int
	)
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list devices",
		Long: "List shows the registered devices by a query, which on Azure may trail the\n" +
			"registry by some seconds. With --output json it gives their whole twins.",
		Example: `  latchctl device list --where "tags.building = 43"`,
		Args:    arguments(),
	}
	cmd.Flags().StringVar(&where, "where", "", "only devices that this condition of the query language selects")
	cmd.Flags().IntVar(&limit, "max", 0, "at most so many; 0 is all")
	cmd.RunE = p.run(func(ctx context.Context, _ []string) error {
		if limit < 0 {
			return usagef("--max is %d; it must be 0 or more", limit)
		}
		query := "SELECT * FROM devices"
		if where != "" {
			query += " WHERE " + where
		}
		if p.wantsJSON() {
			return p.queryJSON(ctx, query, limit)
		}
		rows, err := p.queryRows(ctx, query, limit)
		if err != nil {
			return err
		}
		return p.printDevices(rows)
	})
	return cmd
}

func (p *program) printDevices(rows []json.RawMessage) error {
	table := [][]string{{"DEVICE", "STATUS", "CONNECTION", "AUTHENTICATION", "LAST ACTIVITY", "TAGS"}}
	for _, row := range rows {
		var twin rest.Twin
		if err := json.Unmarshal(row, &twin); err != nil {
			return fmt.Errorf("query: a device: %w", err)
		}
		tags := ""
		if len(twin.Tags) > 0 {
			tags = shorten(compact(twin.Tags))
		}
		table = append(table, []string{
			twin.DeviceID, twin.Status, twin.ConnectionState, twin.AuthenticationType,
			showTime(twin.LastActivityTime.Time), tags,
		})
	}
	return p.printTable(table)
}
