package bench

import (
	"strings"
	"testing"
)

func TestTableAndGoals(t *testing.T) {
	sample := func(p50, resident float64) Sample {
		return Sample{P50: p50, P99: 4 * p50, Memory: Memory{Resident: resident, Peak: resident + 3}}
	}
	agent := Column{Title: "latchd", Samples: []Sample{sample(0.5, 11), sample(1.5, 11.5), sample(0.6, 10)}}
	node := Column{Title: "Node", Apart: true, Samples: []Sample{sample(1, 80), sample(2, 81), sample(1, 82)}}
	bare := Column{Title: "bare", Samples: []Sample{sample(0.4, 9), sample(1.2, 9), sample(0.5, 9)}}
	table := Table([]Column{agent, node, bare})
	for _, want := range []string{"Node *  ", "0.600 (0.500–1.500)  1.000 (1.000–2.000)  0.500 (0.400–1.200)\n", "11.0 (10.0–11.5)"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table lacks %q:\n%s", want, table)
		}
	}
	// The second round was slow for both: in pairs the ratio is 0.5, 0.75, 0.6.
	lines := strings.Split(Goals(agent, node, bare), "\n")
	for i, want := range []string{"0.60 (0.50–0.75)", "0.60 (0.50–0.75)", "11.0 (10.0–11.5)", "14.0 (13.0–14.5)", "0.50 (0.40–0.60)", "0.50 (0.40–0.60)", "0.20 (0.17–0.38)"} {
		verdict := []string{"  met", "  met", "  met", "  NOT MET", "  the least that a device reaches here", "", "  of what is the device's own"}[i]
		if !strings.Contains(lines[i], want) || !strings.HasSuffix(lines[i], verdict) {
			t.Errorf("goal %d: want %q and%s: %s", i, want, verdict, lines[i])
		}
	}
}
