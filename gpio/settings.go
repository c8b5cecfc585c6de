package gpio

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Settings are the door's own facts, as the local configuration gives them. The
// zero value is a fail-secure lock on an active-high line, with every default.
type Settings struct {
	// FailMode is what the hardware does without power.
	FailMode FailMode `json:"failMode"`
	// ActiveLow says that the low level powers the lock (activeLevel "low").
	ActiveLow bool `json:"activeLow"`
	// MaxUnlockTime bounds a single unlock: MinUnlockTime to 24 h.
	MaxUnlockTime time.Duration `json:"maxUnlockTime"`
	// SettleTime is how long a sensor may disagree with the command before the
	// door counts as jammed: 100 ms to 1 min.
	SettleTime time.Duration `json:"settleTime"`
	// Wiring says which lines the door hangs on.
	Wiring Wiring `json:"wiring,omitzero"`
	// Policy is what applies until the hub confirms another one.
	Policy Policy `json:"policy"`
}

// Level is the level that locks, or unlocks, the door: power locks a fail-safe
// lock and unlocks a fail-secure one.
func (s Settings) Level(locked bool) Level {
	active := Level(!s.ActiveLow)
	if locked == (s.FailMode == FailSafe) {
		return active
	}
	return !active
}

// otherHardware names a setting of the hardware that differs; "" if none does.
func (s Settings) otherHardware(other Settings) string {
	switch {
	case s.FailMode != other.FailMode:
		return "fail_mode"
	case s.ActiveLow != other.ActiveLow:
		return "active_level"
	case s.Wiring.Contact != other.Wiring.Contact:
		return "contact"
	case s.Wiring.Bolt != other.Wiring.Bolt:
		return "bolt"
	case s.Wiring.Button != other.Wiring.Button:
		return "button"
	case s.Wiring != other.Wiring:
		return "line"
	}
	return ""
}

// Complete fills in the defaults and checks every range. The error is a
// *RangeError or a *ChoiceError, or names what else is wrong.
func (s Settings) Complete() (Settings, error) {
	if s.FailMode == "" {
		s.FailMode = FailSecure
	}
	if s.MaxUnlockTime == 0 {
		s.MaxUnlockTime = DefaultMaxUnlockTime
	}
	if s.SettleTime == 0 {
		s.SettleTime = DefaultSettleTime
	}
	s.Wiring = s.Wiring.complete()
	s.Policy = s.Policy.withDefaults()
	if s.Policy.FromHub {
		return s, errors.New("the policy of the settings is the local one: it cannot come from the hub")
	}
	return s, s.check()
}

func (s Settings) check() error {
	if s.FailMode != FailSecure && s.FailMode != FailSafe {
		return &ChoiceError{Name: "failMode", Value: string(s.FailMode), Choices: []string{"secure", "safe"}}
	}
	if err := inRange("maxUnlockTime", s.MaxUnlockTime, MinUnlockTime, maxMaxUnlockTime); err != nil {
		return err
	}
	if err := inRange("settleTime", s.SettleTime, minSettleTime, maxSettleTime); err != nil {
		return err
	}
	if err := s.Wiring.check(); err != nil {
		return err
	}
	return s.Policy.Check(s.MaxUnlockTime)
}

// settingsVersion is the format of the settings file.
const settingsVersion = 1

type settingsFile struct {
	Version  int      `json:"version"`
	Settings Settings `json:"settings"`
}

func settingsPath(stateDir string) string { return filepath.Join(stateDir, "door-settings.json") }

// LastSettings returns the settings with which a lock was last opened. A program
// whose configuration cannot be used opens the lock with these: a typing error
// must neither free the door nor leave its button dead. The error wraps
// [os.ErrNotExist] if no lock was ever opened with this state directory.
func LastSettings(stateDir string) (Settings, error) {
	path := settingsPath(stateDir)
	data, err := os.ReadFile(path)
	if err != nil {
		return Settings{}, fmt.Errorf("read the last good door settings: %w", err)
	}
	s, err := decodeSettings(data)
	if err != nil {
		return Settings{}, fmt.Errorf("read the last good door settings from %s: %w", path, err)
	}
	return s, nil
}

// ForgetSettings removes the last good settings: there is no lock any more. Without
// them it is no error.
func ForgetSettings(stateDir string) error {
	err := os.Remove(settingsPath(stateDir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

func decodeSettings(data []byte) (Settings, error) {
	if err := checkVersion(data, settingsVersion); err != nil {
		return Settings{}, err
	}
	var f settingsFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Settings{}, err
	}
	return f.Settings, f.Settings.check()
}

func encodeSettings(s Settings) []byte {
	return encode(settingsFile{Version: settingsVersion, Settings: s})
}
