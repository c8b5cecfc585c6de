// Latchhub is a hub for latchd devices and their operators: an IoT-Hub-compatible
// service on one machine, for development, demonstrations and sites without a
// cloud. It speaks MQTT over TLS to devices and the HTTPS service API to
// operators.
//
// The program is a shell around package hub: it reads flags, holds the two
// listeners and gives exit codes. Exit codes: 0 done, 1 it failed, 2 it was
// called wrongly.
//
// It holds no secrets of its own and prints none, except the connection string
// that connection-string is asked for.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"latchd/internal/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// command is one verb. Its run function defines its flags on fs, and parses
// the arguments with parse.
type command struct {
	name, summary, usage string
	run                  func(ctx context.Context, c call) error
}

// call is what a command gets.
type call struct {
	flags          *flag.FlagSet
	args           []string
	stdout, stderr io.Writer
}

var commands = []command{
	{"init", "make a hub in a directory, or give one other names", initUsage, runInit},
	{"serve", "serve devices and operators", serveUsage, runServe},
	{"connection-string", "print the connection string of a policy", connectionStringUsage, runConnectionString},
	{"version", "print the version", versionUsage, runVersion},
}

// errUsage says that the command line is wrong; what is wrong has been printed.
var errUsage = errors.New("wrong usage")

// run is the program. It returns its exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		help(stderr)
		return exitUsage
	}
	switch args[0] {
	case "help", "-h", "-help", "--help":
		return runHelp(args[1:], stdout, stderr)
	case "-version", "--version":
		args[0] = "version"
	}
	for _, c := range commands {
		if c.name == args[0] {
			return c.do(ctx, args[1:], stdout, stderr)
		}
	}
	_, _ = fmt.Fprintf(stderr, "latchhub: there is no command %q\n\n", args[0])
	help(stderr)
	return exitUsage
}

func (c command) do(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // parse says it in our words
	err := c.run(ctx, call{fs, args, stdout, stderr})
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, flag.ErrHelp):
		_, _ = fmt.Fprint(stdout, c.usage)
		return exitOK
	case errors.Is(err, errUsage):
		_, _ = fmt.Fprintf(stderr, "\n%s", c.usage)
		return exitUsage
	}
	_, _ = fmt.Fprintf(stderr, "latchhub %s: %v\n", c.name, err)
	return exitFailed
}

// parse reads the flags; all of those named must be given, and nothing may be
// left over.
func (c call) parse(required ...string) error {
	wrong := func(format string, args ...any) error {
		_, _ = fmt.Fprintf(c.stderr, "latchhub "+c.flags.Name()+": "+format+"\n", args...)
		return errUsage
	}
	err := c.flags.Parse(c.args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return wrong("%v", err)
	case c.flags.NArg() > 0:
		return wrong("%q is not expected", c.flags.Arg(0))
	}
	for _, name := range required {
		if c.flags.Lookup(name).Value.String() == "" {
			return wrong("--%s is missing", name)
		}
	}
	return nil
}

func help(w io.Writer) {
	_, _ = fmt.Fprint(w, "latchhub is an IoT-Hub-compatible hub for latchd devices.\n\nUsage: latchhub COMMAND [flags]\n\n")
	for _, c := range commands {
		_, _ = fmt.Fprintf(w, "  %-18s %s\n", c.name, c.summary)
	}
	_, _ = fmt.Fprint(w, "\nlatchhub help COMMAND tells more about one.\n")
}

func runHelp(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		help(stdout)
		return exitOK
	}
	for _, c := range commands {
		if c.name == args[0] {
			_, _ = fmt.Fprint(stdout, c.usage)
			return exitOK
		}
	}
	_, _ = fmt.Fprintf(stderr, "latchhub: there is no command %q\n", args[0])
	return exitUsage
}

const versionUsage = `Usage: latchhub version

Prints the version of this build.
`

func runVersion(_ context.Context, c call) error {
	if err := c.parse(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(c.stdout, "latchhub", version.String())
	return err
}
