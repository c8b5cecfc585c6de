package outbox

import (
	"errors"
	"fmt"
	"os"

	"latchd/internal/atomicfile"
)

// journal is the file that the queue is kept in. It is appended to, because a
// rewrite for each event would wear out an SD card. Between its methods the file
// holds whole lines up to size; what may stand behind that is cut off before the
// next one is written.
type journal struct {
	path string
	file *os.File // nil: there is no file to append to, rewrite makes one
	size int64    // bytes that are known to be good
	torn bool     // something may stand behind size

	sync    func(*os.File) error // for tests, as is the next
	replace func(path string, data []byte, perm os.FileMode) error
}

func newJournal(path string) journal {
	return journal{path: path, sync: (*os.File).Sync, replace: atomicfile.WriteFile}
}

// open takes the file at path, of which size bytes are good.
func (j *journal) open(size int64, torn bool) error {
	f, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	j.close() // whatever it was, it is not the file at path any more
	if err != nil {
		return fmt.Errorf("open the event journal: %w", err)
	}
	j.file, j.size, j.torn = f, size, torn
	return nil
}

var errNoJournal = errors.New("the event journal is not open")

// append writes whole lines and, where that is asked for, syncs them. After an
// error they are not in the journal: what of them reached the file is cut off
// again, because a sync that has failed may report success the next time without
// having written anything.
func (j *journal) append(lines []byte, sync bool) error {
	if j.file == nil {
		return errNoJournal
	}
	if j.torn {
		if err := j.file.Truncate(j.size); err != nil {
			return fmt.Errorf("mend the event journal: %w", err)
		}
		j.torn = false
	}
	_, err := j.file.WriteAt(lines, j.size)
	if err == nil && sync {
		err = j.sync(j.file)
	}
	if err != nil {
		j.torn = j.file.Truncate(j.size) != nil
		return fmt.Errorf("write the event journal: %w", err)
	}
	j.size += int64(len(lines))
	return nil
}

// rewrite replaces the journal. If that fails, the old file stays the journal as
// long as it is the one at path.
func (j *journal) rewrite(text []byte) error {
	if err := j.replace(j.path, text, 0o600); err != nil {
		if !j.isAtPath() {
			j.close()
		}
		return fmt.Errorf("rewrite the event journal: %w", err)
	}
	return j.open(int64(len(text)), false)
}

// isAtPath tells whether the open file is the one at path. After a rewrite whose
// last step failed it may be one that has no name any more.
func (j *journal) isAtPath() bool {
	if j.file == nil {
		return false
	}
	open, err1 := j.file.Stat()
	named, err2 := os.Stat(j.path)
	return err1 == nil && err2 == nil && os.SameFile(open, named)
}

func (j *journal) close() {
	if j.file != nil {
		_ = j.file.Close() // what counts is synced
		j.file = nil
	}
}
