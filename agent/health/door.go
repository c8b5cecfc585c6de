package health

import (
	"context"
	"errors"
	"strings"
)

const (
	noLock    = "this device has no lock"
	notKernel = "the lines are not the kernel's"
)

func checkLock(_ context.Context, f *Facts) finding {
	switch {
	case f.Door == nil:
		return notHere(noLock)
	case f.Door.Status == nil:
		return notHere("only the service knows, and it does not run")
	}
	s := f.Door.Status()
	switch {
	case s.Fault != "":
		return faultLock.with(s.Fault)
	case s.State == "jammed":
		return faultLockJammed.with()
	case s.Alarm != "":
		return faultLockAlarm.with(s.Alarm)
	}
	return fine("it is %s", s.State)
}

func checkChip(_ context.Context, f *Facts) finding {
	switch {
	case f.Door == nil:
		return notHere(noLock)
	case f.Line == nil:
		return notHere(notKernel)
	}
	chips, err := f.chips()
	if err != nil {
		return faultChip.with(err)
	}
	if line, err := f.Line(f.Door.Line); err == nil {
		return fine("%s is line %d of %s", f.Door.Line, line.Offset, line.Chip)
	}
	return fine("there are %s", strings.Join(chips, ", "))
}

func (f *Facts) chips() ([]string, error) {
	if f.Chips == nil {
		return nil, errors.New("nobody knows")
	}
	chips, err := f.Chips()
	if err == nil && len(chips) == 0 {
		err = errors.New("there is none that this user may see")
	}
	return chips, err
}

func checkLine(_ context.Context, f *Facts) finding {
	switch {
	case f.Door == nil:
		return notHere(noLock)
	case f.Line == nil:
		return notHere(notKernel)
	}
	if _, err := f.chips(); err != nil {
		return notHere("no GPIO chip can be found")
	}
	line, err := f.Line(f.Door.Line)
	switch {
	case err != nil:
		return faultLineMissing.with(f.Door.Line, err)
	case line.Consumer == Consumer:
		return fine("latchd holds %s", f.Door.Line)
	case line.Consumer != "":
		return faultLineTaken.with(f.Door.Line, line.Consumer)
	case f.Service.Asked:
		return faultLineLost.with(f.Door.Line)
	}
	return fine("%s is free for the service", f.Door.Line)
}

func checkInputs(_ context.Context, f *Facts) finding {
	switch {
	case f.Door == nil:
		return notHere(noLock)
	case len(f.Door.Inputs) == 0:
		return notHere("no contact, bolt or button is configured")
	}
	if f.Door.Status != nil {
		// The lock says it as "the contact cannot be read: ...", beside its other faults.
		for _, in := range f.Door.Inputs {
			for fault := range strings.SplitSeq(f.Door.Status().Fault, "; ") {
				if why, ok := strings.CutPrefix(fault, "the "+in.Name+" cannot be read: "); ok {
					return faultInput.with(in.Name, why)
				}
			}
		}
	}
	var names []string
	for _, in := range f.Door.Inputs {
		names = append(names, in.Name)
		if f.Line == nil {
			continue
		}
		line, err := f.Line(in.Line)
		switch {
		case err != nil:
			return faultInput.with(in.Name, err)
		case line.Consumer != "" && line.Consumer != Consumer:
			return faultInputTaken.with(in.Line, in.Name, line.Consumer)
		}
	}
	return fine("%s: readable", strings.Join(names, ", "))
}

func checkRelease(_ context.Context, f *Facts) finding {
	switch {
	case f.Door == nil:
		return notHere(noLock)
	case !f.Door.FailSafe:
		return fine("a fail-secure lock stays locked without power: what lets people out is the handle inside")
	case !f.Door.HardwareRelease:
		return faultRelease.with()
	}
	return fine("the installer has confirmed it")
}
