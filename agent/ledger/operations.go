package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"time"

	"latchd/internal/atomicfile"
)

// operationsFormat is the version in the operations file.
const operationsFormat = 1

// Phase is how far an operation has come. Each is on disk before the act that
// it names begins.
type Phase string

const (
	PhaseScheduled Phase = "scheduled"  // waits for its time; may be cancelled
	PhaseAccepted  Phase = "accepted"   // has started; the answer goes out
	PhaseAnswered  Phase = "answered"   // the operator knows
	PhaseAsked     Phase = "asked"      // the machine is asked to go down; never asked twice
	PhaseGoingDown Phase = "going-down" // the machine is going down
)

// Operation is one that has not ended.
type Operation struct {
	ID          string        `json:"id"`
	Kind        string        `json:"kind"` // "rebootDevice"
	CommandID   string        `json:"commandId,omitempty"`
	Reason      string        `json:"reason,omitempty"`
	Force       bool          `json:"force,omitempty"`
	Phase       Phase         `json:"phase"`
	BootID      string        `json:"bootId"`                // the boot in which Phase was reached
	Uptime      time.Duration `json:"uptime"`                // boot-time clock at that moment, ns
	Resumed     bool          `json:"resumed,omitempty"`     // taken up again after a restart of the agent
	Earliest    time.Time     `json:"earliest,omitzero"`     // when its delay ends; windows aside
	StartUptime time.Duration `json:"startUptime,omitempty"` // Earliest on the boot-time clock of BootID
	NotBefore   time.Time     `json:"notBefore,omitzero"`    // when it is to start: at Earliest, or in a window after it
	Deferred    bool          `json:"deferred,omitempty"`    // NotBefore, or that there is none, is a maintenance policy's doing
	Closes      time.Time     `json:"closes,omitzero"`       // the end of the opening that NotBefore is in
	NotAfter    time.Time     `json:"notAfter,omitzero"`
	ExpiresAt   time.Time     `json:"expiresAt,omitzero"`
	EndUptime   time.Duration `json:"endUptime,omitempty"` // ExpiresAt on the boot-time clock of BootID
	RequestedAt time.Time     `json:"requestedAt,omitzero"`
	StartedAt   time.Time     `json:"startedAt,omitzero"`
	BlockedBy   string        `json:"blockedBy,omitempty"`
}

// Receipt is what became of an operation, or a boot that nobody asked this
// agent for (OperationID is "" then). Its JSON is the device's lastReboot.
type Receipt struct {
	OperationID    string   `json:"operationId,omitempty"`
	CommandID      string   `json:"commandId,omitempty"`
	Cause          string   `json:"cause,omitempty"`
	Orderly        *bool    `json:"orderly,omitempty"`
	Reason         string   `json:"reason,omitempty"`
	State          string   `json:"state"`
	RequestedAt    *Time    `json:"requestedAt,omitempty"`
	StartedAt      *Time    `json:"startedAt,omitempty"`
	BootedAt       *Time    `json:"bootedAt,omitempty"`
	DownSeconds    *float64 `json:"downSeconds,omitempty"`
	BootID         string   `json:"bootId,omitempty"`
	PreviousBootID string   `json:"previousBootId,omitempty"`
	Error          string   `json:"error,omitempty"`
}

// StoredReceipt is a receipt with what the agent must know of it.
type StoredReceipt struct {
	Receipt
	Delivered bool `json:"delivered"`         // the hub has acknowledged it as it stands
	StillUp   bool `json:"stillUp,omitempty"` // failed because the machine did not go down in time
	DownAt    Time `json:"downAt,omitzero"`   // when it went down, by a trusted clock
}

// Boot is the boot that the device was last seen in.
type Boot struct {
	ID         string    `json:"id"`
	RebootTime time.Time `json:"rebootTime,omitzero"` // computed once, with a trusted clock
}

