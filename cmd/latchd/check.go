package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strings"
	"syscall"

	"latchd/agent/health"
)

const checkUsage = `Usage: latchd check [OPTION]... [ID...]

Looks for what is wrong with this device, by all checks or by those with the ids
that are given. The latchd that runs on this machine is asked, because only it
has the service's rights and its connection; run this as root. Where none runs,
that is a fault, and the checks that can do without it are made all the same.

Options:
`

const checkExits = "\nExit status: 0 when there is no fault of severity error (there may be warnings), 1 when there is\none, 2 for a wrong command line.\n"

// check is the command `latchd check`.
func (p program) check(ctx context.Context, args []string) int {
	flags := newAskFlags("latchd check")
	ids, exit, done := p.parse(flags.FlagSet, args, checkUsage, checkExits)
	if done {
		return exit
	}
	err := flags.check()
	if err == nil {
		err = health.Known(ids)
	}
	if err != nil {
		return p.misused("latchd check", err.Error())
	}
	report, err := p.examine(ctx, flags, ids)
	if err != nil {
		return p.failed(err)
	}
	results := report.All()
	if *flags.output == "json" {
		text, err := json.MarshalIndent(results, "", "  ")
		if err != nil {
			return p.failed(err)
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n", text)
		if err != nil {
			return p.unwritten(err)
		}
	} else if _, err := fmt.Fprint(p.stdout, checkTable(results)); err != nil {
		return p.unwritten(err)
	}
	if count(results, health.Error) > 0 {
		return exitFailure
	}
	return exitOK
}

// examine asks the service, or looks itself where none runs.
func (p program) examine(ctx context.Context, flags askFlags, ids []string) (health.Report, error) {
	path, err := flags.socket()
	if err != nil {
		return health.Report{}, err
	}
	if !isServed(ctx, path) {
		cfg, _ := loadConfig(*flags.config) // the check configuration tells what is wrong with it
		return health.New(diagnosis{configFile: *flags.config, config: cfg}.facts).Run(ctx, ids)
	}
	answer, err := askControl(ctx, path, controlRequest{Command: "check", Checks: ids})
	if err != nil {
		return health.Report{}, err
	}
	if answer.Status != 200 {
		var refused struct{ Response string }
		_ = json.Unmarshal(answer.Payload, &refused)
		return health.Report{}, errors.New(refused.Response)
	}
	var report health.Report
	if err := json.Unmarshal(answer.Payload, &report); err != nil {
		return report, fmt.Errorf("read the service's answer: %w", err)
	}
	return report, nil
}

// isServed is false if nobody listens at the socket. Whatever else is wrong with it
// is for the question itself to tell.
func isServed(ctx context.Context, path string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
	}
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ECONNREFUSED)
}

// checkTable is the results for a person: faults first, the gravest before the
// others, each with its remedy under it.
func checkTable(results []health.Result) string {
	width := 0
	for _, r := range results {
		width = max(width, len(r.ID))
	}
	const words = len("warning")
	var b strings.Builder
	row := func(word string, r health.Result) {
		fmt.Fprintf(&b, "%-*s  %-*s  %s\n", words, word, width, r.ID, r.Text)
		if r.Remedy != "" {
			fmt.Fprintf(&b, "%-*s  %-*s  remedy: %s\n", words, "", width, "", r.Remedy)
		}
	}
	for _, severity := range []health.Severity{health.Error, health.Warning, health.Info} {
		for _, r := range results {
			if !r.OK && r.Severity == severity {
				row(string(severity), r)
			}
		}
	}
	for _, r := range results {
		if r.OK {
			row("ok", r)
		}
	}
	fmt.Fprintf(&b, "\n%s: %s, %s, %s\n", plural(len(results), "check"),
		plural(count(results, health.Error), "error"), plural(count(results, health.Warning), "warning"),
		plural(count(results, health.Info), "note"))
	return b.String()
}

// count is how many faults of a severity there are.
func count(results []health.Result, severity health.Severity) (n int) {
	for _, r := range results {
		if !r.OK && r.Severity == severity {
			n++
		}
	}
	return n
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// diagnose is what the self-checks are told of this service.
func (s *service) diagnose() health.Facts {
	r := &alive{
		fault: s.faultNow(), door: s.agent.Door, machine: s.machine, clock: s.agent.Clock, agent: s.agent, link: s.link.state,
	}
	cfg := s.configNow()
	r.settings, _ = cfg.settings().Complete() // what is wrong with it the service told when it read it
	if lock := s.doors.lock(); lock != nil {
		r.settings = lock.Settings()
	}
	return diagnosis{configFile: s.configFile, config: cfg, simulate: s.simulate, alive: r}.facts()
}
