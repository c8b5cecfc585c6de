package outbox

import (
	"encoding/json"
	"time"
)

// Event is something that happened. Its JSON is what is kept on disk.
type Event struct {
	Name      string          `json:"name"`
	CommandID string          `json:"commandId,omitempty"`
	Time      time.Time       `json:"time,omitzero"`   // by a trusted wall clock; zero: not known
	Boot      string          `json:"boot,omitempty"`  // the id of the boot in which it happened
	Uptime    time.Duration   `json:"uptime,omitzero"` // by the boot-time clock of that boot, ns
	More      json.RawMessage `json:"more,omitempty"`  // whatever else its receiver is told: a JSON object

	// Once names an event that is to be told once, although several starts of the
	// program may add it. It is compared with the last such name only.
	Once string `json:"once,omitempty"`
}

// Entry is an event with its number, or a mark in the place of lost ones.
type Entry struct {
	Seq uint64 // from 1
	Event
	Lost *Lost // not nil: this is a mark, and Event has the time when it was made
	size int   // of its record
}

// Lost says that events were lost: of the numbers From to To, what did not
// arrive will not arrive. Some of them may have arrived before.
type Lost struct {
	From  uint64 `json:"from"`
	To    uint64 `json:"to"`
	Count uint64 `json:"count,omitempty"` // how many were lost for certain; 0: that is not known
}

func (l *Lost) isNothing() bool { return l.To == 0 }

// add widens the loss to the numbers from to to.
func (l *Lost) add(from, to, count uint64) {
	if l.isNothing() {
		*l = Lost{from, to, count}
		return
	}
	l.From, l.To, l.Count = min(l.From, from), max(l.To, to), l.Count+count
}
