// Latchctl is the operator's command line: it registers devices, shows and
// changes twins, calls direct methods (locking, unlocking and rebooting by
// name) and runs jobs and queries, against the local hub or Azure IoT Hub.
//
// The program is a value, [Run]: arguments, streams and environment in, exit
// code out; main only lends it the process's own. Each verb is one file, which
// builds its command and does its work through iothub/service. What is shared
// stands beside them: where the connection string comes from (connection.go),
// what errors become (exit.go), and how things are shown (output.go).
//
// Rules of its voice: results go to stdout and nothing else does, as a table
// for people or, with --output json, as JSON for programs; progress and one
// line for an error go to stderr; the exit code tells what happened (latchctl
// help exit-codes). Keys and tokens are never shown, except by `device
// connection-string`, whose purpose that is. Text that came from a device
// reaches a terminal without its control characters.
//
// It keeps no state and never repeats a command: whether to try again is the
// operator's decision, which the command id of a lost call makes safe.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interruptGrace is what an interrupted command has for its last words: those
// of a wait that tell how to go on.
const interruptGrace = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A read from a terminal or a pipe cannot be interrupted; it must not keep
	// the process.
	release := context.AfterFunc(ctx, func() {
		time.AfterFunc(interruptGrace, func() { os.Exit(exitInterrupted) })
	})
	code := Run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)
	release() // before stop, which ends ctx too
	stop()
	os.Exit(code)
}
