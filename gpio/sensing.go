package gpio

import (
	"context"
	"fmt"
	"time"
)

// inputKind tells the inputs apart.
type inputKind int

const (
	contactInput inputKind = iota
	boltInput
	buttonInput
	inputKinds // their number
)

func (k inputKind) String() string {
	return [...]string{"door contact", "bolt sensor", "request-to-exit button"}[k]
}

// sensing is a debounced reading of an input.
type sensing struct {
	kind inputKind
	reading
}

func (c Config) inputs() [inputKinds]Input {
	return [inputKinds]Input{contactInput: c.Contact, boltInput: c.Bolt, buttonInput: c.Button}
}

// sense takes a debounced reading of an input into the machine.
func (d *driver) sense(s sensing) error {
	d.inputFaults[s.kind] = ""
	if s.fault != "" {
		d.inputFaults[s.kind] = fmt.Sprintf("the %s cannot be read: %s", s.kind, s.fault)
	}
	return d.step(func(now time.Duration) {
		switch {
		case s.kind == contactInput:
			d.m.contact(now, contactOf(s.signal))
		case s.kind == boltInput:
			d.m.bolt(now, s.signal)
		case s.fault == "":
			d.m.button(now, s.signal == Active)
		default: // neither pressed nor released: a wire that comes and goes is not a row of presses
			d.m.tick(now)
		}
	})
}

// contactOf translates what a contact says; a faulty one says nothing.
func contactOf(s Signal) Contact {
	switch s {
	case Active:
		return ContactOpen
	case Inactive:
		return ContactClosed
	default:
		return ContactNone
	}
}

// senseAtStart takes the first readings of the contact and the bolt as they are,
// so that the first status is not a guess, and returns what each input counts as
// having said. A button that was pressed when the process before ended is still
// that press.
func (d *driver) senseAtStart() (accepted [inputKinds]reading) {
	for kind, in := range d.cfg.inputs() {
		switch kind := inputKind(kind); {
		case kind == buttonInput:
			accepted[kind] = reading{signal: Inactive}
			if d.m.StuckAt != 0 {
				accepted[kind].signal = Active
			}
		case in == nil:
			_ = d.sense(sensing{kind: kind}) // absent, whatever was fitted before
		default:
			accepted[kind] = read(in)
			_ = d.sense(sensing{kind: kind, reading: accepted[kind]}) // a line fault shows in the status, and is retried
		}
	}
	return accepted
}

// watchInputs follows every fitted input until ctx ends.
func (l *Lock) watchInputs(ctx context.Context, accepted [inputKinds]reading) {
	for kind, in := range l.d.cfg.inputs() {
		if in == nil {
			continue
		}
		settle := contactDebounce
		if inputKind(kind) == buttonInput {
			settle = buttonDebounce
		}
		l.running.Go(func() {
			watch(ctx, in, settle, accepted[kind], func(r reading) {
				select {
				case l.sensings <- sensing{inputKind(kind), r}:
				case <-ctx.Done():
				}
			})
		})
	}
}
