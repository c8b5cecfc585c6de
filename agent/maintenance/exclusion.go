package maintenance

import "sort"

// A calendar finds excluded instants: those whose date in the zone is excluded.
// It goes forward only. Nearly always an exclusion is one interval from the first
// instant of its first date to the end of its last. But clocks that go back at one
// minute past midnight bring yesterday back for an hour (Newfoundland until 2011),
// so it is the date of each instant that counts.
type calendar struct {
	at       stretch
	excluded []dates
	clear    int64 // no instant from the last one asked for to here is excluded...
	hit      bool  // ...and this one is
}

// firstExcluded gives the first excluded instant in [unix, until), or until.
// unix must not decrease from call to call.
func (c *calendar) firstExcluded(unix, until int64) int64 {
	if len(c.excluded) == 0 {
		return until
	}
	if c.hit && c.clear >= unix {
		return min(c.clear, until)
	}
	c.hit = false
	for unix = max(unix, c.clear); unix < until; {
		c.at.seek(unix)
		date := c.at.date(unix)
		i := c.rangeAfter(date)
		if i < len(c.excluded) && c.excluded[i].from <= date {
			c.hit, c.clear = true, unix
			return unix
		}
		unix = c.at.to
		if i < len(c.excluded) {
			unix = min(unix, c.excluded[i].from*day-c.at.offset)
		}
	}
	c.clear = unix
	return until
}

// firstAllowed gives the first instant in [unix, until) that is not excluded,
// or until. unix must not decrease from call to call.
func (c *calendar) firstAllowed(unix, until int64) int64 {
	for unix < until {
		c.at.seek(unix)
		date := c.at.date(unix)
		i := c.rangeAfter(date)
		if i == len(c.excluded) || c.excluded[i].from > date {
			return unix
		}
		unix = min(c.at.to, (c.excluded[i].to+1)*day-c.at.offset)
	}
	return until
}

// rangeAfter is the first range that does not end before a date.
func (c *calendar) rangeAfter(date int64) int {
	return sort.Search(len(c.excluded), func(i int) bool { return c.excluded[i].to >= date })
}
