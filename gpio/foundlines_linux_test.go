package gpio

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A line that cannot be found, because its chip is not there (yet), is no reason to
// touch what was kept: it may be the very line, and the door hangs on it.
func TestALineThatIsNotThereLeavesWhatWasKept(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "line"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	k := KernelLine{
		Settings: Settings{FailMode: FailSafe, Wiring: Wiring{Line: "no-such-line-anywhere"}},
		Found:    []Kept{{"lock/pinctrl-bcm2835/17/high/safe/push-pull/as-is", f}},
		Forget:   func(name string) error { t.Errorf("%s was given back", name); return nil },
	}
	if _, err := k.Open(High); err == nil || !strings.Contains(err.Error(), "no-such-line-anywhere") {
		t.Errorf("error %v", err)
	}
	if _, err := f.Stat(); err != nil || len(k.Found) != 1 || k.Held().File != nil || len(k.Notes()) != 0 {
		t.Errorf("file %v, found %v, held %v, notes %q", err, k.Found, k.Held(), k.Notes())
	}
}

func TestAClosedInputStaysClosed(t *testing.T) {
	in := NewKernelInput(InputWiring{Line: "no-such-line-anywhere"})
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err := in.Read(); s != Absent || !strings.Contains(err.Error(), os.ErrClosed.Error()) {
		t.Errorf("%v, %v", s, err)
	}
}
