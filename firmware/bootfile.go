package firmware

import (
	"errors"

	"latchd/internal/atomicfile"
)

// bootFile remembers, in the state directory, what was found in this boot.
const bootFile = "boot.json"

// bootRecord is the content of bootFile.
type bootRecord struct {
	Format   int      `json:"format"`
	BootID   string   `json:"bootId"`
	Cause    string   `json:"cause"`
	Evidence string   `json:"evidence,omitempty"`
	Panics   []string `json:"panics,omitempty"` // the panic records there were
}

// causeOnce finds the cause at the first call in a boot, and remembers it in the
// file at path for the calls after: by then somebody may have tidied up, and the
// verdict must not change. Without that memory a panic record proves nothing,
// because it may be of an earlier boot.
func (t tree) causeOnce(bootID, path string) (cause, evidence string) {
	var last bootRecord
	err := readRecord(path, &last)
	if err == nil && last.BootID == bootID {
		return last.Cause, last.Evidence
	}
	panics := t.panicRecords()
	seen := last.Panics
	if err != nil {
		seen = panics
	}
	// Where setting aside fails, writing does too, and that is answered below.
	switch {
	case errors.Is(err, errNewerFormat):
		_, _ = atomicfile.SetAside(path, "newer-format")
	case errors.Is(err, errDamaged):
		_, _ = atomicfile.SetAside(path, "damaged")
	}
	cause, evidence = t.cause(seen)
	err = writeRecord(path, bootRecord{recordFormat, bootID, cause, evidence, panics})
	if err != nil && cause == CausePanic {
		return CauseUnknown, "" // the next boot would find the same record new again
	}
	return cause, evidence
}
