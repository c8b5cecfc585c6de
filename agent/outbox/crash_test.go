package outbox

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// device is what outlives power cuts: a disk, and what the hub was given. Nothing
// in it waits, so it needs no goroutine and no time.
type device struct {
	*testing.T
	dir     string
	durable map[string][]byte
	given   map[uint64]string // number → event, by all lives
	names   int
}

func newDevice(t *testing.T) *device {
	return &device{T: t, dir: t.TempDir(), durable: map[string][]byte{}, given: map[uint64]string{}}
}

// live starts the program on what the disk holds.
func (d *device) live() *Outbox {
	o := New(Config{
		Dir: d.dir, Boot: "boot", MaxEvents: 12, Log: slog.New(slog.DiscardHandler),
		Uptime: func() time.Duration { return 0 }, Now: func() (time.Time, bool) { return time.Time{}, false },
	})
	o.journal.sync = func(*os.File) error { d.persist(); return nil }
	o.journal.replace = func(path string, data []byte, perm os.FileMode) error {
		if err := os.WriteFile(path, data, perm); err != nil { // in one step, as atomicfile proves of itself
			return err
		}
		d.durable[path] = data
		return nil
	}
	return o
}

func (d *device) persist() {
	path := filepath.Join(d.dir, JournalFile)
	text, err := os.ReadFile(path)
	if err != nil {
		d.Fatal(err)
	}
	d.durable[path] = text
}

// happen adds n events and writes them.
func (d *device) happen(o *Outbox, n int) {
	d.Helper()
	for range n {
		d.names++
		o.Add(Event{Name: fmt.Sprintf("e%d", d.names)})
	}
	if _, err := o.commit(); err != nil {
		d.Error(err)
	}
}

// give lets the hub have what may be delivered, and fails if a number was another
// event's before, or is not durable.
func (d *device) give(o *Outbox, acknowledge bool) {
	d.Helper()
	q, _, _ := parse(d.durable[filepath.Join(d.dir, JournalFile)])
	for _, e := range o.batch() {
		name := fmt.Sprintf("%s %v", e.Name, e.Lost)
		if e.Lost != nil {
			name = fmt.Sprintf("lost %v", *e.Lost)
		}
		if was, ok := d.given[e.Seq]; ok && was != name {
			d.Fatalf("the number %d was given to %q and then to %q", e.Seq, was, name)
		}
		d.given[e.Seq] = name
		if e.Seq >= q.next {
			d.Fatalf("the number %d was sent and a power cut would give it away again", e.Seq)
		}
		if acknowledge {
			o.acknowledge(e.Seq)
		}
	}
}

