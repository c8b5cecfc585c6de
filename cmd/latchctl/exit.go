package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"latchd/iothub"
	"latchd/iothub/service"
)

// Exit codes. Scripts rely on them: a number never changes its meaning.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitRefused     = 3
	exitNoAnswer    = 4
	exitDevice      = 5
	exitWaited      = 6
	exitHub         = 7
	exitInterrupted = 130 // what shells give for Ctrl-C
)

var exitCodes = []struct {
	code int
	text string
}{
	{exitOK, "done"},
	{exitUnexpected, "something unexpected failed"},
	{exitUsage, "wrong usage or bad input; nothing was sent"},
	{exitRefused, "the hub refused (400, 401, 403, 404, 409, 412, 413, 429), or --where of maintenance matches no device"},
	{exitNoAnswer, "the device is not online, or did not answer in time"},
	{exitDevice, "the device answered with a status of 400 or more, or a reboot or a job failed or was cancelled"},
	{exitWaited, "what was waited for did not happen in time; it may still happen"},
	{exitHub, "the hub cannot be reached, its certificate is not trusted, or it is in trouble (500 and more)"},
	{exitInterrupted, "interrupted"},
}

func exitCodesTopic() *cobra.Command {
	var b strings.Builder
	b.WriteString("Exit codes of latchctl:\n\n")
	for _, e := range exitCodes {
		fmt.Fprintf(&b, "  %3d  %s\n", e.code, e.text)
	}
	return &cobra.Command{Use: "exit-codes", Short: "what the exit codes mean", Long: strings.TrimSuffix(b.String(), "\n")}
}

// deviceError says that the device, or a job on devices, did not do it.
type deviceError struct{ text string }

func (e *deviceError) Error() string { return e.text }

func deviceErrorf(format string, args ...any) error {
	return &deviceError{fmt.Sprintf(format, args...)}
}

// waitError says that what was waited for did not come.
type waitError struct{ text string }

func (e *waitError) Error() string { return e.text }

// nobodyError says that a condition selects no device.
type nobodyError struct{ condition string }

func (e *nobodyError) Error() string { return "no device matches --where " + e.condition }

// report prints the error, if there is one, as one line with a hint, and
// gives the exit code.
func (p *program) report(ctx context.Context, err error) int {
	if err == nil {
		return exitOK
	}
	code, hint := classify(ctx, err)
	if own, ok := errors.AsType[*hintError](err); ok {
		hint = own.hint
	}
	line := "latchctl: " + err.Error()
	if hint != "" {
		line += "; hint: " + hint
	}
	fmt.Fprintln(p.stderr, clean(redact(strings.Join(strings.Fields(line), " "))))
	return code
}

// classify gives the exit code of an error and what usually helps.
func classify(ctx context.Context, err error) (code int, hint string) {
	if ctx.Err() != nil {
		return exitInterrupted, ""
	}
	if _, ok := errors.AsType[*usageError](err); ok {
		return exitUsage, ""
	}
	if _, ok := errors.AsType[*deviceError](err); ok {
		return exitDevice, ""
	}
	if _, ok := errors.AsType[*nobodyError](err); ok {
		return exitRefused, "on Azure IoT Hub a query trails changes by seconds; see with `latchctl query` which devices there are"
	}
	if _, ok := errors.AsType[*waitError](err); ok {
		return exitWaited, ""
	}
	if refused, ok := errors.AsType[*iothub.Error](err); ok {
		return classifyRefusal(refused)
	}
	if unreachable, ok := errors.AsType[*service.UnreachableError](err); ok {
		if unreachable.Untrusted() {
			return exitHub, "is HostName the name in the hub's certificate? a local hub's own authority is given with --ca FILE or LATCHCTL_CA"
		}
		return exitHub, ""
	}
	return exitUnexpected, ""
}

// hubHints are by code, or by HTTP status where the code is another one.
var hubHints = map[int]string{
	int(iothub.DeviceNotOnline):     "is the device on and connected? --connect-timeout waits for it to come back",
	int(iothub.GatewayTimeout):      "the device got the call and may have acted",
	int(iothub.DeviceUnavailable):   "the device went away during the call and may have acted",
	int(iothub.DeviceAlreadyExists): "see it with `latchctl device show`",
	int(iothub.JobAlreadyExists):    "a job's id stays taken as long as the hub remembers it (Azure IoT Hub: 30 days); choose another",
	int(iothub.ThrottlingMaxActiveJobCountExceeded): "the smallest Azure hubs run one job at a time: " +
		"`latchctl job list --status running`",
	http.StatusUnauthorized: "are HostName, SharedAccessKeyName and key those of this hub, may the policy do this, " +
		"and is this machine's clock right?",
	http.StatusPreconditionFailed: "somebody changed it since that etag: look again",
	http.StatusTooManyRequests:    "the hub throttles: try again in a minute",
}

func classifyRefusal(e *iothub.Error) (code int, hint string) {
	hint, ok := hubHints[int(e.Code)]
	if !ok {
		hint = hubHints[e.Status()]
	}
	switch {
	// 504 is the device's silence also where the hub names no code.
	case e.Code == iothub.DeviceNotOnline, e.Code == iothub.DeviceUnavailable, e.Status() == http.StatusGatewayTimeout:
		return exitNoAnswer, hint
	case e.Status() >= http.StatusInternalServerError:
		return exitHub, hint
	}
	return exitRefused, hint
}

var secrets = regexp.MustCompile(`(?i)(SharedAccessKey=|sig=|SharedAccessSignature[= ])[^;&"'\s]+`)

// redact hides what looks like a key or a signature. Nothing prints one by
// intention; an operator who pastes a connection string in the wrong place
// makes it part of an error message.
func redact(text string) string { return secrets.ReplaceAllString(text, "${1}(hidden)") }
