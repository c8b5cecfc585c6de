// Command latchd is the device agent: it keeps a door lock, reboots the
// machine when it is told to and proves it, and keeps the device twin of an
// Azure IoT Hub true.
//
// It is a systemd service that starts no other process. This package only
// wires the rooms together: the lock from gpio, the machine from firmware,
// the wire from iothub/device, the behaviour from agent.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"latchd/internal/version"
)

// Exit codes.
const (
	exitOK      = 0 // an ordered stop
	exitFailure = 1
	exitUsage   = 2
)

// gcPercent makes the garbage collector run when the heap has grown by a
// quarter, not when it has doubled. The heap is about 2 MB, so it costs next
// to nothing and keeps the resident memory under 12 MB: after 2,000 methods it
// was 11.6 MB with it and 14.5 MB without. GOGC in the environment wins.
const gcPercent = 25

// processors is how many goroutines run at once. A command passes through a
// dozen of them, one after the other; with more processors each hand-over wakes
// another thread, which costs more than the work that it is woken for: a
// method took 0.35 ms of CPU time with two and 0.25 ms with one. It also saves
// 0.5 MB. Nothing waits long for its turn: a goroutine that computes is
// interrupted after 10 ms, one that waits for the disk lets others run within
// as long (the button included), and the Raspberry Pi Zero has one processor
// anyway. GOMAXPROCS in the environment wins.
const processors = 1

func main() {
	useSmallPages()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(processors)
	}
	// Until the service listens for it, SIGHUP must not end the process, because
	// that would be a stop without its order.
	// Nor may a log that nobody reads any more, whose write is SIGPIPE.
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

const usage = `Usage: latchd [--config FILE] [--simulate]
       latchd --check-config [--config FILE]
       latchd --version
       latchd configure | status | check | maintenance | door [OPTION]...

latchd keeps a door lock, reboots this machine on command and proves it, and
keeps its device twin in an IoT hub true. It runs until SIGTERM, which is an
ordered stop: it ends any unlock and locks the door.

Commands (each has its own --help):
  configure    tell this device its hub and its key, and connect once to check
  status       what the latchd that runs on this machine is doing
  check        look for what is wrong with this device, with a remedy for each fault
  maintenance  draw the maintenance windows, and say what waits for them
  door         lock or unlock the door through it, or say how the door is

Options:
`

const usageExits = "\nExit status: 0 after an ordered stop, 1 after a failure, 2 for a wrong command line\nor, with --check-config, a wrong configuration.\n"

// defaultConfig is the configuration of the installed service.
const defaultConfig = "/etc/latchd/latchd.toml"

// program is one run of latchd: what it reads, writes and touches.
type program struct {
	stdin          *os.File
	stdout, stderr io.Writer
	system         system
}

// run is the program; main only adds the process around it.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return program{stdin: os.Stdin, stdout: stdout, stderr: stderr, system: thisSystem()}.run(ctx, args)
}

func (p program) run(ctx context.Context, args []string) int {
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		return p.serve(ctx, args)
	}
	switch verb, rest := args[0], args[1:]; verb {
	case "configure":
		return p.configure(ctx, rest)
	case "status":
		return p.status(ctx, rest)
	case "check":
		return p.check(ctx, rest)
	case "maintenance":
		return p.maintenance(ctx, rest)
	case "door":
		return p.door(ctx, rest)
	case "relock": // for latchd-relock.service alone, so no help tells of it
		return p.relock(rest)
	default:
		return p.misused("latchd", fmt.Sprintf("%q is not a command of latchd", verb))
	}
}

// serve is the service, and what concerns its configuration.
func (p program) serve(ctx context.Context, args []string) int {
	flags := newFlags("latchd")
	configFile := flags.String("config", defaultConfig, "configuration `FILE`")
	simulate := flags.Bool("simulate", false, "drive a simulated door on a simulated machine")
	check := flags.Bool("check-config", false, "check the configuration and exit")
	showVersion := flags.Bool("version", false, "print the version and exit")
	rest, exit, done := p.parse(flags, args, usage, usageExits)
	switch {
	case done:
		return exit
	case len(rest) > 0:
		return p.misused("latchd", fmt.Sprintf("%q is not an option; a command comes first", rest[0]))
	case *showVersion:
		fmt.Fprintln(p.stdout, "latchd", version.String())
		return exitOK
	}
	if *check {
		if _, err := loadConfig(*configFile); err != nil {
			fmt.Fprintln(p.stderr, "latchd:", withoutKey(err.Error()))
			return exitUsage
		}
		fmt.Fprintln(p.stdout, *configFile, "is in order")
		return exitOK
	}
	if err := serve(ctx, *configFile, *simulate, p.stderr); err != nil {
		return p.failed(err)
	}
	return exitOK
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {} // who asks for help gets it on standard output
	return flags
}

// parse reads options, which may stand before and after the other arguments, and
// gives those. When done is true, exit is the program's status: the help was
// asked for, or is needed.
func (p program) parse(flags *flag.FlagSet, args []string, before, after string) (rest []string, exit int, done bool) {
	help := func(to io.Writer) {
		flags.SetOutput(to)
		fmt.Fprint(to, before)
		flags.PrintDefaults()
		fmt.Fprint(to, after)
	}
	for {
		switch err := flags.Parse(args); {
		case err == flag.ErrHelp:
			help(p.stdout)
			return nil, exitOK, true
		case err != nil:
			fmt.Fprintln(p.stderr, "latchd:", withoutKey(err.Error()))
			help(p.stderr)
			return nil, exitUsage, true
		case flags.NArg() == 0:
			return rest, 0, false
		}
		rest, args = append(rest, flags.Arg(0)), flags.Args()[1:]
	}
}

// misused tells of a wrong command line.
func (p program) misused(name, why string) int {
	fmt.Fprintf(p.stderr, "latchd: %s\nTry: %s --help\n", withoutKey(why), name)
	return exitUsage
}

func (p program) failed(err error) int {
	fmt.Fprintln(p.stderr, "latchd:", withoutKey(err.Error()))
	return exitFailure
}

// withoutKey hides the key of a connection string that stood where something else
// belongs: errors repeat what was given to them.
func withoutKey(text string) string {
	const mark = "sharedaccesskey="
	for from := 0; ; {
		i := strings.Index(strings.ToLower(text[from:]), mark)
		if i < 0 {
			return text
		}
		from += i + len(mark)
		end := from
		for end < len(text) && !strings.ContainsRune("; \"'\n", rune(text[end])) {
			end++
		}
		text = text[:from] + "***" + text[end:]
	}
}