// TestPowerCutAtEachByte cuts the journal at every byte that was not synced, and
// goes on from there.
func TestPowerCutAtEachByte(t *testing.T) {
	d := newDevice(t)
	o := d.live()
	d.happen(o, 3)
	d.give(o, true)
	d.happen(o, 2)
	path := filepath.Join(d.dir, JournalFile)
	synced := d.durable[path]
	reserved := d.durable[filepath.Join(d.dir, ReservationFile)]
	d.happen(o, 4) // on its way to the disk when the power goes
	later := bytes.Clone(d.durable[path])
	if !bytes.HasPrefix(later, synced) {
		t.Fatal("the journal was not appended to")
	}
	for cut := len(synced); cut <= len(later); cut++ {
		next := newDevice(t)
		next.names = 100
		next.given = map[uint64]string{1: "e1 <nil>", 2: "e2 <nil>", 3: "e3 <nil>", 4: "e4 <nil>", 5: "e5 <nil>"}
		for name, text := range map[string][]byte{JournalFile: later[:cut], ReservationFile: reserved} {
			if err := os.WriteFile(filepath.Join(next.dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := next.live()
		next.happen(o, 1)
		batch := o.batch()
		if len(batch) < 3 || batch[0].Seq != 4 || batch[1].Seq != 5 {
			t.Fatalf("cut at %d: %s waits", cut, list(batch))
		}
		for i, e := range batch {
			if e.Lost != nil || e.Seq != uint64(4+i) {
				t.Fatalf("cut at %d: %s waits", cut, list(batch))
			}
		}
		next.give(o, true)
	}
}

// TestPowerCutsAtRandom lives many lives: events, deliveries with and without
// acknowledgement, then a power cut that leaves what was synced and any part of
// what was not, sometimes with blocks in it that never reached the disk.
func TestPowerCutsAtRandom(t *testing.T) {
	for seed := range uint64(8) {
		random := rand.New(rand.NewPCG(seed, 0))
		d := newDevice(t)
		for range 15 {
			o := d.live()
			for range random.IntN(6) {
				d.happen(o, random.IntN(7))
				for range random.IntN(3) {
					d.give(o, random.IntN(3) > 0)
				}
				if random.IntN(8) == 0 {
					o.Missed(random.IntN(4))
				}
			}
			path := filepath.Join(d.dir, JournalFile)
			now, _ := os.ReadFile(path)
			durable := d.durable[path]
			if len(now) > len(durable) {
				synced := len(durable)
				durable = now[:synced+random.IntN(len(now)-synced+1)]
				if rest := durable[synced:]; len(rest) > 0 && random.IntN(3) == 0 {
					hole := rest[random.IntN(len(rest)):]
					clear(hole[:random.IntN(len(hole)+1)])
				}
			}
			if durable != nil {
				if err := os.WriteFile(path, durable, 0o600); err != nil {
					t.Fatal(err)
				}
				d.durable[path] = durable
			}
			o.journal.close()
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestDamageAtEachByte damages each byte of a journal of which all was delivered.
// No number may come again with another event.
func TestDamageAtEachByte(t *testing.T) {
	d := newDevice(t)
	o := d.live()
	d.happen(o, 3)
	d.give(o, false)
	path := filepath.Join(d.dir, JournalFile)
	good, reserved := d.durable[path], d.durable[filepath.Join(d.dir, ReservationFile)]
	for i := range good {
		next := newDevice(t)
		next.names = 100
		next.given = map[uint64]string{1: "e1 <nil>", 2: "e2 <nil>", 3: "e3 <nil>"}
		text := bytes.Clone(good)
		text[i] ^= 0x15
		for name, text := range map[string][]byte{JournalFile: text, ReservationFile: reserved} {
			if err := os.WriteFile(filepath.Join(next.dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		o := next.live()
		next.happen(o, 1)
		if i == len(good)-1 {
			continue // the end of the last line: a write that was cut short looks the same
		}
		next.give(o, true)
		batch := fmt.Sprint(next.given)
		if !bytes.Contains([]byte(batch), []byte("lost {1 ")) {
			t.Fatalf("byte %d: nothing tells of the loss: %s", i, batch)
		}
	}
}

func TestLostFiles(t *testing.T) {
	for _, row := range []struct {
		name   string
		damage func(dir string) error
		first  uint64 // the next event's number; 0: any above those that were used
	}{
		{"no journal", func(dir string) error { return os.Remove(filepath.Join(dir, JournalFile)) }, 0},
		{"empty journal", func(dir string) error { return os.WriteFile(filepath.Join(dir, JournalFile), nil, 0o600) }, 0},
		{"newer journal", func(dir string) error {
			line, err := appendRecord(nil, record{Type: recordHead, Format: format + 1})
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, JournalFile), line, 0o600)
		}, 0},
		{"no reservation", func(dir string) error { return os.Remove(filepath.Join(dir, ReservationFile)) }, 4},
		{"damaged reservation", func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ReservationFile), []byte("x"), 0o600)
		}, 4},
		{"both gone", func(dir string) error {
			return os.RemoveAll(dir)
		}, 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newDevice(t)
			o := d.live()
			d.happen(o, 3)
			d.give(o, true)
			d.happen(o, 0) // note what the hub has
			o.journal.close()
			if err := row.damage(d.dir); err != nil {
				t.Fatal(err)
			}
			_ = os.MkdirAll(d.dir, 0o700)
			o = d.live()
			d.happen(o, 1)
			if row.first == 0 {
				d.give(o, true)
				return
			}
			if got := o.batch(); len(got) != 1 || got[0].Seq != row.first {
				t.Errorf("%s waits", list(got))
			}
		})
	}
}
