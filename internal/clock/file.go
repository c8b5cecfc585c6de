package clock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"latchd/internal/atomicfile"
)

// saveAgainAfter is how old the saved time has to be to be worth a write. It is
// only a floor.
const saveAgainAfter = time.Minute

// load reads what an earlier run saved.
func (c *Clock) load() {
	if c.File == "" {
		return
	}
	data, err := os.ReadFile(c.File)
	if err == nil {
		c.saved, err = time.Parse(time.RFC3339, string(bytes.TrimSpace(data)))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.Warn("the time that was saved cannot be read; the time of the build is the floor", "error", err)
	}
}

// Save keeps the time for the next start, for which it is the floor: what is
// certain of it, which without trust is the floor of this run and the time since.
// Call it at an ordered stop and beside other writes; it writes once a minute at
// most. It takes as long as the disk takes.
func (c *Clock) Save() error {
	if c.File == "" {
		return nil
	}
	c.saving.Lock()
	defer c.saving.Unlock()
	at, _ := c.earliest()
	at = at.Truncate(time.Second)
	if abs(at.Sub(c.saved)) < saveAgainAfter {
		return nil
	}
	if err := atomicfile.WriteFile(c.File, []byte(text(at)+"\n"), 0o600); err != nil {
		return fmt.Errorf("save the time: %w", err)
	}
	c.saved = at
	return nil
}

// ParseBuild reads the time that a build is stamped with, RFC 3339. A program
// without a stamp is as old as this package.
func ParseBuild(stamp string) time.Time {
	t, err := time.Parse(time.RFC3339, stamp)
	if err != nil {
		return oldest
	}
	return t
}
