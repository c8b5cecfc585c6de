package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func noSync(*os.File) error { return nil }

// A power cut in the middle of a write leaves any part of the last line.
func TestATornLastLineIsAsIfItWereNotWritten(t *testing.T) {
	path := journalIn(t)
	c := OpenCommands(path, quiet)
	carryOut(t, c, "c1", day0)
	begun := begin(t, c, command("c2"), day0)
	before := len(read(t, path))
	if err := begun.End(answerOf("c2")); err != nil {
		t.Fatal(err)
	}
	whole := read(t, path)
	for cut := before; cut <= len(whole); cut++ {
		write(t, path, whole[:cut])
		c := OpenCommands(path, quiet)
		c.journal.sync = noSync
		want := "interrupted"
		if cut == len(whole) {
			want = `200 {"Response":"c2"}`
		}
		if got := outcome(c, command("c2")); got != want {
			t.Errorf("cut at %d of %d: %s, want %s", cut, len(whole), got, want)
		}
		if got := outcome(c, command("c1")); got != `200 {"Response":"c1"}` {
			t.Errorf("cut at %d: the one before is %s", cut, got)
		}
		carryOut(t, c, "c3", day0) // and it goes on behind the cut
		if got := outcome(OpenCommands(path, quiet), command("c3")); got != `200 {"Response":"c3"}` {
			t.Errorf("cut at %d: the next one is %s", cut, got)
		}
	}
	if got := asides(t, path); got != "" {
		t.Errorf("a power cut is no damage; set aside: %s", got)
	}
}

func TestDamageInTheMiddleKeepsTheRestAndTheOriginal(t *testing.T) {
	for name, damage := range map[string]string{
		"rubbish":          "\x00\x00\x00\x00",
		"another record":   `{"t":"sing"}`,
		"a second head":    `{"t":"commands","format":1}`,
		"no id":            `{"t":"begin","method":"m"}`,
		"an empty outcome": `{"t":"end","id":"c1"}`,
		"a wrong type":     `{"t":"begin","id":7}`,
		"a long line":      `{"t":"begin","id":"` + strings.Repeat("x", maxLine) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			path := journalIn(t)
			c := OpenCommands(path, quiet)
			carryOut(t, c, "c1", day0)
			carryOut(t, c, "c2", day0)
			original := bytes.Replace(read(t, path), []byte(`{"t":"begin","id":"c2"`), []byte(damage+"\n"+`{"t":"begin","id":"c2"`), 1)
			write(t, path, original)
			c = OpenCommands(path, quiet)
			for _, id := range []string{"c1", "c2"} {
				if got, want := outcome(c, command(id)), `200 {"Response":"`+id+`"}`; got != want {
					t.Errorf("%s: %s, want %s", id, got, want)
				}
			}
			if got := asides(t, path); got != "damaged" {
				t.Fatalf("set aside: %q", got)
			}
			if !bytes.Equal(read(t, path+".aside-damaged"), original) {
				t.Error("the original was changed")
			}
		})
	}
}

func TestANewerJournalIsSetAside(t *testing.T) {
	path := journalIn(t)
	newer := []byte(`{"t":"commands","format":2}` + "\n" + `{"t":"something"}` + "\n")
	write(t, path, newer)
	c := OpenCommands(path, quiet)
	carryOut(t, c, "c1", day0)
	if !bytes.Equal(read(t, path+".aside-newer-format"), newer) {
		t.Error("the newer journal was changed")
	}
	if got := outcome(OpenCommands(path, quiet), command("c1")); got != `200 {"Response":"c1"}` {
		t.Errorf("the new one holds %s", got)
	}
}

