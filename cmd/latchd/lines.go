package main

import (
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"

	"latchd/gpio"
	"latchd/internal/systemd"
)

// hardware fills in the lines that the door hangs on: files of a simulated
// machine, or lines of the kernel's.
func hardware(c *gpio.Config, simulate bool, kept []gpio.Kept, log *slog.Logger) {
	if simulate {
		dir := filepath.Join(c.RuntimeDir, "gpio")
		c.Line = gpio.SimulatedLine(dir, c.BootTime)
		c.Contact, c.Bolt, c.Button = gpio.SimulatedContact(dir), gpio.SimulatedBolt(dir), gpio.SimulatedButton(dir)
		return
	}
	line := gpio.KernelLine{Settings: c.Settings, Found: kept, Keep: systemd.Store, Forget: systemd.Remove}
	c.Line = func(initial gpio.Level) (gpio.Line, error) {
		opened, err := line.Open(initial)
		for _, note := range line.Notes() {
			log.Warn(note)
		}
		return opened, err
	}
	for _, in := range []struct {
		input  *gpio.Input
		wiring gpio.InputWiring
	}{
		{&c.Contact, c.Settings.Wiring.Contact},
		{&c.Bolt, c.Settings.Wiring.Bolt},
		{&c.Button, c.Settings.Wiring.Button},
	} {
		if in.wiring.Line != "" {
			*in.input = gpio.NewKernelInput(in.wiring)
		}
	}
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
