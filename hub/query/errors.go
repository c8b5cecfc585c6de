package query

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// MaxLength is the most characters a query or a condition may have, the limit
// that IoT Hub documents.
const MaxLength = 8192

// parseFailed opens the text of every error, as it does on the cloud hub, where
// operators and tools recognise it in a job's failure reason.
const parseFailed = "SQL query parse failed due to following errors: "

// ErrTooLong says that a text has more than [MaxLength] characters. The cloud
// hub answers 412 to a job whose condition is too long and 400 to other
// mistakes, so it can be told apart with [errors.Is].
var ErrTooLong = errors.New("the text is longer than 8192 characters")

// SyntaxError is a mistake in the text of a query, made by who wrote it.
type SyntaxError struct {
	// Line and Column count from 1, in characters. In a condition they count as
	// if "SELECT * FROM devices WHERE " stood before it, as the cloud hub does.
	Line, Column int
	// Problem says what was found and what was expected.
	Problem string
}

// Error gives the mistake in the manner of the cloud hub.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%sLine %d:%d %s", parseFailed, e.Line, e.Column, e.Problem)
}

// position is a place in the text; both counts start at 1.
type position struct{ line, column int }

func (at position) errorf(format string, args ...any) error {
	return &SyntaxError{Line: at.line, Column: at.column, Problem: fmt.Sprintf(format, args...)}
}

// excerpt prepares a piece of the text for an error message: short, and free of
// control characters that would disturb a terminal or a log.
func excerpt(s string) string {
	const most = 40 // enough to recognise the place in a one-line message
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return s
}
