package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"latchd/iothub"
	"latchd/iothub/rest"
	"latchd/iothub/service"
)

// twinOf makes a twin whose reported properties are the given JSON.
func twinOf(t *testing.T, connection, reported string) rest.Twin {
	t.Helper()
	doc, err := iothub.DecodeObject([]byte(reported))
	if err != nil {
		t.Fatal(err)
	}
	return rest.Twin{ConnectionState: connection, Properties: rest.Properties{Reported: doc}}
}

// A whole reboot as the twin shows it, with a hub that goes away in between.
func TestWaitForReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		other := `"lastReboot":{"operationId":"op-0","commandId":"c0","state":"completed"}`
		mine := `"lastReboot":{"operationId":"op-1","commandId":"c1","state":%q}`
		read := func(context.Context, string) (rest.Twin, error) {
			switch age := time.Since(began); {
			case age < 5*time.Second: // the window is not open yet
				return twinOf(t, "Connected", `{`+other+`,"pendingOperations":{"op-1":{"state":"scheduled","notBefore":"2000-01-01T00:00:05.000Z","blockedBy":"window"}}}`), nil
			case age < 8*time.Second:
				return twinOf(t, "Connected", fmt.Sprintf(`{`+mine+`}`, "started")), nil
			case age < 20*time.Second:
				return twinOf(t, "Disconnected", fmt.Sprintf(`{`+mine+`}`, "started")), nil
			case age < 25*time.Second:
				return rest.Twin{}, &service.UnreachableError{Host: "hub", Err: errors.New("connection refused")}
			}
			return twinOf(t, "Connected", fmt.Sprintf(`{`+mine+`}`, "completed")), nil
		}
		var states []string
		w := rebootWait{device: "d1", operation: "op-1", commandID: "c1", read: read, show: func(state, _ string) { states = append(states, state) }}
		twin, err := w.run(t.Context(), map[string]any{"state": "scheduled", "notBefore": "2000-01-01T00:00:05.000Z"}, 5*time.Minute)
		if err != nil || textOf(w.receipt(twin), "state") != "completed" {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 28*time.Second {
			t.Errorf("noticed after %s", took)
		}
		want := []string{
			"d1: scheduled, not before 2000-01-01T00:00:05.000Z, blocked by window",
			"d1: rebooting", "d1: rebooting, not connected", "d1: completed",
		}
		if got := slices.Compact(states); !slices.Equal(got, want) {
			t.Errorf("states\n got %q\nwant %q", got, want)
		}
	})
}

// How a wait can end in vain.
func TestWaitForRebootInVain(t *testing.T) {
	quiet := twinOf(t, "Connected", `{"lastReboot":{"operationId":"op-0","commandId":"c1","state":"completed"}}`)
	late := twinOf(t, "Connected", `{"pendingOperations":{"op-1":{"state":"scheduled","notBefore":"2000-01-02T00:00:00.000Z"}}}`)
	for _, test := range []struct {
		name string
		read func(context.Context, string) (rest.Twin, error)
		want string
		code int
		took time.Duration
	}{
		{
			"only a receipt of another operation",
			func(context.Context, string) (rest.Twin, error) { return quiet, nil },
			"gave no receipt within 1m0s; last seen: rebooting", exitWaited, time.Minute,
		},
		{
			"a hub that is gone",
			func(context.Context, string) (rest.Twin, error) {
				return rest.Twin{}, &service.UnreachableError{Host: "hub", Err: errors.New("connection refused")}
			},
			"gave no receipt within 1m0s", exitWaited, time.Minute,
		},
		{
			"put off in the meantime",
			func(context.Context, string) (rest.Twin, error) { return late, nil },
			"will not reboot before 2000-01-02T00:00:00.000Z", exitWaited, 2 * time.Second,
		},
		{
			"a device that was deleted",
			func(context.Context, string) (rest.Twin, error) {
				return rest.Twin{}, iothub.Errorf(iothub.DeviceNotFound, "d1")
			},
			"DeviceNotFound", exitRefused, 0,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				w := rebootWait{device: "d1", operation: "op-1", commandID: "c1", read: test.read, show: func(string, string) {}}
				_, err := w.run(t.Context(), nil, time.Minute)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Fatalf("%v, want %q", err, test.want)
				}
				if code, _ := classify(t.Context(), err); code != test.code {
					t.Errorf("exit code %d, want %d", code, test.code)
				}
				if took := time.Since(began); took > test.took {
					t.Errorf("took %s", took)
				}
			})
		})
	}
}

// An operator who presses Ctrl-C is not told that time ran out.
func TestWaitForRebootInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(5*time.Second, cancel)
		w := rebootWait{device: "d1", operation: "op-1", show: func(string, string) {}, read: func(context.Context, string) (rest.Twin, error) {
			return twinOf(t, "Connected", `{}`), nil
		}}
		_, err := w.run(ctx, nil, time.Minute)
		if code, _ := classify(ctx, err); code != exitInterrupted || !errors.Is(err, context.Canceled) {
			t.Errorf("exit code %d: %v", code, err)
		}
	})
}

// A device that tells no operation id, as the public sample, is known by the
// command id.
func TestReceiptByCommandID(t *testing.T) {
	twin := twinOf(t, "Connected", `{"lastReboot":{"commandId":"c1","state":"completed"}}`)
	for _, test := range []struct {
		operation, command string
		want               bool
	}{{"", "c1", true}, {"", "c2", false}, {"op-1", "c1", false}} {
		w := rebootWait{operation: test.operation, commandID: test.command}
		if got := w.receipt(twin) != nil; got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
	odd := twinOf(t, "Connected", `{"lastReboot":"yesterday","pendingOperations":[]}`)
	w := rebootWait{operation: "op-1"}
	if w.receipt(odd) != nil {
		t.Error("a receipt that is text")
	}
	if state, _ := w.state(odd); state != "rebooting" {
		t.Error(state)
	}
}
