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
	"regexp"
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

var iso = regexp.MustCompile(`^P(?:(\d{1,6})W|(?:(\d{1,6})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9}(?:[.,]\d{1,9})?)S)?)?)$`)

func parseISO(text string) (time.Duration, error) {
	m := iso.FindStringSubmatch(text)
	if m == nil || strings.HasSuffix(text, "T") || text == "P" {
		return 0, fmt.Errorf("%.40q is not an ISO 8601 duration of days, hours, minutes and seconds (like PT10M or P1DT2H)", text)
	}
	var total float64
	for i, unit := range []float64{7 * 24 * 3600, 24 * 3600, 3600, 60, 1} {
		if m[i+1] == "" {
			continue
		}
		n, err := strconv.ParseFloat(strings.Replace(m[i+1], ",", ".", 1), 64)
		if err != nil {
			return 0, fmt.Errorf("%.40q: %w", text, err)
		}
		total += n * unit
	}
	return fromSeconds(total)
}
