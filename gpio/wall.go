package gpio

import "time"

// instant is one moment by both clocks.
type instant struct {
	boot    time.Duration
	wall    time.Time
	trusted bool // whether wall is to be believed
}

// wallAt is the wall-clock time of a boot-time reading, or zero if the wall clock
// is not trusted. Cutting to milliseconds, as they are reported, never puts a
// time that has passed into the future.
func (i instant) wallAt(boot time.Duration) time.Time {
	if !i.trusted {
		return time.Time{}
	}
	return i.wall.Add(boot - i.boot).Round(0).UTC().Truncate(time.Millisecond)
}

// stamp fixes the wall-clock time of one boot-time reading. It is computed once,
// so that later small steps of the clock do not move a time that was reported.
type stamp struct {
	Boot time.Duration `json:"boot,omitzero"`
	Wall time.Time     `json:"wall,omitzero"`
}

// at returns the wall-clock time of the reading, computing it if it is new or was
// not known. A reading of zero means no time. A clock that steps back behind a
// time that has passed makes it be computed again.
func (s *stamp) at(boot time.Duration, now instant) time.Time {
	if boot == 0 {
		*s = stamp{}
		return time.Time{}
	}
	inFuture := now.trusted && boot <= now.boot && s.Wall.After(now.wall)
	if s.Boot != boot || s.Wall.IsZero() || inFuture {
		*s = stamp{Boot: boot, Wall: now.wallAt(boot)}
	}
	return s.Wall
}

// marks are the reported times of the present state.
type marks struct {
	Since stamp `json:"since,omitzero"`
	Until stamp `json:"until,omitzero"`
	// AwaitsClock: a lockdown from before the boot runs for the time it had left,
	// because the wall clock was not trusted at the start. Until.Wall is its true
	// end, which applies once the clock is trusted.
	AwaitsClock bool `json:"awaitsClock,omitzero"`
}
