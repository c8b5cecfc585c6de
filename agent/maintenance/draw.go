package maintenance

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// The timeline fits a terminal of 80 columns: a date, 48 half hours and a remark.
const (
	drawWidth = 80
	dateWidth = len("Sun 29 Mar ")
	listed    = 6 // openings in the list below
)

// A mark is a cell on paper. Each has a form of its own, so that nothing is lost
// where there are no colours: in a log, a mail, for eyes that do not see them.
type mark struct {
	sign   string
	colour string // of a terminal: the parameters of "select graphic rendition"
	says   string
}

var marks = [...]mark{
	cellClosed:    {"·", "90", "closed"},
	cellOpen:      {"█", "32", "open"},
	cellPart:      {"▒", "32", "open in part"},
	cellExcluded:  {"×", "33", "excluded"},
	cellSkipped:   {">", "35", "skipped"},
	cellTwice:     {"2", "35", "twice, closed"},
	cellTwiceOpen: {"▓", "36", "twice, open in part or whole"},
	cellBeyond:    {" ", "", ""},
}

// Draw writes the policy as a picture for people: some weeks from an instant on,
// with a row for each day and a cell for each half hour of civil time. Where clocks change the row says what they
// do, and when it is open in each pass of an hour that comes twice. Below it are
// the openings after from in local time and in UTC. With color it has the escape
// sequences of a terminal. It is never wider than 80 columns.
func Draw(w io.Writer, p *Policy, from time.Time, weeks int, color bool) error {
	d := drawing{policy: p, from: from.In(p.Zone), color: color}
	d.title()
	year, month, dayOfMonth := d.from.Date()
	first := time.Date(year, month, dayOfMonth, 0, 0, 0, 0, time.UTC).Unix() / day
	days := int64(max(weeks, 1)) * 7
	end := secondsOf(p.WeeksOn(from, max(weeks, 1)))
	tl := p.newTimeline(secondsOf(from), end)
	before := stretchAt(p.Zone, end-1)
	last := before.date(end - 1)
	for i := range last - first + 1 {
		if i%7 == 0 && i < days {
			d.header(first + i)
		}
		d.row(tl.row(first + i))
		if i == 0 {
			d.here()
		}
	}
	d.legend()
	d.openings()
	_, err := io.WriteString(w, d.text.String())
	return err
}

type drawing struct {
	policy *Policy
	from   time.Time // in the policy's zone
	color  bool
	text   strings.Builder
	used   [len(marks)]bool
}

func (d *drawing) line(format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf(format, args...), " ")
	d.text.WriteString(text + "\n")
}

func (d *drawing) title() {
	d.line("%s (%s): %s", d.policy.Zone, d.policy.Data, d.policy.Summary())
}

// header has the hours of the day.
func (d *drawing) header(date int64) {
	var hours strings.Builder
	for hour := 0; hour < 24; hour += 3 {
		fmt.Fprintf(&hours, "%-6s", fmt.Sprintf("%02d", hour))
	}
	d.line("")
	d.line("%-*s%s24", dateWidth, time.Unix(date*day, 0).UTC().Format("2006"), hours.String())
}

func (d *drawing) row(r row) {
	var b strings.Builder
	for i := 0; i < len(r.cells); {
		end := i + 1
		for end < len(r.cells) && r.cells[end] == r.cells[i] {
			end++
		}
		b.WriteString(d.paint(r.cells[i], end-i))
		i = end
	}
	first := ""
	if len(r.notes) > 0 {
		first = r.notes[0]
	}
	d.line("%s%s %s", time.Unix(r.date*day, 0).UTC().Format("Mon 02 Jan "), b.String(), first)
	for _, note := range r.notes[min(1, len(r.notes)):] {
		d.line("%*s%s", dateWidth, "", clipTo(note, drawWidth-dateWidth))
	}
}

func (d *drawing) paint(c cell, n int) string {
	d.used[c] = marks[c].says != ""
	text := strings.Repeat(marks[c].sign, n)
	if !d.color || !d.used[c] {
		return text
	}
	return "\x1b[" + marks[c].colour + "m" + text + "\x1b[m"
}

// here points at the time from which on openings are listed.
func (d *drawing) here() {
	hour, minute, _ := d.from.Clock()
	at := (hour*60 + minute) / 30
	text := "^ " + d.from.Format("Mon 15:04 MST")
	if at > 30 { // to the left of it, where there is room
		text = d.from.Format("Mon 15:04 MST") + " ^"
		at -= utf8.RuneCountInString(text) - 1
	}
	d.line("%*s%s", dateWidth+at, "", text)
}

func (d *drawing) legend() {
	var parts []string
	for c, m := range marks {
		if d.used[c] {
			parts = append(parts, d.paint(cell(c), 1)+" "+m.says)
		}
	}
	d.line("")
	d.line("%s", strings.Join(parts, "   "))
}

// openings lists in words what the picture shows, and what comes after it.
func (d *drawing) openings() {
	d.line("")
	state, next := d.policy.At(d.from), d.policy.Next(d.from, listed)
	if state.Open {
		d.line("open at %s, %s", d.from.Format("Mon 15:04 MST"), until(state.In.Closes, d.policy.Zone))
	}
	switch {
	case len(next) > 0:
		d.line("opens next:")
	case !state.Open:
		d.line("does not open within 366 days")
	}
	for _, o := range next {
		local := o.Opens.In(d.policy.Zone).Format("Mon 2006-01-02 15:04 MST")
		utc := o.Opens.Format("2006-01-02 15:04 UTC")
		text := fmt.Sprintf("  %-26s %s  %-9s  %s", local, utc, length(o), o.Name)
		d.line("%s", clipTo(text, drawWidth))
	}
}

func until(closes time.Time, zone *time.Location) string {
	if closes.IsZero() {
		return "and stays so for as long as can be said"
	}
	return "until " + closes.In(zone).Format("Mon 2006-01-02 15:04 MST")
}

// length is how long an opening lasts: "2h", "1h 30m", "2d 4h".
func length(o Opening) string {
	if o.Closes.IsZero() {
		return "no end"
	}
	n := int64(o.Closes.Sub(o.Opens) / time.Second)
	var parts []string
	for _, unit := range []struct {
		seconds int64
		letter  string
	}{{day, "d"}, {3600, "h"}, {60, "m"}, {1, "s"}} {
		if k := n / unit.seconds; k > 0 {
			parts = append(parts, fmt.Sprint(k, unit.letter))
		}
		n %= unit.seconds
	}
	return strings.Join(parts, " ")
}

func clipTo(text string, width int) string {
	if r := []rune(text); len(r) > width {
		return string(r[:width-1]) + "…"
	}
	return text
}
