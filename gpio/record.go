package gpio

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	// runtimeVersion and stateVersion are the formats of the two records.
	runtimeVersion = 1
	stateVersion   = 1
	// maxRecordSize is far above what is ever written; a larger file is not ours.
	maxRecordSize = 64 << 10
)

// errNewerFormat marks a record of a later version of this program.
var errNewerFormat = errors.New("written by a newer version")

// runtimeRecord is everything, for a restart in the same boot. Durations are in
// nanoseconds, readings are of the boot-time clock.
type runtimeRecord struct {
	Version int           `json:"version"`
	BootID  string        `json:"bootId"`
	At      time.Duration `json:"at"` // when it was recorded
	// Policy is one that the hub confirmed in this boot, or nil.
	Policy *Policy `json:"policy,omitempty"`
	Memory memory  `json:"memory"`
	Marks  marks   `json:"marks"`
}

// stateRecord is what outlives a reboot. It is comparable.
type stateRecord struct {
	Version int           `json:"version"`
	BootID  string        `json:"bootId"`
	At      time.Duration `json:"at"`
	// Hold is ModeHeldLocked, ModeLockdown, or empty for everything that a reboot
	// ends.
	Hold Mode `json:"hold,omitzero"`
	// LockdownEnd is a reading in the boot of BootID, Remaining the time left at
	// At, and EndsAt the end by the wall clock if that was ever trusted.
	LockdownEnd time.Duration `json:"lockdownEnd,omitzero"`
	Remaining   time.Duration `json:"remaining,omitzero"`
	EndsAt      time.Time     `json:"endsAt,omitzero"`
	AwaitsClock bool          `json:"awaitsClock,omitzero"`
}

// sameHold tells whether two records say the same, apart from when they were made.
func (r stateRecord) sameHold(other stateRecord) bool {
	r.At, r.Remaining = other.At, other.Remaining
	if r.Hold == "" && other.Hold == "" {
		r.BootID = other.BootID // nothing is held, whichever boot says so
	}
	return r == other
}

func runtimePath(dir string) string { return filepath.Join(dir, "lock.json") }
func statePath(dir string) string   { return filepath.Join(dir, "lock.json") }

// readRecord returns the content of a record, or nil if there is none.
func readRecord(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecordSize+1))
	if err == nil && len(data) > maxRecordSize {
		err = fmt.Errorf("larger than %d bytes", maxRecordSize)
	}
	return data, err
}

// checkVersion refuses a record that is not of the given format, or is no record.
func checkVersion(data []byte, version int) error {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	if v.Version > version {
		return fmt.Errorf("format %d: %w", v.Version, errNewerFormat)
	}
	if v.Version != version {
		return fmt.Errorf("no such format: %d", v.Version)
	}
	return nil
}

func decodeRuntime(data []byte) (runtimeRecord, error) {
	if err := checkVersion(data, runtimeVersion); err != nil {
		return runtimeRecord{}, err
	}
	var r runtimeRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return runtimeRecord{}, err
	}
	if r.BootID == "" || r.At < 0 {
		return runtimeRecord{}, errors.New("no boot id or no time")
	}
	return r, r.Memory.check(r.At)
}

func decodeState(data []byte) (stateRecord, error) {
	if err := checkVersion(data, stateVersion); err != nil {
		return stateRecord{}, err
	}
	var r stateRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return stateRecord{}, err
	}
	r.EndsAt = r.EndsAt.UTC()
	lockdown := r.Hold == ModeLockdown
	switch {
	case r.BootID == "" || r.At < 0:
		return stateRecord{}, errors.New("no boot id or no time")
	case !slices.Contains([]Mode{"", ModeHeldLocked, ModeLockdown}, r.Hold):
		return stateRecord{}, fmt.Errorf("no such hold: %.40q", r.Hold)
	case r.Remaining < 0 || r.Remaining > MaxLockTime:
		return stateRecord{}, fmt.Errorf("impossible remaining time: %s", r.Remaining)
	case lockdown != (r.LockdownEnd > 0) || r.LockdownEnd < 0 || r.LockdownEnd-MaxLockTime > r.At:
		return stateRecord{}, fmt.Errorf("impossible end of a lockdown: %s", r.LockdownEnd)
	}
	return r, nil
}

// check refuses what this program never records. The bounds on the two deadlines
// matter most: an impossible one would hold the door for ever.
func (m memory) check(at time.Duration) error {
	for _, d := range []time.Duration{m.LockdownEnd, m.UnlockEnd, m.RelockedAt, m.SettleEnd, m.StuckAt, m.OpenSince, m.Since} {
		if d < 0 {
			return fmt.Errorf("negative time: %s", d)
		}
	}
	bases := []Mode{ModeResting, ModeHeldUnlocked, ModeHeldLocked, ModeLockdown}
	states := []State{StateLocked, StateUnlocked, StateLocking, StateUnlocking, StateJammed, StateUnknown}
	switch {
	case !slices.Contains(bases, m.Base) || m.Mode != ModeMomentary && !slices.Contains(bases, m.Mode):
		return fmt.Errorf("no such mode: %.40q, %.40q", m.Base, m.Mode)
	case !slices.Contains(states, m.State) || !slices.Contains(states, m.Settled):
		return fmt.Errorf("no such state: %.40q, %.40q", m.State, m.Settled)
	case !slices.Contains([]Contact{ContactNone, ContactOpen, ContactClosed}, m.Contact):
		return fmt.Errorf("no such contact: %.40q", m.Contact)
	case m.Bolt < Absent || m.Bolt > Active:
		return fmt.Errorf("no such bolt: %d", m.Bolt)
	case (m.Base == ModeLockdown) != (m.LockdownEnd > 0) || m.LockdownEnd-MaxLockTime > at:
		return fmt.Errorf("impossible end of a lockdown: %s", m.LockdownEnd)
	case m.UnlockEnd-maxMaxUnlockTime > at:
		return fmt.Errorf("impossible end of an unlock: %s", m.UnlockEnd)
	}
	return nil
}

// encode turns a record into the bytes of its file.
func encode(record any) []byte {
	data, err := json.Marshal(record)
	if err != nil {
		panic(err) // the records hold nothing that cannot be encoded
	}
	return append(data, '\n')
}
