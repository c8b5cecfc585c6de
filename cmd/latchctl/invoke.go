package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

func (p *program) invoke() *cobra.Command {
	var wait timeouts
	cmd := &cobra.Command{
		Use:   "invoke DEVICE METHOD [PAYLOAD]",
		Short: "call any direct method",
		Long: "Invoke calls a direct method once and prints the device's status and payload.\n" +
			"PAYLOAD is any JSON value, @FILE, or - for stdin; without it none is sent.\n" +
			"A status of 400 or more ends with exit code 5.",
		Example: `  latchctl invoke front-door getStatus
  latchctl invoke front-door lockDoor '{"lockTime":"10m"}'`,
		Args: arguments("DEVICE", "METHOD", "[PAYLOAD]"),
	}
	wait.bind(cmd.Flags())
	cmd.RunE = p.run(func(ctx context.Context, args []string) error {
		call := methodCall{device: args[0], method: args[1]}
		if len(args) == 3 {
			payload, err := p.jsonText("PAYLOAD", args[2])
			if err != nil {
				return err
			}
			call.payload = payload
		}
		result, err := p.call(ctx, call, wait)
		if err != nil {
			return err
		}
		if err := p.printAnswer(call, result); err != nil {
			return err
		}
		return refusal(call, result)
	})
	return cmd
}

// methodCall is a direct method on one device.
type methodCall struct {
	device, method string
	payload        json.RawMessage // empty for none
	commandID      string          // what the payload says, "" if it says nothing
}

// call sends the method, once.
func (p *program) call(ctx context.Context, c methodCall, wait timeouts) (rest.MethodResult, error) {
	request, err := c.request(wait)
	if err != nil {
		return rest.MethodResult{}, err
	}
	hub, err := p.connect()
	if err != nil {
		return rest.MethodResult{}, err
	}
	defer hub.Close()
	result, err := hub.Invoke(ctx, c.device, request)
	if err != nil && c.commandID != "" && mayHaveActed(err) {
		err = withHint(err, "the device may have acted; repeat it with --command-id %s and it acts at most once", c.commandID)
	}
	return result, err
}

// request checks all that can be checked here.
func (c methodCall) request(wait timeouts) (rest.MethodCall, error) {
	if err := checkDevice(c.device); err != nil {
		return rest.MethodCall{}, err
	}
	return checkMethod(rest.MethodCall{MethodName: c.method, Payload: c.payload}, wait)
}

// checkMethod checks a method's name and payload and sets its timeouts.
func checkMethod(call rest.MethodCall, wait timeouts) (rest.MethodCall, error) {
	if err := iothub.CheckMethodName(call.MethodName); err != nil {
		return call, usagef("%w", err)
	}
	if len(call.Payload) > iothub.MaxMethodPayload {
		return call, usagef("the payload has %d bytes; at most %d are allowed", len(call.Payload), iothub.MaxMethodPayload)
	}
	var err error
	call.ConnectTimeoutInSeconds, call.ResponseTimeoutInSeconds, err = wait.seconds()
	return call, err
}

// printAnswer shows what the device answered.
func (p *program) printAnswer(c methodCall, r rest.MethodResult) error {
	if p.wantsJSON() {
		return p.printJSON(answerOf(c, r))
	}
	text, err := json.MarshalIndent(decodeAny(payloadOf(r)), "", "  ")
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "%s answered %s with status %d\n%s\n", c.device, c.method, r.Status, cleanJSON(text))
	return nil
}

// answer is a device's answer as programs see it.
type answer struct {
	DeviceID  string          `json:"deviceId"`
	Method    string          `json:"method"`
	CommandID string          `json:"commandId,omitempty"`
	Status    int             `json:"status"`
	Payload   json.RawMessage `json:"payload"`
}

func answerOf(c methodCall, r rest.MethodResult) answer {
	return answer{c.device, c.method, c.commandID, r.Status, payloadOf(r)}
}

// payloadOf is the payload, null where there is none.
func payloadOf(r rest.MethodResult) json.RawMessage {
	if len(r.Payload) == 0 {
		return json.RawMessage("null")
	}
	return r.Payload
}

// refusal is the error for an answer that says no; nil for any other.
func refusal(c methodCall, r rest.MethodResult) error {
	if r.Status < 400 {
		return nil
	}
	text := fmt.Sprintf("%s answered %s with status %d", c.device, c.method, r.Status)
	if said := responseText(r.Payload); said != "" {
		text += ": " + said
	}
	return &deviceError{text}
}

// responseText is the sentence for people that every answer of latchd has.
func responseText(payload json.RawMessage) string {
	doc, err := iothub.DecodeObject(payload)
	if err != nil {
		return ""
	}
	return textOf(doc, "Response")
}

// timeouts are the flags of a direct method.
type timeouts struct{ connect, response time.Duration }

func (t *timeouts) bind(flags *pflag.FlagSet) {
	flags.DurationVar(&t.connect, "connect-timeout", service.DefaultConnectTimeout*time.Second,
		"how long the hub waits for a device that is away, 0s to 5m")
	flags.DurationVar(&t.response, "response-timeout", service.DefaultResponseTimeout*time.Second,
		"how long the hub waits for the device's answer, 5s to 5m")
}

func (t *timeouts) seconds() (connect, response *int, err error) {
	c, err := wholeSeconds("--connect-timeout", t.connect, 0, service.MaxConnectTimeout*time.Second)
	if err != nil {
		return nil, nil, err
	}
	r, err := wholeSeconds("--response-timeout", t.response,
		service.MinResponseTimeout*time.Second, service.MaxResponseTimeout*time.Second)
	return &c, &r, err
}
