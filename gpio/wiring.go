package gpio

import "fmt"

// Wiring says which lines of the processor the door hangs on. The zero value has
// none: the device has no lock.
type Wiring struct {
	Line  string `json:"line,omitempty"` // of the lock; see ParseLineName
	Drive Drive  `json:"drive,omitempty"`
	Bias  Bias   `json:"bias,omitempty"`

	Contact InputWiring `json:"contact,omitzero"` // active is open
	Bolt    InputWiring `json:"bolt,omitzero"`    // active is thrown
	Button  InputWiring `json:"button,omitzero"`  // active is pressed
}

// InputWiring is one input. Without a line it is not fitted.
type InputWiring struct {
	Line      string `json:"line,omitempty"`
	ActiveLow bool   `json:"activeLow,omitempty"`
	Bias      Bias   `json:"bias,omitempty"`
}

// Drive is how an output makes its two levels.
type Drive string

const (
	PushPull   Drive = "push-pull"   // both levels are driven; what "" counts as
	OpenDrain  Drive = "open-drain"  // low is driven, high is left to a resistor
	OpenSource Drive = "open-source" // high is driven, low is left to a resistor
)

// Bias is the resistor inside the processor.
type Bias string

const (
	BiasAsIs     Bias = "as-is"    // as the boot firmware left it; what "" counts as for the lock
	BiasDisabled Bias = "disabled" // none: there is one outside
	PullUp       Bias = "pull-up"  // what "" counts as for an input
	PullDown     Bias = "pull-down"
)

// complete fills in the defaults. An input is usually a switch to ground, which
// needs a resistor to the supply.
func (w Wiring) complete() Wiring {
	if w.Line == "" {
		return w
	}
	if w.Drive == "" {
		w.Drive = PushPull
	}
	if w.Bias == "" {
		w.Bias = BiasAsIs
	}
	for _, in := range []*InputWiring{&w.Contact, &w.Bolt, &w.Button} {
		if in.Line != "" && in.Bias == "" {
			in.Bias = PullUp
		}
	}
	return w
}

// check tells what is wrong with the wiring, by the name of its part.
func (w Wiring) check() error {
	if err := oneOf("drive", w.Drive, "", PushPull, OpenDrain, OpenSource); err != nil {
		return err
	}
	used := map[LineName]string{}
	for _, part := range []struct {
		name, line string
		bias       Bias
	}{
		{"line", w.Line, w.Bias},
		{"contact", w.Contact.Line, w.Contact.Bias},
		{"bolt", w.Bolt.Line, w.Bolt.Bias},
		{"button", w.Button.Line, w.Button.Bias},
	} {
		if err := oneOf(part.name+".bias", part.bias, "", BiasAsIs, BiasDisabled, PullUp, PullDown); err != nil {
			return err
		}
		if part.line == "" {
			continue
		}
		name, err := ParseLineName(part.line)
		if err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
		if other, taken := used[name]; taken {
			return fmt.Errorf("%s and %s are both %s", other, part.name, name)
		}
		used[name] = part.name
	}
	if w.Line == "" && len(used) > 0 {
		return fmt.Errorf("there are inputs and no line that drives the lock")
	}
	return nil
}

func oneOf[T ~string](name string, value T, choices ...T) error {
	var allowed []string
	for _, c := range choices {
		if value == c {
			return nil
		}
		if c != "" {
			allowed = append(allowed, string(c))
		}
	}
	return &ChoiceError{Name: name, Value: string(value), Choices: allowed}
}
