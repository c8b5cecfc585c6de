package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
)

// progress shows where a wait stands: on a terminal one line that is written
// over, elsewhere a new line whenever the state changes, so that a log stays
// short.
type progress struct {
	to       io.Writer
	terminal bool

	state string
	width int // of what stands on the terminal's line
}

func (p *program) progress() *progress {
	return &progress{to: p.stderr, terminal: isTerminal(p.stderr) && p.env("TERM") != "dumb"}
}

// isTerminal is true also for /dev/null, which does not mind.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// show tells the state; detail is what changes all the time, for terminals
// only.
func (g *progress) show(state, detail string) {
	state = clean(state)
	if !g.terminal {
		if state != g.state {
			fmt.Fprintln(g.to, state)
		}
		g.state = state
		return
	}
	line := state + clean(detail)
	width := utf8.RuneCountInString(line)
	fmt.Fprint(g.to, "\r"+line+strings.Repeat(" ", max(g.width-width, 0)))
	g.width = width
}

// end leaves the terminal's line as it stands.
func (g *progress) end() {
	if g.terminal && g.width > 0 {
		fmt.Fprintln(g.to)
	}
	g.width = 0
}

// bar draws done of total.
func bar(done, total int) string {
	const width = 24
	filled := 0
	if total > 0 {
		filled = min(max(done, 0), total) * width / total
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", width-filled) + "]"
}
