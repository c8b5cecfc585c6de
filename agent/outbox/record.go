package outbox

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"hash/crc32"
	"time"
)

// format is the version in the first line of the journal.
const format = 1

// record is one line of the journal: the checksum (CRC-32C, hexadecimal) of the
// JSON that follows it after a space.
type record struct {
	Type   recordType `json:"t"`
	Format int        `json:"format,omitempty"` // of the head
	Next   uint64     `json:"next,omitempty"`   // of the head: the next number; of the reservation: the last that is reserved
	Once   string     `json:"once,omitempty"`   // of the head: the last Event.Once
	Seq    uint64     `json:"seq,omitempty"`    // of an event and a mark
	Done   uint64     `json:"done,omitempty"`   // of the head, done and lost: none up to this number waits any more
	Event  *Event     `json:"event,omitempty"`  // of an event and a mark
	Lost   *Lost      `json:"lost,omitempty"`   // of lost and a mark
	Boot   string     `json:"boot,omitempty"`   // of a boot
	Booted time.Time  `json:"booted,omitzero"`  // of a boot: when it began, by a trusted clock
}

type recordType string

const (
	recordHead  recordType = "events"
	recordEvent recordType = "event"
	recordMark  recordType = "mark" // also ends the loss that it tells of
	recordLost  recordType = "lost" // the loss that no mark tells of yet
	recordDone  recordType = "done"
	recordBoot  recordType = "boot" // dates the events of that boot before it

	recordReserved recordType = "reserved" // the only line of the reservation: Next, and what is below, may be in use
)

// maxSeq bounds numbers: what a receiver that reads JSON numbers as doubles can
// tell apart (RFC 8259, section 6). A device does not come near it.
const maxSeq = 1 << 53

func (r record) valid() bool {
	if r.Seq > maxSeq || r.Done > maxSeq || r.Next > maxSeq {
		return false
	}
	if l := r.Lost; l != nil && (l.From == 0 || l.From > l.To || l.To > maxSeq || l.Count > maxSeq) {
		return false
	}
	switch r.Type {
	case recordEvent:
		return r.Seq > 0 && r.Event != nil && r.Event.Name != ""
	case recordMark:
		return r.Seq > 0 && r.Event != nil && r.Lost != nil
	case recordLost:
		return r.Lost != nil
	case recordDone:
		return r.Done > 0
	case recordBoot:
		return r.Boot != "" && !r.Booted.IsZero()
	case recordHead:
		return r.Format > 0
	case recordReserved:
		return r.Next > 0
	}
	return false
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumLength is that of the checksum and the space.
const sumLength = 9

func appendRecord(to []byte, r record) ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return to, err
	}
	var sum [4]byte
	putSum(&sum, text)
	to = hex.AppendEncode(to, sum[:])
	to = append(to, ' ')
	to = append(to, text...)
	return append(to, '\n'), nil
}

func putSum(to *[4]byte, text []byte) {
	sum := crc32.Checksum(text, castagnoli)
	to[0], to[1], to[2], to[3] = byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum)
}

// parseRecord reads a line without its end.
func parseRecord(line []byte) (r record, ok bool) {
	if len(line) <= sumLength || line[sumLength-1] != ' ' {
		return r, false
	}
	var sum [4]byte
	var want [sumLength - 1]byte
	putSum(&sum, line[sumLength:])
	hex.Encode(want[:], sum[:])
	if !bytes.Equal(line[:sumLength-1], want[:]) {
		return r, false
	}
	if json.Unmarshal(line[sumLength:], &r) != nil || !r.valid() {
		return r, false
	}
	return r, true
}
