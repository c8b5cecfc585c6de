package agent

import (
	"sync"
	"time"
)

// doorCommands remembers when the last door commands ran, so that what happened
// at the door by a command can name it. They run one at a time, so a time by the
// boot-time clock belongs to one of them at most. The lock tells what happened
// from a goroutine of its own, before or after its command has returned.
type doorCommands struct {
	mu   sync.Mutex
	last []doorCommand // guarded by mu; oldest first
}

type doorCommand struct {
	id       string
	from, to time.Duration // to is zero while it runs
}

// rememberedCommands is more than can run while one change of the lock is on its
// way to the agent.
const rememberedCommands = 32

// begin notes that a command moves the door from now on.
func (d *doorCommands) begin(id string, now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.last) == rememberedCommands {
		d.last = append(d.last[:0], d.last[1:]...)
	}
	d.last = append(d.last, doorCommand{id: id, from: now})
}

// end notes that the newest command has returned.
func (d *doorCommands) end(now time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.last); n > 0 {
		d.last[n-1].to = now
	}
}

// id is the commandId of the command that an event came from; "" if it came from
// none, or from one without.
func (d *doorCommands) id(e DoorEvent) string {
	const command = "command"
	if e.Cause != command {
		return ""
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := len(d.last) - 1; i >= 0; i-- {
		c := d.last[i]
		if e.At >= c.from && (c.to == 0 || e.At <= c.to) {
			return c.id
		}
	}
	return ""
}
