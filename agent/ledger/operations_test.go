package ledger

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() Operations {
	yes, down := true, 31.4
	at := Time{day0}
	return Operations{
		Device: "door-1",
		Boot:   Boot{ID: "boot-2", RebootTime: day0},
		Pending: []Operation{{
			ID: "op-1", Kind: "rebootDevice", CommandID: "c1", Reason: "because", Force: true, Phase: PhaseScheduled,
			BootID: "boot-2", Uptime: time.Minute, Earliest: day0, NotBefore: day0, Deferred: true, Closes: day0, StartUptime: time.Hour, NotAfter: day0, ExpiresAt: day0, EndUptime: time.Hour,
			RequestedAt: day0, BlockedBy: "doorOpen",
		}},
		Receipts: []StoredReceipt{{
			Receipt: Receipt{
				OperationID: "op-0", State: "completed", Cause: "rebootDevice", Orderly: &yes, BootedAt: &at, DownSeconds: &down,
				BootID: "boot-2", PreviousBootID: "boot-1",
			},
			Delivered: true, DownAt: at,
		}},
		Mark:     &Mark{BootID: "boot-2", OperationID: "op-1", At: day0},
		Attempts: []Attempt{{BootID: "boot-1", Uptime: time.Minute, At: day0}, {BootID: "boot-2", Uptime: time.Second}},
	}
}

func TestOperationsAreReadAsTheyWereWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operations.json")
	want := sample()
	if err := SaveOperations(path, want); err != nil {
		t.Fatal(err)
	}
	got, err := LoadOperations(path, quiet)
	want.Format = operationsFormat
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("error %v, want(-) got(+):\n%s", err, diff)
	}
}

func TestAnOperationsFileThatCannotBeUsedIsSetAside(t *testing.T) {
	for name, row := range map[string]struct{ text, aside string }{
		"newer":                    {`{"format":2,"boot":"of another shape","pending":7}`, "newer-format"},
		"empty":                    {``, "damaged"},
		"half":                     {`{"format":1,"boot":{"id":"b`, "damaged"},
		"zeros, as after a crash":  {"\x00\x00\x00", "damaged"},
		"null":                     {`null`, "damaged"},
		"no format":                {`{"boot":{"id":"b"}}`, "damaged"},
		"no boot":                  {`{"format":1}`, "damaged"},
		"a phase nobody knows":     {`{"format":1,"boot":{"id":"b"},"pending":[{"id":"op-1","kind":"rebootDevice","phase":"dancing"}]}`, "damaged"},
		"an operation without id":  {`{"format":1,"boot":{"id":"b"},"pending":[{"kind":"rebootDevice","phase":"asked"}]}`, "damaged"},
		"one operation twice":      {`{"format":1,"boot":{"id":"b"},"pending":[{"id":"x","kind":"k","phase":"asked"},{"id":"x","kind":"k","phase":"asked"}]}`, "damaged"},
		"something behind the end": {`{"format":1,"boot":{"id":"b"}} {}`, "damaged"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "operations.json")
			write(t, path, []byte(row.text))
			got, err := LoadOperations(path, quiet)
			if diff := cmp.Diff(Operations{}, got); err != nil || diff != "" {
				t.Errorf("error %v, got %s", err, diff)
			}
			if got := asides(t, path); got != row.aside {
				t.Fatalf("set aside as %q, want %q", got, row.aside)
			}
			if !bytes.Equal(read(t, path+".aside-"+row.aside), []byte(row.text)) {
				t.Error("its content was changed")
			}
		})
	}
}

func TestAnOperationsFileThatCannotBeReadIsAnError(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "operations.json")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOperations(dir, quiet); err == nil {
		t.Error("no error, so it would be overwritten")
	}
	if _, err := LoadOperations(filepath.Join(t.TempDir(), "missing"), quiet); err != nil {
		t.Errorf("a missing one: %v", err)
	}
}

func TestACloneSharesNothingThatIsWrittenTo(t *testing.T) {
	o := sample()
	c := o.Clone()
	c.Pending[0].Force = false
	c.Receipts[0].Delivered = false
	c.Pending = append(c.Pending[:0], Operation{ID: "other"})
	if diff := cmp.Diff(sample(), o); diff != "" {
		t.Errorf("the original changed:\n%s", diff)
	}
}

func FuzzDecodeOperations(f *testing.F) {
	path := filepath.Join(f.TempDir(), "operations.json")
	if err := SaveOperations(path, sample()); err != nil {
		f.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"boot":{"id":"b"},"mark":null,"receipts":[{}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		o, why := decodeOperations(text)
		if why != "" {
			if diff := cmp.Diff(Operations{}, o); diff != "" {
				t.Errorf("%s, and yet %s", why, diff)
			}
			return
		}
		// What was accepted can be saved, and reads the same.
		out := filepath.Join(t.TempDir(), "operations.json")
		if err := SaveOperations(out, o); err != nil {
			t.Fatalf("cannot be saved: %v", err)
		}
		again, err := LoadOperations(out, quiet)
		if err != nil || len(again.Pending) != len(o.Pending) || again.Boot.ID != o.Boot.ID {
			t.Errorf("saved again it is %+v, error %v", again, err)
		}
	})
}
