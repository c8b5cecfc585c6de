package firmware

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"latchd/internal/atomicfile"
)

// recordFormat is the version of the small files that this package keeps. A file
// says its own in "format".
const recordFormat = 1

var (
	errNewerFormat = errors.New("written by a newer version")
	errDamaged     = errors.New("damaged")
)

// readRecord fills record from the file at path. The error is fs.ErrNotExist,
// errNewerFormat or errDamaged where one of them is the reason.
func readRecord(path string, record any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var header struct {
		Format int `json:"format"`
	}
	if err := json.Unmarshal(data, &header); err != nil || header.Format < 1 {
		return fmt.Errorf("read %s: %w", path, errDamaged)
	}
	if header.Format > recordFormat {
		return fmt.Errorf("read %s: %w", path, errNewerFormat)
	}
	if err := json.Unmarshal(data, record); err != nil {
		return fmt.Errorf("read %s: %w: %w", path, errDamaged, err)
	}
	return nil
}

// writeRecord replaces the file at path. A power cut leaves the old one or the new one.
func writeRecord(path string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return atomicfile.WriteFile(path, append(data, '\n'), 0o600)
}
