package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"latchd/internal/atomicfile"
)

// journalFormat is the version in the first line of the journal.
const journalFormat = 1

// record is one line of the journal. A journal is appended to, because a
// rewrite of a thousand commands for each new one would wear out an SD card.
type record struct {
	Type     recordType `json:"t"`
	ID       string     `json:"id,omitempty"`
	Method   string     `json:"method,omitempty"`
	Hash     string     `json:"hash,omitempty"`
	NotAfter stamp      `json:"notAfter,omitzero"`
	At       stamp      `json:"at,omitzero"`
	Answer   *Answer    `json:"answer,omitempty"`
	Format   int        `json:"format,omitempty"` // in the first line only
}

type recordType string

const (
	recordHead  recordType = "commands"
	recordBegin recordType = "begin"
	recordEnd   recordType = "end"
	recordDrop  recordType = "drop"
)

// stamp is a time that is left out where it is zero.
type stamp struct{ time.Time }

func (s stamp) IsZero() bool { return s.Time.IsZero() }

// maxLine bounds a line that is read back; an answer is a few hundred bytes.
const maxLine = 1 << 20

// journal is the file of records. Between its methods the file holds whole
// lines up to size; what may stand behind that is cut off before the next one
// is written.
type journal struct {
	path  string
	file  *os.File // nil: there is no file to append to, rewrite makes one
	size  int64    // bytes that are known to be good
	lines int
	torn  bool // something may stand behind size
	tried int  // lines when the last rewrite failed: do not try again for each new one
	sync  func(*os.File) error
}

// openJournal reads the journal at path, which may not exist yet. A half line
// at its end is what a power cut leaves and is dropped; damage elsewhere keeps
// the lines that can be read and sets the original aside.
//
// An error means that what was recorded before is not known, or must not be
// overwritten. A disk on which nothing can be written is no error here: there
// is no file then, and rewrite is to be tried again.
func openJournal(path string, log *slog.Logger) (*journal, []record, error) {
	j := &journal{path: path, sync: (*os.File).Sync}
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return j, nil, fmt.Errorf("read the command journal: %w", err)
	}
	records, verdict := parseJournal(text)
	switch verdict {
	case journalNewer:
		aside, err := atomicfile.SetAside(path, "newer-format")
		if err != nil {
			return j, nil, fmt.Errorf("the command journal was written by a newer version: %w", err)
		}
		log.Warn("the command journal was written by a newer version and was set aside", "file", aside)
		records = nil
	case journalDamaged:
		aside, err := atomicfile.SetAside(path, "damaged")
		if err != nil {
			return j, nil, fmt.Errorf("the command journal is damaged: %w", err)
		}
		log.Warn("the command journal is damaged; what could be read was kept, the original was set aside", "file", aside, "kept", len(records))
	case journalWhole:
		if len(text) > 0 {
			if err := j.reopen(int64(len(text)), len(records)+1); err != nil {
				log.Error("commands cannot be recorded", "error", err)
			}
			return j, records, nil
		}
	}
	if err := j.rewrite(records); err != nil {
		log.Error("commands cannot be recorded", "error", err)
	}
	return j, records, nil
}

type verdict int

const (
	journalWhole   verdict = iota
	journalTorn            // half a line at the end
	journalDamaged         // unreadable lines elsewhere
	journalNewer
)

func parseJournal(text []byte) ([]record, verdict) {
	var out []record
	result := journalWhole
	r := bufio.NewReaderSize(bytes.NewReader(text), 64<<10)
	for n := 0; ; n++ {
		line, err := r.ReadBytes('\n')
		if err != nil {
			if len(line) > 0 && result == journalWhole {
				result = journalTorn
			}
			return out, result
		}
		var rec record
		if len(line) > maxLine || json.Unmarshal(line, &rec) != nil {
			result = journalDamaged
			continue
		}
		if n == 0 && rec.Type == recordHead {
			if rec.Format > journalFormat {
				return nil, journalNewer
			}
			continue
		}
		if !rec.valid() {
			result = journalDamaged
			continue
		}
		out = append(out, rec)
	}
}

func (r record) valid() bool {
	switch r.Type {
	case recordBegin, recordDrop:
		return r.ID != ""
	case recordEnd:
		return r.ID != "" && r.Answer != nil
	}
	return false
}

// reopen takes the file at path for the journal.
func (j *journal) reopen(size int64, lines int) error {
	f, err := os.OpenFile(j.path, os.O_WRONLY, 0o600)
	_ = j.close() // whatever it was, it is not the file at path any more
	if err != nil {
		return fmt.Errorf("open the command journal: %w", err)
	}
	j.file, j.size, j.lines, j.torn, j.tried = f, size, lines, false, 0
	return nil
}

var errNoJournal = errors.New("the command journal is not open")

// append writes one record and syncs it. After an error the record is not in
// the journal: what of it reached the file is cut off again.
func (j *journal) append(r record) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if j.file == nil {
		return errNoJournal
	}
	line = append(line, '\n')
	if j.torn {
		if err := j.file.Truncate(j.size); err != nil {
			return fmt.Errorf("mend the command journal: %w", err)
		}
		j.torn = false
	}
	_, err = j.file.WriteAt(line, j.size)
	if err == nil {
		err = j.sync(j.file)
	}
	if err != nil {
		j.torn = j.file.Truncate(j.size) != nil
		return fmt.Errorf("write the command journal: %w", err)
	}
	j.size += int64(len(line))
	j.lines++
	return nil
}

// wasteful tells whether more than half of the journal says nothing any more.
// A live command takes two lines.
func (j *journal) wasteful(live int) bool {
	const slack = 256 // lines: do not rewrite a short journal
	return j.lines > max(4*live, j.tried)+slack
}

// rewrite replaces the journal by one that holds just these records. If that
// fails, the old file stays the journal, as long as it is the one at path.
func (j *journal) rewrite(records []record) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, r := range append([]record{{Type: recordHead, Format: journalFormat}}, records...) {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	size := int64(b.Len())
	if err := atomicfile.WriteFile(j.path, b.Bytes(), 0o600); err != nil {
		j.tried = j.lines
		if !j.isAtPath() {
			_ = j.close()
		}
		return fmt.Errorf("rewrite the command journal: %w", err)
	}
	return j.reopen(size, len(records)+1)
}

// isAtPath tells whether the open file is the one at path. After a rewrite
// whose last step failed it may be one that has no name any more, and what is
// written there is lost with the process.
func (j *journal) isAtPath() bool {
	if j.file == nil {
		return false
	}
	open, err1 := j.file.Stat()
	named, err2 := os.Stat(j.path)
	return err1 == nil && err2 == nil && os.SameFile(open, named)
}

func (j *journal) close() error {
	if j.file == nil {
		return nil
	}
	err := j.file.Close()
	j.file = nil
	return err
}
