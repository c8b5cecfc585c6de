package outbox

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"testing"
)

// FuzzParse: whatever is in the file, the queue keeps its rules, and what is
// written of it reads the same.
func FuzzParse(f *testing.F) {
	var text []byte
	for _, r := range []record{
		{Type: recordHead, Format: format, Next: 3, Done: 2, Once: "reboot boot-1"},
		{Type: recordEvent, Seq: 3, Event: &Event{Name: "doorUnlocked", CommandID: "visit", Boot: "boot-1", Uptime: 5, More: []byte(`{"cause":"command"}`)}},
		{Type: recordMark, Seq: 4, Event: &Event{Boot: "boot-1"}, Lost: &Lost{1, 2, 2}},
		{Type: recordDone, Done: 3},
		{Type: recordLost, Done: 4, Lost: &Lost{4, 9, 6}},
		{Type: recordEvent, Seq: 10, Event: &Event{Name: "doorLocked", Once: "x"}},
	} {
		var err error
		if text, err = appendRecord(text, r); err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Add(text[:len(text)-7])
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		parseKeepsItsRules(t, text)
		parseKeepsItsRules(t, seal(text)) // a fuzzer does not find checksums
	})
}

// seal gives each line the right checksum.
func seal(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		line, isWhole := bytes.CutSuffix(line, []byte("\n"))
		body := line[min(len(line), sumLength):]
		var sum [4]byte
		putSum(&sum, body)
		out = append(append(hex.AppendEncode(out, sum[:]), ' '), body...)
		if isWhole {
			out = append(out, '\n')
		}
	}
	return out
}

func parseKeepsItsRules(t *testing.T, text []byte) {
	t.Helper()
	q, end, c := parse(text)
	if end > len(text) || (c == whole) && end != len(text) {
		t.Fatalf("end %d of %d, condition %d", end, len(text), c)
	}
	check(t, q)
	again, err := q.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, _, c := parse(again)
	if c != whole {
		t.Fatalf("what was written is in condition %d:\n%s", c, again)
	}
	check(t, back)
	if list(back.waiting) != list(q.waiting) || back.next != q.next || back.done != q.done || !reflect.DeepEqual(back.lost, q.lost) {
		t.Fatalf("%+v\nreads\n%+v", q, back)
	}
}

func check(t *testing.T, q queue) {
	t.Helper()
	last := q.done
	for _, e := range q.waiting {
		if e.Seq <= last {
			t.Fatalf("%d waits behind %d", e.Seq, last)
		}
		last = e.Seq
	}
	if q.next <= last || q.next == 0 {
		t.Fatalf("the next number is %d, %d is in use", q.next, last)
	}
}
