package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

const doorUsage = `Usage: latchd door lock   [--time DURATION]
       latchd door unlock [--time DURATION | --hold]
       latchd door status

Moves the door, or says how it is, through the latchd that runs on this machine:
without hub and network, as root. A lock with a time is a lockdown, and
"lock --time 0" ends one. An unlock ends by itself, unless --hold is given. The
same bounds and refusals hold as for commands of the hub's.

Options:
`

const askExits = "\nExit status: 0 when the service did it, 1 when it did not or does not run, 2 for a wrong\ncommand line or a value that is out of range.\n"

// askFlags are the options of each command that asks the service.
type askFlags struct {
	*flag.FlagSet
	config, output *string
}

func newAskFlags(name string) askFlags {
	f := newFlags(name)
	return askFlags{
		FlagSet: f,
		config:  f.String("config", defaultConfig, "the configuration `FILE` of the service: it says where to find it"),
		output:  f.String("output", "table", "`FORMAT`: table or json"),
	}
}

// socket is where the service listens that runs with this configuration.
func (f askFlags) socket() (string, error) {
	cfg, err := loadConfig(*f.config)
	if err != nil && *f.config != defaultConfig && cannotRead(err) {
		return "", err // a name that was typed wrong
	}
	return filepath.Join(cfg.State.RuntimeDirectory, controlName), nil
}

// cannotRead tells whether a configuration is not there to be read, which is what
// comes of a name that was typed wrong.
func cannotRead(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)
}

// check is about options that every command has.
func (f askFlags) check() error {
	if *f.output != "table" && *f.output != "json" {
		return fmt.Errorf("--output is %q; it must be table or json", *f.output)
	}
	return nil
}

// door is the command `latchd door`.
func (p program) door(ctx context.Context, args []string) int {
	flags := newAskFlags("latchd door")
	lasts := flags.String("time", "", "how long: `DURATION` like 10s or 5m")
	hold := flags.Bool("hold", false, "unlock until it is locked")
	rest, exit, done := p.parse(flags.FlagSet, args, doorUsage, askExits)
	if done {
		return exit
	}
	if len(rest) != 1 {
		return p.misused("latchd door", "say what to do with the door: lock, unlock or status")
	}
	req := controlRequest{Command: "door", Action: rest[0], Time: *lasts, Hold: *hold}
	switch err := flags.check(); {
	case err != nil:
		return p.misused("latchd door", err.Error())
	case req.Action != "lock" && req.Action != "unlock" && req.Action != "status":
		return p.misused("latchd door", fmt.Sprintf("%q is nothing to do with a door; it can lock, unlock or status", req.Action))
	case req.Hold && req.Action != "unlock":
		return p.misused("latchd door", "--hold is of unlock")
	case req.Hold && req.Time != "":
		return p.misused("latchd door", "--hold and --time exclude each other")
	case req.Time != "" && req.Action == "status":
		return p.misused("latchd door", "--time is of lock and unlock")
	}
	return p.ask(ctx, flags, req, func(payload []byte) (string, error) {
		var doc struct{ Door doorDocument }
		err := json.Unmarshal(payload, &doc)
		return doc.Door.line(), err
	})
}

// ask asks the service, prints the answer and gives the exit status. text makes
// what a person reads of an answer.
func (p program) ask(ctx context.Context, flags askFlags, req controlRequest, text func(payload []byte) (string, error)) int {
	path, err := flags.socket()
	if err != nil {
		return p.failed(err)
	}
	answer, err := askControl(ctx, path, req)
	if err != nil {
		return p.failed(err)
	}
	if *flags.output == "json" {
		if _, err := fmt.Fprintf(p.stdout, "%s\n", answer.Payload); err != nil {
			return p.unwritten(err)
		}
	}
	if answer.Status >= 300 {
		if *flags.output != "json" {
			var refused struct{ Response string }
			_ = json.Unmarshal(answer.Payload, &refused)
			fmt.Fprintln(p.stderr, "latchd:", refused.Response)
		}
		if answer.Status == 400 {
			return exitUsage
		}
		return exitFailure
	}
	if *flags.output != "json" {
		line, err := text(answer.Payload)
		if err != nil {
			return p.failed(fmt.Errorf("read the service's answer: %w", err))
		}
		if _, err := fmt.Fprintln(p.stdout, line); err != nil {
			return p.unwritten(err)
		}
	}
	return exitOK
}

// unwritten is for an answer that came and went nowhere: on a full disk half a
// file must not pass for a whole one.
func (p program) unwritten(err error) int {
	return p.failed(fmt.Errorf("write the answer: %w", err))
}

// doorDocument is the door as the agent reports it.
type doorDocument struct {
	State, Mode, Until, Contact, Alarm, Fault string
	Assumed                                   bool
}

// line is the door in one line.
func (d doorDocument) line() string {
	if d.State == "" {
		return "no lock is configured"
	}
	mode := d.Mode
	switch mode {
	case "heldLocked", "heldUnlocked":
		mode = "held"
	}
	if d.Until != "" {
		mode += " until " + d.Until
	}
	parts := []string{d.State + ", " + mode}
	if d.Assumed {
		parts = append(parts, "assumed, because nothing senses it")
	}
	for _, more := range []struct{ name, value string }{{"contact ", d.Contact}, {"alarm: ", d.Alarm}, {"fault: ", d.Fault}} {
		if more.value != "" {
			parts = append(parts, more.name+more.value)
		}
	}
	return strings.Join(parts, "; ")
}