func TestTheJournalIsCompacted(t *testing.T) {
	path := journalIn(t)
	c := OpenCommands(path, quiet)
	c.journal.sync = noSync
	carryOut(t, c, "kept", day0)
	for i := range 400 { // refusals leave nothing
		if err := begin(t, c, command(fmt.Sprint("c", i)), day0).Drop(); err != nil {
			t.Fatal(err)
		}
	}
	if n := lines(read(t, path)); n > 4+256+2 || n != c.journal.lines {
		t.Errorf("the journal has %d lines for one command, and believes in %d", n, c.journal.lines)
	}
	if got := outcome(OpenCommands(path, quiet), command("kept")); got != `200 {"Response":"kept"}` {
		t.Errorf("after compaction: %s", got)
	}
}

// An id may be twice in a journal: refused, with a refusal that missed the
// disk, and then used again.
func TestAnIDThatIsTwiceInTheJournalIsOne(t *testing.T) {
	path := journalIn(t)
	write(t, path, []byte(`{"t":"commands","format":1}
{"t":"begin","id":"c1","method":"unlockDoor","hash":"old"}
{"t":"begin","id":"c1","method":"unlockDoor","hash":"h"}
{"t":"end","id":"c1","answer":{"status":200,"payload":{}}}
`))
	c := OpenCommands(path, quiet)
	if got := outcome(c, command("c1")); got != "200 {}" || c.Len() != 1 {
		t.Errorf("it is %s, and %d are remembered", got, c.Len())
	}
}

func TestADiskThatIsFull(t *testing.T) {
	t.Run("at the record: refused, and nothing of it stays", func(t *testing.T) {
		path := journalIn(t)
		c := OpenCommands(path, quiet)
		carryOut(t, c, "c1", day0)
		before := read(t, path)
		free := fillDisk(t, c)
		if got := outcome(c, command("c2")); got != "unwritable" {
			t.Errorf("got %s", got)
		}
		free()
		if !bytes.Equal(read(t, path), before) {
			t.Error("the journal was changed")
		}
		carryOut(t, c, "c2", day0)
		if got := outcome(OpenCommands(path, quiet), command("c2")); got != `200 {"Response":"c2"}` {
			t.Errorf("after it was freed: %s", got)
		}
	})
	t.Run("at the sync: refused, and nothing of it stays", func(t *testing.T) {
		path := journalIn(t)
		c := OpenCommands(path, quiet)
		before := read(t, path)
		c.journal.sync = func(*os.File) error { return errDisk }
		if got := outcome(c, command("c1")); got != "unwritable" {
			t.Errorf("got %s", got)
		}
		if !bytes.Equal(read(t, path), before) {
			t.Error("what was not synced is still in the journal")
		}
		c.journal.sync = (*os.File).Sync
		carryOut(t, c, "c1", day0)
	})
	t.Run("at the outcome: this run knows it, the next one too once the disk is free", func(t *testing.T) {
		path := journalIn(t)
		c := OpenCommands(path, quiet)
		s := begin(t, c, command("c1"), day0)
		free := fillDisk(t, c)
		if err := s.End(answerOf("c1")); err == nil {
			t.Error("no error")
		}
		if got := outcome(c, command("c1")); got != `200 {"Response":"c1"}` {
			t.Errorf("in this run: %s", got)
		}
		free()
		if got := outcome(OpenCommands(path, quiet), command("c1")); got != "interrupted" {
			t.Errorf("while only this run knows: %s", got)
		}
		carryOut(t, c, "c2", day0)
		if got := outcome(OpenCommands(path, quiet), command("c1")); got != `200 {"Response":"c1"}` {
			t.Errorf("after it was freed: %s", got)
		}
	})
	t.Run("at the refusal: the id is free in this run, and in the next one", func(t *testing.T) {
		path := journalIn(t)
		c := OpenCommands(path, quiet)
		s := begin(t, c, command("c1"), day0)
		free := fillDisk(t, c)
		if err := s.Drop(); err == nil {
			t.Error("no error")
		}
		free()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if got := outcome(OpenCommands(path, quiet), command("c1")); got != "new" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("at the start: the memory works, and records once the disk is free", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), strings.Repeat("n", 250)) // no room in a name for a temporary file
		c := OpenCommands(path, quiet)
		if got := outcome(c, command("c1")); got != "unwritable" {
			t.Errorf("got %s", got)
		}
		c.journal.path = journalIn(t)
		carryOut(t, c, "c1", day0)
		if got := outcome(OpenCommands(c.journal.path, quiet), command("c1")); got != `200 {"Response":"c1"}` {
			t.Errorf("after it was freed: %s", got)
		}
	})
	t.Run("at a compaction: the old journal goes on, and is not rewritten for each command", func(t *testing.T) {
		c := OpenCommands(journalIn(t), quiet)
		c.journal.sync = noSync
		path := c.journal.path
		for i := range 300 {
			if i == 100 { // 100 refusals are 200 lines
				long := filepath.Join(filepath.Dir(path), strings.Repeat("n", 250))
				if err := os.Link(path, long); err != nil {
					t.Fatal(err)
				}
				c.journal.path = long
			}
			if got := outcome(c, command(fmt.Sprint("c", i))); got != "new" {
				t.Fatalf("%d: %s", i, got)
			}
		}
		if c.journal.tried == 0 {
			t.Fatal("no compaction was tried")
		}
		carryOut(t, c, "last", day0)
		if got := outcome(OpenCommands(path, quiet), command("last")); got != `200 {"Response":"last"}` {
			t.Errorf("got %s", got)
		}
	})
}