// Mark says that the machine was seen going down in order.
type Mark struct {
	BootID      string    `json:"bootId"`
	OperationID string    `json:"operationId,omitempty"`
	At          time.Time `json:"at,omitzero"` // absent where the clock was not trusted
}

// Attempt is a time that the machine was asked to go down.
type Attempt struct {
	BootID string        `json:"bootId"`
	Uptime time.Duration `json:"uptime"`      // boot-time clock, ns
	At     time.Time     `json:"at,omitzero"` // absent where the clock was not trusted
}

// Operations is the whole of the operations file. It is a value: change a
// copy, Save it, and use it when that succeeded.
type Operations struct {
	Format   int             `json:"format"`
	Device   string          `json:"device,omitempty"` // whose operations these are; "": not known
	Boot     Boot            `json:"boot"`
	Pending  []Operation     `json:"pending,omitempty"`
	Receipts []StoredReceipt `json:"receipts,omitempty"` // oldest first
	Mark     *Mark           `json:"mark,omitempty"`
	Attempts []Attempt       `json:"attempts,omitempty"` // of the last day, oldest first
}

// Clone gives a copy that shares nothing that is written to.
func (o Operations) Clone() Operations {
	o.Pending = append([]Operation(nil), o.Pending...)
	o.Receipts = append([]StoredReceipt(nil), o.Receipts...)
	o.Attempts = append([]Attempt(nil), o.Attempts...)
	return o
}

// LoadOperations reads the file; without one the result is empty. A file that
// is damaged or newer is set aside. After an error the file must not be
// written: what is in it is not known, or is somebody else's to read.
func LoadOperations(path string, log *slog.Logger) (Operations, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Operations{}, nil
	}
	if err != nil {
		return Operations{}, fmt.Errorf("read the operations: %w", err)
	}
	o, why := decodeOperations(text)
	if why == "" {
		return o, nil
	}
	aside, err := atomicfile.SetAside(path, why)
	if err != nil {
		return Operations{}, fmt.Errorf("the operations file cannot be used (%s): %w", why, err)
	}
	log.Warn("the operations file cannot be used and was set aside", "why", why, "file", aside)
	return Operations{}, nil
}

// decodeOperations says why a file cannot be used; "" if it can.
func decodeOperations(text []byte) (o Operations, why string) {
	// First alone, because a newer format may differ in all the rest.
	var header struct {
		Format int `json:"format"`
	}
	if json.Unmarshal(text, &header) != nil || header.Format < 1 {
		return Operations{}, "damaged"
	}
	if header.Format > operationsFormat {
		return Operations{}, "newer-format"
	}
	if json.Unmarshal(text, &o) != nil || !o.valid() {
		return Operations{}, "damaged"
	}
	for i, op := range o.Pending { // written before there were windows
		if op.Earliest.IsZero() && !op.Deferred {
			o.Pending[i].Earliest = op.NotBefore
		}
	}
	return o, ""
}

// valid tells whether SaveOperations may have written it.
func (o Operations) valid() bool {
	seen := map[string]bool{}
	for _, op := range o.Pending {
		switch op.Phase {
		case PhaseScheduled, PhaseAccepted, PhaseAnswered, PhaseAsked, PhaseGoingDown:
		default:
			return false
		}
		if op.ID == "" || op.Kind == "" || seen[op.ID] {
			return false
		}
		seen[op.ID] = true
	}
	return o.Boot.ID != ""
}

// SaveOperations writes the file so that a power cut leaves the old or the
// new one.
func SaveOperations(path string, o Operations) error {
	o.Format = operationsFormat
	text, err := json.MarshalIndent(o, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, append(text, '\n'), 0o600)
}

// Time is a time as the device reports it: RFC 3339, UTC, milliseconds.
type Time struct{ time.Time }

func (t Time) IsZero() bool { return t.Time.IsZero() }

// At gives a Time to report, nil for the zero time, which is not reported.
func At(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

func (t Time) MarshalJSON() ([]byte, error) {
	return json.Marshal(t.UTC().Format("2006-01-02T15:04:05.000Z"))
}
