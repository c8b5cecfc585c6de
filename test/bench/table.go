package bench

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Sample is what one round found out about one contestant.
type Sample struct {
	P50, P99 float64 // round trip, ms
	Memory   Memory
	Start    float64 // of the process, to its first answered method, ms
	CPU      float64 // per 1,000 calls, ms
	HubCPU   float64 // the hub's in the same time
}

// Column is one contestant in the table.
type Column struct {
	Title   string
	Apart   bool // it does something else and is not compared
	Samples []Sample
}

// spread is that of one figure over the rounds.
func (c Column) spread(figure func(Sample) float64) Spread {
	var values []float64
	for _, s := range c.Samples {
		values = append(values, figure(s))
	}
	return Summarize(values)
}

// rows are the figures of the table.
var rows = []struct {
	title    string
	decimals int
	figure   func(Sample) float64
}{
	{"round trip p50, ms", 3, func(s Sample) float64 { return s.P50 }},
	{"round trip p99, ms", 3, func(s Sample) float64 { return s.P99 }},
	{"resident after the calls, MB", 1, func(s Sample) float64 { return s.Memory.Resident }},
	{"resident at most, MB", 1, func(s Sample) float64 { return s.Memory.Peak }},
	{"start to first answer, ms", 0, func(s Sample) float64 { return s.Start }},
	{"CPU per 1,000 calls, ms", 0, func(s Sample) float64 { return s.CPU }},
	{"  the hub's meanwhile, ms", 0, func(s Sample) float64 { return s.HubCPU }},
}

// Table writes the figures of all contestants: median (lowest–highest).
func Table(columns []Column) string {
	lines := make([][]string, 0, len(rows)+1)
	head := []string{""}
	for _, c := range columns {
		title := c.Title
		if c.Apart {
			title += " *"
		}
		head = append(head, title)
	}
	lines = append(lines, head)
	for _, r := range rows {
		line := []string{r.title}
		for _, c := range columns {
			line = append(line, c.spread(r.figure).Text(r.decimals))
		}
		lines = append(lines, line)
	}
	return align(lines) + "Median of the rounds (lowest–highest). MB are millions of bytes.\n" +
		"* Not compared: this is lockDoor with a commandId, which is on disk before it is carried out and again\n" +
		"  before it is answered. It shows what that costs.\n"
}

// align pads the columns; a dash of three bytes is one wide.
func align(lines [][]string) string {
	var widths []int
	for _, line := range lines {
		for i, cell := range line {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, line := range lines {
		var row strings.Builder
		for i, cell := range line {
			row.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(row.String(), " ") + "\n")
	}
	return b.String()
}

// What the agent is to reach beside the Node device SDK.
const (
	goalRatio    = 0.7  // of the round trip, at p50 and at p99
	goalResident = 12.0 // MB, at most
)

// Goals compares the agent to the Node device, round by round, and says which
// goals are met. The bare client beside it tells how much of a round trip no
// device can do anything about: the operator's client, the hub, and the system
// that wakes them.
func Goals(agent, node, bare Column) string {
	pairs := func(ratio func(round int) float64) Spread {
		var values []float64
		for round := range agent.Samples {
			values = append(values, ratio(round))
		}
		return Summarize(values)
	}
	toNode := func(c Column, figure func(Sample) float64) Spread {
		return pairs(func(i int) float64 { return figure(c.Samples[i]) / figure(node.Samples[i]) })
	}
	beyondBare := pairs(func(i int) float64 {
		return (agent.Samples[i].P50 - bare.Samples[i].P50) / (node.Samples[i].P50 - bare.Samples[i].P50)
	})
	p50 := func(s Sample) float64 { return s.P50 }
	p99 := func(s Sample) float64 { return s.P99 }
	lines := [][]string{
		goal("latchd to Node, round trip p50", toNode(agent, p50), 2, goalRatio),
		goal("latchd to Node, round trip p99", toNode(agent, p99), 2, goalRatio),
		goal("latchd resident after the calls, MB", agent.spread(func(s Sample) float64 { return s.Memory.Resident }), 1, goalResident),
		goal("latchd resident at most, MB", agent.spread(func(s Sample) float64 { return s.Memory.Peak }), 1, goalResident),
		{"bare client to Node, round trip p50", toNode(bare, p50).Text(2), "the least that a device reaches here"},
		{"bare client to Node, round trip p99", toNode(bare, p99).Text(2)},
		{"latchd to Node beyond the bare client, p50", beyondBare.Text(2), "of what is the device's own"},
	}
	return align(lines)
}

func goal(title string, s Spread, decimals int, most float64) []string {
	verdict := "met"
	if s.Median > most {
		verdict = "NOT MET"
	}
	return []string{title, s.Text(decimals), fmt.Sprintf("goal: at most %.*f", decimals, most), verdict}
}
