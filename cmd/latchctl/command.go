package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// A command moves something. It carries an id, so that whoever lost the
// answer can repeat it and the device acts at most once.

// newCommandID makes an id that nobody used before: 26 characters of the
// crypto/rand alphabet hold 128 random bits.
func newCommandID() string { return "ctl-" + strings.ToLower(rand.Text()) }

// checkCommandID tells what is wrong with an id that the operator chose.
func checkCommandID(id string) error {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
	if len(id) < 1 || len(id) > 64 || strings.Trim(id, allowed) != "" {
		return usagef("--command-id is %q; it must be 1 to 64 of A-Z a-z 0-9 . _ -", id)
	}
	return nil
}

// newCommand makes the call of a command; an id in the flags wins over a new
// one.
func newCommand(cmd *cobra.Command, device, method string, payload map[string]any) (methodCall, error) {
	id := newCommandID()
	if flag := cmd.Flags().Lookup("command-id"); flag.Changed {
		id = flag.Value.String()
	}
	if err := checkCommandID(id); err != nil {
		return methodCall{}, err
	}
	payload["commandId"] = id
	text, err := json.Marshal(payload)
	return methodCall{device: device, method: method, payload: text, commandID: id}, err
}

// bindCommandID adds the flag that newCommand reads.
func bindCommandID(flags *pflag.FlagSet) {
	flags.String("command-id", "", "id that makes a repetition safe, 1 to 64 of A-Z a-z 0-9 . _ - (default: a new one)")
}

// command sends a command and shows the answer.
func (p *program) command(ctx context.Context, c methodCall, wait timeouts) error {
	result, err := p.call(ctx, c, wait)
	if err != nil {
		return err
	}
	if err := p.printCommand(c, result); err != nil {
		return err
	}
	return refusal(c, result)
}

// mayHaveActed tells whether the device may have got a call that failed.
func mayHaveActed(err error) bool {
	if refused, ok := errors.AsType[*iothub.Error](err); ok {
		return refused.Status() == http.StatusGatewayTimeout || refused.Code == iothub.DeviceUnavailable ||
			refused.Code != iothub.DeviceNotOnline && refused.Status() >= http.StatusInternalServerError
	}
	if unreachable, ok := errors.AsType[*service.UnreachableError](err); ok {
		return unreachable.MaybeSent
	}
	return true // there was an answer, but none of a hub's
}

// printCommand shows the answer to a command: its sentence, then the rest.
func (p *program) printCommand(c methodCall, r rest.MethodResult) error {
	doc, err := iothub.DecodeObject(r.Payload)
	if p.wantsJSON() || err != nil {
		return p.printAnswer(c, r)
	}
	said := textOf(doc, "Response")
	if said == "" {
		said = fmt.Sprintf("status %d", r.Status)
	}
	fmt.Fprintf(p.stdout, "%s: %s\n", c.device, clean(said))
	delete(doc, "Response")
	doc["commandId"] = c.commandID
	rows := flatten(doc)
	for i := range rows {
		rows[i][0] = "  " + rows[i][0]
	}
	return p.printTable(rows)
}

// durationText checks a duration flag whose text is sent as it was typed. An
// empty text is no duration; zero is sent as the number 0.
func durationText(name, text string, zero bool, least, most time.Duration) (any, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, usagef("%s is %q; it must be a duration like 10m or 1h30m", name, text)
	}
	if zero && d == 0 {
		return 0, nil
	}
	if d < least || d > most {
		return nil, usagef("%s is %s; it must be %s to %s", name, text, least, most)
	}
	return text, nil
}
