// Package logging makes the one log that each program writes: lines on standard
// error, for a person at a terminal or for the systemd journal.
//
// A line is the message, then its attributes as key=value:
//
//	2026-11-22T02:31:07.120Z INFO door locked mode=lockdown until=2026-11-22T02:41:07Z
//	<6>door locked mode=lockdown until=2026-11-22T02:41:07Z
//
// The first is for people. The second is for the journal, which takes the
// syslog priority from the prefix (sd-daemon(3)) and knows the time itself.
//
// One record is one line, whatever it contains: messages and values with line
// breaks or other unprintable characters are quoted. A device name or an error
// text from outside can therefore not forge a line of its own, nor its priority.
//
// It is not a place where secrets are taken out: they are not to be logged.
package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math"
	"strconv"
	"sync"
	"time"
	"unicode"
)

// timeFormat is RFC 3339 in UTC with milliseconds, as in every report of the device.
const timeFormat = "2006-01-02T15:04:05.000Z"

// New returns a logger that writes records of at least level to w, each with
// one Write. With journald true the lines are for the systemd journal (see
// ToJournal), otherwise for people. The methods of a logged value (Error, String,
// LogValue) must not log themselves: a line is made under a lock.
func New(w io.Writer, level slog.Leveler, journald bool) *slog.Logger {
	out := &output{w: w, journald: journald}
	return slog.New(&handler{
		out: out,
		attrs: slog.NewTextHandler(&out.line, &slog.HandlerOptions{
			Level:       level,
			ReplaceAttr: dropBuiltin,
		}),
	})
}

// output is what all handlers derived from one logger share.
type output struct {
	w        io.Writer
	journald bool

	mu   sync.Mutex   // guards line, and keeps lines whole on w
	line bytes.Buffer // the line being made
}

// handler writes the head of a line itself and leaves the attributes, with
// their groups and their quoting, to slog's own handler.
type handler struct {
	out   *output
	attrs slog.Handler // writes to out.line
}

func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{h.out, h.attrs.WithAttrs(attrs)}
}

func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{h.out, h.attrs.WithGroup(name)}
}

// noLevel and noMessage mark slog's own fields in a record whose head is
// written already. No caller has such a level; an empty attribute "msg" of a
// caller's is lost with them, and with it nothing.
const (
	noLevel   = slog.Level(math.MinInt)
	noMessage = ""
)

// dropBuiltin removes slog's own level and message, not a caller's attribute
// that has the same key.
func dropBuiltin(groups []string, a slog.Attr) slog.Attr {
	if len(groups) > 0 {
		return a
	}
	switch a.Key {
	case slog.LevelKey:
		if level, ok := a.Value.Any().(slog.Level); ok && level == noLevel {
			return slog.Attr{}
		}
	case slog.MessageKey:
		if a.Value.Kind() == slog.KindString && a.Value.String() == noMessage {
			return slog.Attr{}
		}
	}
	return a
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	line := &h.out.line
	line.Reset()
	line.WriteString(h.out.head(r))
	line.WriteString(oneLine(r.Message))
	line.WriteByte(' ')
	head := line.Len()

	rest := slog.NewRecord(time.Time{}, noLevel, noMessage, 0)
	r.Attrs(func(a slog.Attr) bool {
		rest.AddAttrs(a)
		return true
	})
	if err := h.attrs.Handle(ctx, rest); err != nil {
		return err
	}
	if line.Len() == head+1 { // only the line break: take back the space before it
		line.Truncate(head - 1)
		line.WriteByte('\n')
	}
	_, err := h.out.w.Write(line.Bytes())
	return err
}

// head is everything before the message.
func (o *output) head(r slog.Record) string {
	if o.journald {
		return "<" + strconv.Itoa(priority(r.Level)) + ">"
	}
	if r.Time.IsZero() { // slog's rule for handlers: a zero time is not shown
		return r.Level.String() + " "
	}
	return r.Time.UTC().Format(timeFormat) + " " + r.Level.String() + " "
}

// priority is the syslog severity (RFC 5424, section 6.2.1) for a level.
func priority(level slog.Level) int {
	switch {
	case level < slog.LevelInfo:
		return 7 // debug
	case level < slog.LevelWarn:
		return 6 // informational
	case level < slog.LevelError:
		return 4 // warning
	default:
		return 3 // error
	}
}

// oneLine quotes text that would not stay on one line, or not be seen.
func oneLine(text string) string {
	for _, r := range text {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return strconv.Quote(text)
		}
	}
	return text
}
