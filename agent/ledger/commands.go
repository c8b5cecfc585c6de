package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Limits of the memory for commands.
const (
	// MaxCommands is how many commands are kept.
	MaxCommands = 1024
	// MinAge is how long each is kept at least: the longest time after which
	// an operator's program may still repeat a command in good faith.
	MinAge = 7 * 24 * time.Hour
)

// Refusals of Begin. ErrUnwritable comes with the disk's own error.
var (
	ErrConflict    = errors.New("the id was used for another command")
	ErrFull        = errors.New("the memory for commands is full of younger ones")
	ErrInterrupted = errors.New("the command was interrupted before its outcome was known")
	ErrUnwritable  = errors.New("the command cannot be recorded")
)

// Command is what makes a command itself: the same id must come with the same
// method and payload.
type Command struct {
	ID       string
	Method   string
	Hash     string    // of the payload
	NotAfter time.Time // zero: none; kept at least until then
}

// Answer is what the device answered.
type Answer struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}

// Commands is the memory for commands. Its methods may be called from several
// goroutines.
type Commands struct {
	journal *journal
	log     *slog.Logger
	unknown error // why what was recorded before cannot be known; nil: it is known

	turn   chan struct{} // holds one element while somebody uses what follows: a lock that can be given up
	byID   map[string]*entry
	order  []*entry // oldest first
	behind bool     // the journal lacks an outcome that the memory has
	closed bool
	limit  int
	minAge time.Duration
}

type entry struct {
	Command
	at      time.Time     // when it was recorded, by a trusted clock; zero: not known
	answer  *Answer       // nil: no outcome yet
	pending chan struct{} // closed at its outcome; nil: it is not being carried out
}

// OpenCommands reads the journal at path, or starts one. It always gives a
// memory to work with, because a sick disk must not keep a device from its
// hub: where the journal cannot be read, every Begin is ErrUnwritable, as
// nobody can tell a repeat from a new command; where it cannot be written,
// Begin tries again each time.
func OpenCommands(path string, log *slog.Logger) *Commands {
	c := &Commands{log: log, byID: map[string]*entry{}, limit: MaxCommands, minAge: MinAge, turn: make(chan struct{}, 1)}
	j, records, err := openJournal(path, log)
	c.journal = j
	if err != nil {
		c.unknown = err
		log.Error("commands that carry an id are refused until the next start", "error", err)
		return c
	}
	for _, r := range records {
		c.replay(r)
	}
	c.compact()
	return c
}

func (c *Commands) lock()   { c.turn <- struct{}{} }
func (c *Commands) unlock() { <-c.turn }

func (c *Commands) replay(r record) {
	switch r.Type {
	case recordBegin:
		// The outcome of an earlier one with this id may have missed the disk.
		c.remove(c.byID[r.ID])
		c.add(&entry{Command: Command{r.ID, r.Method, r.Hash, r.NotAfter.Time}, at: r.At.Time})
	case recordEnd:
		if e := c.byID[r.ID]; e != nil {
			e.answer = r.Answer
		}
	case recordDrop:
		c.remove(c.byID[r.ID])
	}
}

// compact rewrites the journal when most of it says nothing any more.
func (c *Commands) compact() {
	if !c.journal.wasteful(len(c.order)) {
		return
	}
	if err := c.journal.rewrite(c.records()); err != nil {
		c.log.Warn("cannot compact the command journal", "error", err)
	}
}