// A rewrite may fail after its file is in place. What is appended to the old
// one then has no name, and is lost with the process.
func TestAJournalThatWasReplacedIsNotAppendedTo(t *testing.T) {
	path := journalIn(t)
	c := OpenCommands(path, quiet)
	carryOut(t, c, "c1", day0)
	other := path + ".other"
	write(t, other, read(t, path))
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	c.journal.path = filepath.Join(filepath.Dir(path), strings.Repeat("n", 250)) // the next rewrite fails
	if err := os.Link(path, c.journal.path); err != nil {
		t.Fatal(err)
	}
	if err := c.journal.rewrite(c.records()); err == nil {
		t.Fatal("the rewrite did not fail")
	}
	if got := outcome(c, command("c2")); got != "unwritable" {
		t.Errorf("a command went to a file without a name: %s", got)
	}
	c.journal.path = path
	carryOut(t, c, "c2", day0)
	if got := outcome(OpenCommands(path, quiet), command("c2")); got != `200 {"Response":"c2"}` {
		t.Errorf("got %s", got)
	}
}

func FuzzParseJournal(f *testing.F) {
	f.Add([]byte(""))
	f.Add([]byte(`{"t":"commands","format":1}` + "\n" + `{"t":"begin","id":"c1","method":"m","hash":"h","at":"2026-11-22T02:30:00Z"}` + "\n" +
		`{"t":"end","id":"c1","answer":{"status":200,"payload":{"Response":"ok"}}}` + "\n" + `{"t":"drop","id":"c1"}` + "\n"))
	f.Add([]byte(`{"t":"commands","format":2}` + "\n"))
	f.Add([]byte(`{"t":"begin","id":"c1"`))
	f.Add([]byte(`{"t":"end","id":"c1","answer":{"status":200,"payload":null}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		records, verdict := parseJournal(text)
		if verdict == journalNewer && records != nil {
			t.Error("records of a format that is not known")
		}
		c := &Commands{byID: map[string]*entry{}}
		for _, r := range records {
			c.replay(r)
		}
		if len(c.byID) != len(c.order) {
			t.Errorf("%d ids, %d in order", len(c.byID), len(c.order))
		}
		// What is kept is written again as something that reads the same.
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		_ = enc.Encode(record{Type: recordHead, Format: journalFormat})
		for _, r := range c.records() {
			if err := enc.Encode(r); err != nil {
				t.Fatalf("cannot be written: %v", err)
			}
		}
		again, verdict := parseJournal(b.Bytes())
		if verdict != journalWhole || len(again) != len(c.records()) {
			t.Errorf("written again it is %d with %d of %d records:\n%s", verdict, len(again), len(c.records()), b.Bytes())
		}
	})
}
