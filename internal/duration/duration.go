// Package duration reads the durations that people and programs write: Go's
// text ("10m", "1h30m"), ISO 8601's ("PT10M") and a JSON number of seconds.
//
// It knows exact units only: weeks, days (24 hours each), hours, minutes and
// seconds. Months and years have no fixed length and are refused, as are
// negative durations, which no setting of ours can mean.
package duration

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Parse reads Go's or ISO 8601's text.
func Parse(text string) (time.Duration, error) {
	if strings.HasPrefix(text, "P") {
		return parseISO(text)
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf(`%.40q is not a duration (write "10m", "1h30m" or "PT10M")`, text)
	}
	if d < 0 {
		return 0, fmt.Errorf("%.40q is negative", text)
	}
	return d, nil
}

// FromJSON reads a decoded JSON value: text as Parse does, or a number of
// seconds, whole or not.
func FromJSON(v any) (time.Duration, error) {
	switch v := v.(type) {
	case string:
		return Parse(v)
	case json.Number:
		s, err := strconv.ParseFloat(string(v), 64)
		if err != nil {
			return 0, errors.New("the number of seconds is out of range")
		}
		return fromSeconds(s)
	}
	return 0, errors.New(`must be text like "10m" or "PT10M", or a number of seconds`)
}

func fromSeconds(s float64) (time.Duration, error) {
	if s < 0 {
		return 0, errors.New("the number of seconds is negative")
	}
	const longest = 9e9 // 285 years; a time.Duration holds 292
	if s > longest {
		return 0, errors.New("the number of seconds is out of range")
	}
	whole, fraction := math.Modf(s)
	return time.Duration(whole)*time.Second + time.Duration(math.Round(fraction*1e9)), nil
}

type isoUnit struct {
	letter  byte
	inTime  bool // after the T
	seconds float64
}

// isoUnits are the units of an ISO 8601 duration in the order in which they
// may stand, in seconds. Only seconds may have a fraction.
var isoUnits = []isoUnit{
	{'W', false, 7 * 24 * 3600},
	{'D', false, 24 * 3600},
	{'H', true, 3600},
	{'M', true, 60},
	{'S', true, 1},
}

func parseISO(text string) (time.Duration, error) {
	wrong := fmt.Errorf("%.40q is not an ISO 8601 duration of days, hours, minutes and seconds (like PT10M or P1DT2H)", text)
	rest, inTime, units := text[1:], false, isoUnits
	var total float64
	for numbers := 0; ; numbers++ {
		if !inTime && strings.HasPrefix(rest, "T") {
			rest, inTime = rest[1:], true
			if rest == "" {
				return 0, wrong
			}
		}
		if rest == "" && numbers > 0 {
			return fromSeconds(total)
		}
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789.,"))
		if digits == 0 || digits == len(rest) {
			return 0, wrong
		}
		i := slices.IndexFunc(units, func(u isoUnit) bool { return u.letter == rest[digits] && u.inTime == inTime })
		if i < 0 {
			return 0, wrong
		}
		n, err := isoNumber(rest[:digits], units[i].letter == 'S')
		if err != nil {
			return 0, wrong
		}
		total += n * units[i].seconds
		if units[i].letter == 'W' { // weeks stand alone
			i = len(units) - 1
		}
		rest, units = rest[digits+1:], units[i+1:]
	}
}

// isoNumber reads at most nine digits, and as many after a point or a comma
// where a fraction may be.
func isoNumber(text string, fraction bool) (float64, error) {
	const digits = 9
	whole, part, isFraction := strings.Cut(strings.Replace(text, ",", ".", 1), ".")
	if len(whole) == 0 || len(whole) > digits || isFraction && (!fraction || len(part) == 0 || len(part) > digits) || strings.ContainsAny(part, ".,") {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseFloat(whole+"."+part, 64)
}
