package gpio

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// simulatedPoll is how often a simulated input looks at its file.
const simulatedPoll = 50 * time.Millisecond

// SimulatedInput is an input that is a file with one word in it, which anybody
// may write. A missing file is an input that is not fitted (or an idle button).
// The file is polled: a press must last for 200 ms to be surely seen.
type SimulatedInput struct {
	path             string
	inactive, active string
	changed          chan struct{}
}

// SimulatedContact reads "open" or "closed" from the file "contact" in dir.
func SimulatedContact(dir string) *SimulatedInput {
	return newSimulatedInput(dir, "contact", "closed", "open")
}

// SimulatedBolt reads "thrown" or "withdrawn" from the file "bolt" in dir.
func SimulatedBolt(dir string) *SimulatedInput {
	return newSimulatedInput(dir, "bolt", "withdrawn", "thrown")
}

// SimulatedButton reads "pressed" or "released" from the file "button" in dir.
func SimulatedButton(dir string) *SimulatedInput {
	return newSimulatedInput(dir, "button", "released", "pressed")
}

func newSimulatedInput(dir, name, inactive, active string) *SimulatedInput {
	return &SimulatedInput{
		path:     filepath.Join(dir, name),
		inactive: inactive,
		active:   active,
		changed:  make(chan struct{}, 1),
	}
}

// Read implements [Input]. An empty file, as a shell makes it for a moment before
// it writes, is an error that does not last.
func (in *SimulatedInput) Read() (Signal, error) {
	data, err := os.ReadFile(in.path)
	if errors.Is(err, os.ErrNotExist) {
		return Absent, nil
	}
	if err != nil {
		return Absent, err
	}
	switch word := strings.TrimSpace(string(data)); word {
	case in.active:
		return Active, nil
	case in.inactive:
		return Inactive, nil
	default:
		return Absent, fmt.Errorf("%s says %.20q, neither %s nor %s", in.path, word, in.active, in.inactive)
	}
}

// Wait implements [Input].
func (in *SimulatedInput) Wait(ctx context.Context) {
	timer := time.NewTimer(simulatedPoll)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-in.changed:
	case <-ctx.Done():
	}
}

// Set makes the input say something: Active, Inactive, or Absent, which removes
// the file. Within this process it is noticed at once.
func (in *SimulatedInput) Set(s Signal) error {
	err := in.put(s)
	select {
	case in.changed <- struct{}{}:
	default:
	}
	return err
}

func (in *SimulatedInput) put(s Signal) error {
	word := in.inactive
	switch s {
	case Absent:
		if err := os.Remove(in.path); !errors.Is(err, os.ErrNotExist) {
			return err
		}
		return nil
	case Active:
		word = in.active
	}
	// By way of a rename, so that a reader sees the old word or the new one.
	temp := in.path + ".new"
	if err := os.WriteFile(temp, []byte(word+"\n"), 0o600); err != nil {
		return err
	}
	return os.Rename(temp, in.path)
}