// catchUp brings the journal to what the memory holds, where the disk had
// failed before.
func (c *Commands) catchUp() error {
	if c.closed || c.unknown != nil {
		return fmt.Errorf("%w: %w", ErrUnwritable, cmp.Or(c.unknown, errNoJournal))
	}
	if !c.behind && c.journal.file != nil {
		return nil
	}
	if err := c.journal.rewrite(c.records()); err != nil {
		return fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	c.behind = false
	return nil
}

func (c *Commands) add(e *entry) {
	c.byID[e.ID] = e
	c.order = append(c.order, e)
}

func (c *Commands) remove(e *entry) {
	if e == nil {
		return
	}
	delete(c.byID, e.ID)
	for i, o := range c.order {
		if o == e {
			c.order = append(c.order[:i], c.order[i+1:]...)
			return
		}
	}
}

// Started is a command that the caller may carry out, and must end.
type Started struct {
	c *Commands
	e *entry
}

// Begin records a command before it is carried out. Exactly one of these
// comes back:
//
//   - a *Started: the command is new and on disk; carry it out, then call End
//     or Drop on it;
//   - an *Answer: it was carried out before, this was the answer;
//   - an error: ErrConflict, ErrFull, ErrUnwritable, ErrInterrupted, an
//     *InFlightError, or that of ctx.
//
// ctx bounds only the wait for others that use the journal; a disk that hangs
// holds Begin up for as long as it hangs.
//
// now is the wall clock, trusted says whether to believe it: with a clock that
// is not trusted nothing is old enough to be forgotten.
func (c *Commands) Begin(ctx context.Context, cmd Command, now time.Time, trusted bool) (*Started, *Answer, error) {
	select {
	case c.turn <- struct{}{}:
		defer c.unlock()
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
	if e := c.byID[cmd.ID]; e != nil {
		return c.repeat(e, cmd)
	}
	if err := c.catchUp(); err != nil {
		return nil, nil, err
	}
	if !trusted {
		now = time.Time{}
	}
	if err := c.makeRoom(now); err != nil {
		return nil, nil, err
	}
	e := &entry{Command: cmd, at: now, pending: make(chan struct{})}
	if err := c.journal.append(e.begin()); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUnwritable, err)
	}
	c.add(e)
	return &Started{c, e}, nil, nil
}

func (c *Commands) repeat(e *entry, cmd Command) (*Started, *Answer, error) {
	switch {
	case e.Method != cmd.Method || e.Hash != cmd.Hash:
		return nil, nil, ErrConflict
	case e.answer != nil:
		return nil, e.answer, nil
	case e.pending != nil:
		return nil, nil, &InFlightError{Done: e.pending}
	}
	return nil, nil, ErrInterrupted
}

// InFlightError says that the same command is being carried out right now.
// After Done is closed, call Begin again.
type InFlightError struct{ Done <-chan struct{} }

func (*InFlightError) Error() string { return "the command is being carried out" }

// makeRoom forgets the oldest command that may be forgotten, if it must.
func (c *Commands) makeRoom(now time.Time) error {
	if len(c.order) < c.limit {
		return nil
	}
	if now.IsZero() {
		return ErrFull
	}
	for _, e := range c.order {
		if e.at.IsZero() || e.at.After(now) {
			e.at = now // recorded without a clock, or by one that was wrong: its time begins now
		}
		if e.pending == nil && now.Sub(e.at) >= c.minAge && !now.Before(e.NotAfter) {
			if err := c.journal.append(record{Type: recordDrop, ID: e.ID}); err != nil {
				return fmt.Errorf("%w: %w", ErrUnwritable, err)
			}
			c.remove(e)
			return nil
		}
	}
	return ErrFull
}

// End records the outcome. An error means that a repeat after a restart will
// be told "interrupted"; until then it gets the answer.
func (s *Started) End(a Answer) error {
	return s.finish(record{Type: recordEnd, ID: s.e.ID, Answer: &a}, &a)
}

// Drop forgets the command: it was refused before anything happened, and the
// same id may be tried again.
func (s *Started) Drop() error {
	return s.finish(record{Type: recordDrop, ID: s.e.ID}, nil)
}

func (s *Started) finish(r record, a *Answer) error {
	c := s.c
	c.lock()
	defer c.unlock()
	err := c.journal.append(r)
	c.behind = c.behind || err != nil
	if a != nil {
		s.e.answer = a
	} else {
		c.remove(s.e)
	}
	close(s.e.pending)
	s.e.pending = nil
	if !c.closed {
		c.compact()
	}
	return err
}

func (c *Commands) records() []record {
	var out []record
	for _, e := range c.order {
		out = append(out, e.begin())
		if e.answer != nil {
			out = append(out, record{Type: recordEnd, ID: e.ID, Answer: e.answer})
		}
	}
	return out
}

func (e *entry) begin() record {
	return record{Type: recordBegin, ID: e.ID, Method: e.Method, Hash: e.Hash, NotAfter: stamp{e.NotAfter}, At: stamp{e.at}}
}

// Len is how many commands are remembered.
func (c *Commands) Len() int {
	c.lock()
	defer c.unlock()
	return len(c.order)
}

// Close closes the journal. Commands begun before stay as they are on disk.
func (c *Commands) Close() error {
	c.lock()
	defer c.unlock()
	c.closed = true
	if c.behind && c.journal.file != nil {
		_ = c.journal.rewrite(c.records()) // a last try; it was logged when it failed first
	}
	return c.journal.close()
}
