package health

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Severity says what a fault means for the device.
type Severity string

const (
	Error   Severity = "error"   // the device cannot do its job, or its door is not safe
	Warning Severity = "warning" // it works, and something will break it or has weakened it
	Info    Severity = "info"    // worth knowing; also the severity of a check that is fine
)

// Result is the outcome of one check. Its JSON is public interface.
type Result struct {
	ID       string   `json:"id"`
	OK       bool     `json:"ok"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
	Remedy   string   `json:"remedy,omitempty"` // absent when there is nothing to do
}

// Report is the outcome of a run.
type Report struct {
	Checks  []Result `json:"checks"`            // in the order of [IDs]
	Pending []string `json:"pending,omitempty"` // ids of checks that did not come back in time
}

// All are the results in the order in which they are reported, with a fault for
// each check that is pending.
func (r Report) All() []Result {
	all := slices.Clone(r.Checks)
	for _, id := range r.Pending {
		all = append(all, faultPending.with(id, reportWithin).result(id))
	}
	slices.SortStableFunc(all, func(a, b Result) int { return slices.Index(IDs(), a.ID) - slices.Index(IDs(), b.ID) })
	return all
}

// finding is what a check finds: nil fault means that all is well.
type finding struct {
	fault *fault
	text  string
	args  []any
}

// fine says that nothing is wrong, and what was seen.
func fine(format string, args ...any) finding { return finding{text: fmt.Sprintf(format, args...)} }

// notHere is the finding of a check that does not apply on this machine.
func notHere(why string) finding { return finding{text: "does not apply: " + why} }

// with makes a finding of a fault; the arguments are for its text and, by their
// index, for its remedy.
func (f *fault) with(args ...any) finding {
	return finding{fault: f, text: fmt.Sprintf(f.text, args...), args: args}
}

func (f finding) result(id string) Result {
	if f.fault == nil {
		return Result{ID: id, OK: true, Severity: Info, Text: plain(f.text)}
	}
	remedy := f.fault.remedy
	if strings.Contains(remedy, "%[") {
		remedy = fmt.Sprintf(remedy, f.args...)
	}
	return Result{ID: id, Severity: f.fault.severity, Text: plain(f.text), Remedy: plain(remedy)}
}

// maxText bounds a text, in characters: thirty of them must fit into the answer
// of a method, and some come from outside.
const maxText = 600

// plain makes a text fit for an answer and a terminal: printable, one line, short.
func plain(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r == unicode.ReplacementChar:
			return -1
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText-1]) + "…"
	}
	return strings.TrimSpace(s)
}
