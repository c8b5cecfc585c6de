package maintenance

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Where a policy does not say how far devices spread, they spread over a tenth of
// the opening, but no more than ten minutes: enough that a thousand devices behind
// one window do not act in one second.
const (
	defaultSpreadPart = 10
	defaultSpread     = 10 * time.Minute
)

// Slot gives the first opening in which something that takes need can be done
// at or after earliest, and when in it this device does: share, in [0, 1), is the
// device's own part of the spread. at may be before earliest where the slot began
// then; it is zero where the opening has no beginning. It is false if there is
// none within 366 days.
func (p *Policy) Slot(earliest time.Time, need time.Duration, share float64) (at time.Time, in Opening, ok bool) {
	unix := secondsOf(earliest)
	for w := p.walk(unix, unix+aheadForOpening, unix); ; {
		o, ok := w.opening()
		if !ok {
			return time.Time{}, Opening{}, false
		}
		if o.to <= unix {
			continue
		}
		in := p.opening(o)
		at := in.slot(need, share, p.spread)
		begin := at
		if earliest.After(begin) {
			begin = earliest
		}
		if in.Closes.IsZero() || !begin.Add(need).After(in.Closes) {
			return at, in, true
		}
	}
}

// slot is when in an opening a device begins, in whole milliseconds. Where the
// opening is too short for need it is the beginning.
func (o Opening) slot(need time.Duration, share float64, given *time.Duration) time.Time {
	if o.Opens.IsZero() {
		return time.Time{}
	}
	spread := defaultSpread
	if !o.Closes.IsZero() {
		spread = min(spread, o.Closes.Sub(o.Opens)/defaultSpreadPart)
	}
	if given != nil {
		spread = *given
	}
	if !o.Closes.IsZero() {
		spread = min(spread, o.Closes.Sub(o.Opens)-need)
	}
	offset := time.Duration(share * float64(max(spread, 0)))
	return o.Opens.Add(offset.Truncate(time.Millisecond))
}

// Share is a device's part of the spread, in [0, 1): always the same for an id,
// and evenly spread over many, also where they differ in one digit.
func Share(device string) float64 {
	hash := sha256.Sum256([]byte(device))
	const bits = 53 // of a float64
	return float64(binary.BigEndian.Uint64(hash[:])>>(64-bits)) / (1 << bits)
}
