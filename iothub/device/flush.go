package device

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Flush waits until the hub has confirmed what the last Report said, or ctx
// ends. When the hub refused some keys for good, it waits for the rest and
// then returns a [*RefusedError].
func (c *Client) Flush(ctx context.Context) error { return c.reports.flush(ctx, c.stopped) }

// RefusedError says which reported properties the hub, or its known limits,
// refused for good, and why.
type RefusedError struct {
	Reasons map[string]string // by top-level key
}

func (e *RefusedError) Error() string {
	var parts []string
	for key, why := range e.Reasons {
		parts = append(parts, key+" ("+why+")")
	}
	slices.Sort(parts)
	return "the hub refused reported properties: " + strings.Join(parts, ", ")
}

// flush waits until the hub has confirmed what is wanted.
func (r *reports) flush(ctx context.Context, stopped <-chan struct{}) error {
	for {
		isConfirmed, changed, err := r.state()
		if isConfirmed {
			return err
		}
		select {
		case <-changed:
		case <-stopped:
			return fmt.Errorf("reporting: %w", ErrStopped)
		case <-ctx.Done():
			return fmt.Errorf("reporting: waiting for the hub: %w", ctx.Err())
		}
	}
}

func (r *reports) state() (isConfirmed bool, changed <-chan struct{}, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.confirmed != r.sequence {
		return false, r.changed, nil
	}
	if len(r.refused) == 0 {
		return true, nil, nil
	}
	refused := &RefusedError{Reasons: map[string]string{}}
	for key, refusal := range r.refused {
		refused.Reasons[key] = refusal.why
	}
	return true, nil, refused
}

// announce wakes those who wait in flush. The caller holds mu.
func (r *reports) announce() {
	close(r.changed)
	r.changed = make(chan struct{})
}
