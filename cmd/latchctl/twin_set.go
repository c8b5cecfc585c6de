package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"latchd/iothub"
	"latchd/iothub/rest"
)

func (p *program) twinSet() *cobra.Command {
	var desired, tags, etag string
	cmd := &cobra.Command{
		Use:   "set DEVICE",
		Short: "merge into a device's desired properties and tags",
		Long: "Set merges JSON into the twin: members replace those of the same name, objects\n" +
			"merge, null removes. It shows what changed and the new version. The device\n" +
			"answers in its reported properties: value, status (ac), version (av).",
		Example: `  latchctl twin set front-door --desired '{"building":43,"floor":3}'
  latchctl twin set front-door --desired @policy.json --tags '{"site":null}'`,
		Args: arguments("DEVICE"),
	}
	cmd.Flags().StringVar(&desired, "desired", "", "patch for the desired properties: a JSON object, @FILE or - for stdin")
	cmd.Flags().StringVar(&tags, "tags", "", "patch for the tags: a JSON object, @FILE or - for stdin")
	cmd.Flags().StringVar(&etag, "etag", "", "only if the twin still has this etag")
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		if err := checkDevice(args[0]); err != nil {
			return err
		}
		patch, err := p.twinPatch(desired, tags)
		if err != nil {
			return err
		}
		return p.setTwin(ctx, args[0], patch, etag)
	})
	return cmd
}

// twinPatch reads the patch that --desired and --tags give together.
func (p *program) twinPatch(desired, tags string) (patch rest.TwinPatch, err error) {
	if desired == "" && tags == "" {
		return patch, usagef("there is nothing to set: give --desired or --tags")
	}
	if desired == "-" && tags == "-" {
		return patch, usagef("only one of --desired and --tags can come from stdin")
	}
	if patch.Tags, err = p.patch("--tags", tags); err != nil {
		return patch, err
	}
	section, err := p.patch("--desired", desired)
	if section != nil {
		patch.Properties = &rest.PatchProperties{Desired: section}
	}
	return patch, err
}

// setTwin reads the twin first, only to be able to tell what changed.
func (p *program) setTwin(ctx context.Context, id string, patch rest.TwinPatch, etag string) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	before, err := hub.Twin(ctx, id)
	if err != nil {
		return err
	}
	after, err := hub.UpdateTwin(ctx, id, patch, etag)
	if err != nil {
		return err
	}
	if p.wantsJSON() {
		return p.printJSON(after)
	}
	rows := changes("tags.", before.Tags, after.Tags)
	rows = append(rows, changes("desired.", before.Properties.Desired, after.Properties.Desired)...)
	if len(rows) == 0 {
		rows = [][]string{{"nothing changed"}}
	}
	rows = append(rows, []string{fmt.Sprintf("desired version %s, etag %s",
		textOf(after.Properties.Desired, "$version"), after.ETag)})
	return p.printTable(rows)
}

// changes lists the leaves that differ: path, old value, new value.
func changes(prefix string, before, after map[string]any) [][]string {
	diff := iothub.Diff(withoutHubMembers(before), withoutHubMembers(after))
	was := leaves(before)
	var rows [][]string
	for _, leaf := range flatten(diff) {
		old, had := was[leaf[0]]
		switch {
		case leaf[1] == "null" && !had: // a whole object went
			for _, gone := range flatten(before) {
				if strings.HasPrefix(gone[0], leaf[0]+".") {
					rows = append(rows, []string{prefix + gone[0], gone[1], "(removed)"})
				}
			}
		case leaf[1] == "null":
			rows = append(rows, []string{prefix + leaf[0], old, "(removed)"})
		case !had:
			rows = append(rows, []string{prefix + leaf[0], "(new)", leaf[1]})
		default:
			rows = append(rows, []string{prefix + leaf[0], old, leaf[1]})
		}
	}
	return rows
}

func leaves(doc map[string]any) map[string]string {
	out := map[string]string{}
	for _, row := range flatten(doc) {
		out[row[0]] = row[1]
	}
	return out
}

// withoutHubMembers leaves out $version and $metadata.
func withoutHubMembers(section map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range section {
		if !strings.HasPrefix(k, "$") {
			out[k] = v
		}
	}
	return out
}
