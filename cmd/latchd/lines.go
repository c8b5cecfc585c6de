package main

import (
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"latchd/gpio"
	"latchd/internal/systemd"
)

// openOn opens the lock on the lines that it hangs on: files of a simulated machine,
// or lines of the kernel's.
func (k *doorkeeper) openOn(c gpio.Config) (*gpio.Lock, error) {
	if k.simulate {
		dir := filepath.Join(c.RuntimeDir, "gpio")
		c.Line = gpio.SimulatedLine(dir, c.BootTime)
		c.Contact, c.Bolt, c.Button = gpio.SimulatedContact(dir), gpio.SimulatedBolt(dir), gpio.SimulatedButton(dir)
		return gpio.Open(c)
	}
	line := gpio.KernelLine{Settings: c.Settings, Found: k.kept, Keep: systemd.Store, Forget: systemd.Remove}
	c.Line = line.Open
	wiring := c.Settings.Wiring
	c.Contact, c.Bolt, c.Button = input(wiring.Contact), input(wiring.Bolt), input(wiring.Button)
	lock, err := gpio.Open(c)
	k.note(line.Notes())
	k.kept = line.Found // what was not touched
	if held := line.Held(); held.File != nil {
		k.kept = append(k.kept, held)
	}
	return lock, err
}

// input is the line of an input; nil where none is fitted.
func input(w gpio.InputWiring) gpio.Input {
	if w.Line == "" {
		return nil
	}
	return gpio.NewKernelInput(w)
}

// keptLines are the lines that the process before left with the service manager.
// Only the lock's own are taken: what else is passed is none of ours.
func keptLines() []gpio.Kept {
	var kept []gpio.Kept
	for _, f := range activation.Files(true) {
		if !strings.HasPrefix(f.Name(), gpio.KeptPrefix) {
			_ = f.Close()
			continue
		}
		kept = append(kept, gpio.Kept{Name: f.Name(), File: f})
	}
	return kept
}
