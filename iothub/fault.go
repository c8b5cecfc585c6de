package iothub

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// fault is a rule that a document breaks, and where: a path like
// door.history[3].at. The path grows at its front while the fault travels out
// of the document, so that a document without one costs nothing.
type fault struct{ path, rule string }

func faultf(format string, args ...any) *fault {
	return &fault{rule: fmt.Sprintf(format, args...)}
}

func (f *fault) inMember(k string) *fault { return f.in(printableKey(k)) }

func (f *fault) inElement(i int) *fault { return f.in("[" + strconv.Itoa(i) + "]") }

func (f *fault) in(step string) *fault {
	if f.path != "" && f.path[0] != '[' {
		step += "."
	}
	return &fault{step + f.path, f.rule}
}

// printableKey is a key as it may stand in a message: not longer than a line,
// and quoted where it is empty or would not show.
func printableKey(k string) string {
	const longest = 64
	cut := ""
	if len(k) > longest {
		k, cut = strings.ToValidUTF8(k[:longest], ""), "…"
	}
	quoted := strconv.Quote(k)
	if k == "" || !utf8.ValidString(k) || quoted[1:len(quoted)-1] != k {
		k = quoted
	}
	return k + cut
}
