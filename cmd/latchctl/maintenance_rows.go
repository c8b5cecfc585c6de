package main

import (
	"fmt"
	"strings"
	"time"

	"latchd/internal/duration"
)

// policyRows shows a policy to people, under a word such as "in force": as the
// operator wrote it or as a device acknowledged it, a wrong one too, so that
// nothing of it is left out.
func policyRows(word string, policy map[string]any) [][]string {
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{"  " + strings.TrimSpace(word+" "+name), value})
		}
	}
	rest := map[string]any{}
	for key, value := range policy {
		rest[key] = value
	}
	add("zone", textOf(policy, "timeZone"))
	delete(rest, "timeZone")
	if windows, ok := policy["windows"].([]any); ok {
		for i, window := range windows {
			add("window", windowText(i, window))
		}
		if len(windows) == 0 {
			add("windows", "none: never open")
		}
		delete(rest, "windows")
	}
	if policy != nil && policy["windows"] == nil {
		add("windows", "always open")
	}
	if exclusions, ok := policy["exclusions"].([]any); ok {
		for _, exclusion := range exclusions {
			add("excluded", exclusionText(exclusion))
		}
		delete(rest, "exclusions")
	}
	if spread, ok := spanText(policy["spread"]); ok {
		add("spread", spread)
		delete(rest, "spread")
	}
	for _, leaf := range flatten(rest) { // the actions, and what a policy does not have
		add(leaf[0], leaf[1])
	}
	return rows
}

// windowText is "night: mon, tue at 02:30 for 2h".
func windowText(i int, value any) string {
	window, _ := value.(map[string]any)
	span, ok := spanText(window["duration"])
	days, hasDays := window["days"].([]any)
	known := 0
	for _, key := range []string{"name", "days", "start", "duration"} {
		if window[key] != nil {
			known++
		}
	}
	if !ok || window["start"] == nil || known != len(window) || window["days"] != nil && !hasDays {
		return compact(value)
	}
	name := textOf(window, "name")
	if name == "" {
		name = fmt.Sprintf("window %d", i+1)
	}
	on := "every day"
	if hasDays {
		on = strings.Trim(strings.ReplaceAll(fmt.Sprint(days), " ", ", "), "[]")
	}
	return fmt.Sprintf("%s: %s at %s for %s", name, on, textOf(window, "start"), span)
}

// exclusionText is "2026-12-24 to 2026-12-26".
func exclusionText(value any) string {
	exclusion, _ := value.(map[string]any)
	from, to := textOf(exclusion, "from"), textOf(exclusion, "to")
	if from == "" || to == "" || len(exclusion) != 2 {
		return compact(value)
	}
	if from == to {
		return from
	}
	return from + " to " + to
}

// spanText is a duration in whatever form a policy may have it, as "1h30m".
func spanText(value any) (string, bool) {
	d, err := duration.FromJSON(value)
	if err != nil {
		return "", false
	}
	text := d.String()
	for _, zero := range []string{"m0s", "h0m"} {
		if d >= time.Minute && strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text, true
}
