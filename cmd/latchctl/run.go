package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"latchd/internal/version"
	"latchd/iothub"
)

// Run is latchctl: it does what args say and gives the exit code. env looks
// up an environment variable ("" if unset). When ctx ends, it stops waiting
// and gives exitInterrupted.
func Run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer, env func(string) string) int {
	p := &program{stdin: stdin, stdout: &checkedWriter{to: stdout}, stderr: stderr, env: env}
	root := p.root()
	root.SetArgs(append([]string{}, args...)) // nil would make cobra read the process's own
	root.SetIn(stdin)
	root.SetOut(p.stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err != nil && !p.ran {
		err = &usageError{err} // all that fails before a verb begins is about its arguments
	}
	if err == nil {
		err = p.stdout.failure()
	}
	return p.report(ctx, err)
}

// program is one run of latchctl: its surroundings and its global flags.
type program struct {
	stdin  io.Reader
	stdout *checkedWriter
	stderr io.Writer
	env    func(string) string

	connection     string // --connection-string
	connectionFile string // --connection-string-file
	caFile         string // --ca
	output         string // --output

	ran bool                    // a verb began
	hub iothub.ConnectionString // once it was found
}

// Values of --output.
const (
	outputTable = "table"
	outputJSON  = "json"
)

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:     "latchctl",
		Short:   "operate doors and devices behind an IoT Hub",
		Version: version.String(),
		Long: "latchctl operates devices behind Azure IoT Hub or the local hub:\n" +
			"it registers them, locks, unlocks and reboots them, changes their twins\n" +
			"and does all that to many at once by jobs.\n\n" +
			"It needs the hub's connection string: see `latchctl help connection`.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetVersionTemplate("latchctl {{.Version}}\n")
	flags := root.PersistentFlags()
	flags.StringVar(&p.connection, "connection-string", "",
		"connection string of the hub (others on this machine can see it in the list of processes; prefer a file)")
	flags.StringVar(&p.connectionFile, "connection-string-file", "", "file that holds the connection string, mode 0600")
	flags.StringVar(&p.caFile, "ca", "", "PEM file of a certificate authority to trust beside the system's (or LATCHCTL_CA)")
	flags.StringVarP(&p.output, "output", "o", outputTable, "how to show results: table or json")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{outputTable, outputJSON}, cobra.ShellCompDirectiveNoFileComp))
	root.SetHelpCommand(helpCommand())
	root.AddCommand(
		p.device(), p.twin(), p.invoke(), p.lock(), p.unlock(), p.reboot(), p.maintenance(), p.job(), p.query(),
		exitCodesTopic(), connectionTopic(),
	)
	return root
}

// helpCommand is cobra's, but for an unknown topic, which is an error here.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "explain a command or a topic",
		RunE: func(cmd *cobra.Command, args []string) error {
			topic, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return fmt.Errorf("there is no help on %q", strings.Join(args, " "))
			}
			topic.InitDefaultHelpFlag()
			return topic.Help()
		},
	}
}

// run makes a verb's function into what cobra calls.
func (p *program) run(verb func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		p.ran = true
		if p.output != outputTable && p.output != outputJSON {
			return usagef("--output is %q; it can be table or json", p.output)
		}
		return verb(cmd.Context(), args)
	}
}

// group makes a command that only holds verbs.
func group(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(verbs...)
	// Without this, cobra takes an unknown verb for a wish to see the help,
	// and a script that has a typo would go on.
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		var names []string
		for _, verb := range verbs {
			names = append(names, verb.Name())
		}
		if len(args) == 0 {
			return fmt.Errorf("%s needs a verb: %s", cmd.CommandPath(), strings.Join(names, ", "))
		}
		return fmt.Errorf("%s has no verb %q, only %s", cmd.CommandPath(), args[0], strings.Join(names, ", "))
	}
	return cmd
}

// arguments checks that all the named arguments are there and no others. A
// name in brackets may be absent.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > len(names) {
			return fmt.Errorf("%s: %q is one argument too many", cmd.CommandPath(), args[len(names)])
		}
		for _, name := range names[len(args):] {
			if !strings.HasPrefix(name, "[") {
				return fmt.Errorf("%s: %s is missing (see --help)", cmd.CommandPath(), name)
			}
		}
		return nil
	}
}

// checkedWriter remembers the first failure of a stream, so that a full disk
// under `latchctl query >file` ends in an error and not in half a file.
type checkedWriter struct {
	to  io.Writer
	err error
}

func (w *checkedWriter) Write(text []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	n, err := w.to.Write(text)
	w.err = err
	return n, err
}

func (w *checkedWriter) failure() error {
	if w.err == nil {
		return nil
	}
	return fmt.Errorf("write the result: %w", w.err)
}

// usageError is a mistake in the arguments, found before anything was sent.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// hintError adds what the operator could do.
type hintError struct {
	err  error
	hint string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

// withHint adds a hint to an error; the hint that is nearest to the cause
// wins.
func withHint(err error, format string, args ...any) error {
	if _, has := errors.AsType[*hintError](err); has || err == nil {
		return err
	}
	return &hintError{err, fmt.Sprintf(format, args...)}
}
