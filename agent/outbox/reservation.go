package outbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ahead is how many numbers are reserved at a time: one more small file written
// for a thousand events, and at most a thousand numbers skipped when the journal
// is lost.
const ahead = 1024

// reservation is the file that says which numbers may be in use. It is separate
// from the journal so that one damaged file does not make numbers begin anew.
type reservation struct {
	path string
	upTo uint64 // 0: none, or not known
}

func (r *reservation) read() error {
	text, err := os.ReadFile(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the reserved event numbers: %w", err)
	}
	if rec, ok := parseRecord(bytes.TrimSuffix(text, []byte("\n"))); ok && rec.Type == recordReserved {
		r.upTo = rec.Next
	}
	return nil
}

// cover makes the reservation reach a number at least.
func (r *reservation) cover(seq uint64, replace func(string, []byte, os.FileMode) error) error {
	if seq <= r.upTo {
		return nil
	}
	upTo := seq + ahead
	text, err := appendRecord(nil, record{Type: recordReserved, Next: upTo})
	if err == nil {
		err = replace(r.path, text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("reserve event numbers: %w", err)
	}
	r.upTo = upTo
	return nil
}
