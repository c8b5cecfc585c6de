package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// The maintenance policy is the desired property of this name. The device
// acknowledges it under the same name in its reported properties.
const maintenanceKey = "maintenance"

func (p *program) maintenance() *cobra.Command {
	return group("maintenance", "set when devices may disturb people, and see what they make of it",
		p.maintenanceSet(), p.maintenanceShow(), p.maintenanceClear(), p.maintenancePreview())
}

// answerFlags are those of a verb that changes the policy of one device or of
// many, and waits for what they say to it.
type answerFlags struct {
	where   string
	id      string
	maxTime time.Duration
	noWait  bool
	timeout time.Duration
}

// answerWait is how long a device that is connected may need, by far.
const answerWait = 30 * time.Second

func (f *answerFlags) bind(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.where, "where", "", "which devices, by a job: a condition of the query language, or '*' for all")
	flags.StringVar(&f.id, "id", "", "id of the job (default: a new one)")
	flags.DurationVar(&f.maxTime, "max-time", defaultMaxTime, "how long after its start the job gives up")
	flags.BoolVar(&f.noWait, "no-wait", false, "do not wait for what the devices say to it")
	flags.DurationVar(&f.timeout, "wait-timeout", answerWait, "how long to wait for that")
	cmd.MarkFlagsMutuallyExclusive("no-wait", "wait-timeout")
}

// device gives the device, or "" where it is --where that selects.
func (f *answerFlags) device(cmd *cobra.Command, args []string) (string, error) {
	if f.timeout <= 0 {
		return "", usagef("--wait-timeout is %s; it must be longer than nothing", f.timeout)
	}
	device, err := oneOrMany(args, f.where)
	if err != nil || device == "" {
		return "", err
	}
	for _, name := range []string{"id", "max-time"} {
		if cmd.Flags().Changed(name) {
			return "", usagef("--%s is of a job: it goes with --where", name)
		}
	}
	return device, nil
}

// oneOrMany gives the device of the arguments, or "" where it is --where that
// selects; one of the two there must be.
func oneOrMany(args []string, where string) (string, error) {
	switch {
	case len(args) == 0 && where == "":
		return "", usagef("which device? give DEVICE, or --where CONDITION for many")
	case len(args) == 0:
		return "", nil
	case where != "":
		return "", usagef("DEVICE and --where exclude each other")
	}
	return args[0], checkDevice(args[0])
}

// changeMaintenance gives one device or many a policy, or takes it away (nil).
func (p *program) changeMaintenance(ctx context.Context, device string, policy map[string]any, flags answerFlags) error {
	if device != "" {
		return p.changeOne(ctx, device, policy, flags)
	}
	schedule := scheduleFlags{id: flags.id, where: flags.where, maxTime: flags.maxTime}
	request, err := schedule.request(nil, time.Now())
	if err != nil {
		return err
	}
	request.UpdateTwin = &rest.JobTwin{Properties: desiring(policy, nil)}
	return p.changeMany(ctx, request, flags)
}

// desiring is the patch that makes policy the whole of maintenance; old is what
// the twin holds, as far as that is known.
func desiring(policy, old map[string]any) *rest.PatchProperties {
	desired := map[string]any{maintenanceKey: nil}
	if policy != nil {
		desired[maintenanceKey] = replacing(policy, old)
	}
	return &rest.PatchProperties{Desired: &desired}
}

// changeOne changes one device's policy and shows what it says to that.
func (p *program) changeOne(ctx context.Context, device string, policy map[string]any, flags answerFlags) error {
	hub, err := p.connect()
	if err != nil {
		return err
	}
	defer hub.Close()
	before, err := hub.Twin(ctx, device)
	if err != nil {
		return err
	}
	old, _ := before.Properties.Desired[maintenanceKey].(map[string]any)
	after, err := hub.UpdateTwin(ctx, device, rest.TwinPatch{Properties: desiring(policy, old)}, "")
	if err != nil {
		return err
	}
	if err := isDesired(after, policy); err != nil {
		return p.printUnmet(maintenanceOf(after), err)
	}
	if policy == nil {
		p.tellCleared()
	}
	if flags.noWait {
		return p.printMaintenance(maintenanceOf(after))
	}
	view, err := p.awaitAnswer(ctx, hub, maintenanceOf(after), policy, flags.timeout)
	if err != nil {
		return p.printUnmet(view, withHint(err, "look later with `latchctl maintenance show %s`", device))
	}
	if err := p.printMaintenance(view); err != nil {
		return err
	}
	return view.failure()
}

// printUnmet shows programs how things stand where what was waited for did not
// happen. People are told by the error.
func (p *program) printUnmet(view maintenanceView, unmet error) error {
	if _, ok := errors.AsType[*waitError](unmet); ok && p.wantsJSON() {
		if err := p.printJSON(view); err != nil {
			return err
		}
	}
	return unmet
}

// tellCleared says what it means that a policy is gone.
func (p *program) tellCleared() {
	fmt.Fprintln(p.stderr, "without a policy a device is always open; what waits already keeps its time")
}

// isDesired checks that the twin holds the policy and nothing besides: no key
// of an older one, which a merge would leave in force.
func isDesired(twin rest.Twin, policy map[string]any) error {
	got, has := twin.Properties.Desired[maintenanceKey]
	if policy == nil && !has || policy != nil && iothub.Equal(got, policy) {
		return nil
	}
	text := "holds another policy than was sent"
	switch {
	case policy == nil:
		text = "holds a policy again"
	case !has:
		text = "holds no policy any more"
	}
	return withHint(&waitError{fmt.Sprintf("the twin of %s %s: somebody changed it at the same time", twin.DeviceID, text)},
		"look with `latchctl maintenance show %s`, then set it again", twin.DeviceID)
}

// awaitAnswer waits until the device has answered the version of a view, which
// desires this policy. An answer to what somebody else put there meanwhile is none.
func (p *program) awaitAnswer(ctx context.Context, hub *service.Client, view maintenanceView, policy map[string]any, limit time.Duration) (maintenanceView, error) {
	var (
		shown   = p.progress()
		began   = time.Now()
		version = view.DesiredVersion
		device  = view.DeviceID
	)
	waiting, stop := context.WithTimeout(ctx, limit)
	defer stop()
	err := service.Poll(waiting, func(ctx context.Context) (bool, error) {
		twin, err := hub.Twin(ctx, device)
		if err != nil {
			return false, err
		}
		view = maintenanceOf(twin)
		if err := isDesired(twin, policy); err != nil {
			return false, err
		}
		if view.Answer == unanswered { // the answer itself is the result
			shown.show(view.headline(), fmt.Sprintf(", %d s", int(time.Since(began).Seconds())))
		}
		return view.Answer != unanswered, nil
	})
	shown.end()
	if err != nil && ctx.Err() == nil && waiting.Err() != nil {
		text := fmt.Sprintf("%s has not answered version %d within %s", device, version, limit)
		switch absence(view.DeviceStatus, view.ConnectionState) {
		case "disabled":
			text += ": it is disabled, and cannot answer until the hub lets it connect"
		case "not connected":
			text += ": it is not connected, and will answer when it is"
		}
		err = &waitError{text}
	}
	return view, err
}
