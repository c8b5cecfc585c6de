package maintenance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"latchd/internal/duration"
	"latchd/internal/zone"
)

// Bounds of a policy. With them its acknowledgement and the report of what opens
// next fit the twin, which has 32 KB for all that a device reports.
const (
	maxWindows    = 32
	maxExclusions = 64
	maxName       = 64 // characters
	minLength     = time.Minute
	maxLength     = 7 * 24 * time.Hour
	maxSpread     = 24 * time.Hour
	maxSize       = 8 << 10 // bytes of compact JSON
)

// weekdays in the words of a policy, from Sunday as time.Weekday.
var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// Parse checks a policy: the value of the desired property maintenance, as
// iothub.DecodeJSON gives it (map[string]any, []any, string, json.Number, bool).
// need is how long the shortest useful window is; an error begins with the path,
// "maintenance.windows[2].start: ...". A key that it does not know refuses the
// whole: a typo in "exclusions" must not open a holiday.
func Parse(value any, need time.Duration) (*Policy, error) {
	o, err := asObject("maintenance", "maintenance", value, "timeZone", "windows", "exclusions", "spread", "policy")
	if err != nil {
		return nil, err
	}
	if err := checkSize("it", value); err != nil {
		return nil, err
	}
	p := &Policy{}
	for _, read := range []func(*Policy, object) error{readZone, readWindows, readExclusions, readSpread, readActions} {
		if err := read(p, o); err != nil {
			return nil, err
		}
	}
	if len(p.windows) > 0 && !p.hasRoom(need) {
		return nil, fmt.Errorf("maintenance.windows: none is open for %s on end, which is the least that is needed", need)
	}
	if err := checkSize("with its defaults it", p.Document()); err != nil {
		return nil, err
	}
	return p, nil
}

func readZone(p *Policy, o object) error {
	name := "UTC"
	if v := o.values["timeZone"]; v != nil {
		var err error
		if name, err = asText(o.path("timeZone"), v); err != nil {
			return err
		}
	}
	var err error
	if p.Zone, p.Data, err = zone.Load(name); err != nil {
		return fmt.Errorf("%s: %w", o.path("timeZone"), err)
	}
	return nil
}

func readWindows(p *Policy, o object) error {
	if o.values["windows"] == nil {
		p.always = true
		return nil
	}
	path := o.path("windows")
	list, err := asList(path, o.values["windows"], maxWindows)
	if err != nil {
		return err
	}
	for i, v := range list {
		w, err := readWindow(fmt.Sprintf("%s[%d]", path, i), v)
		if err != nil {
			return err
		}
		if w.name == "" {
			w.name = fmt.Sprintf("window %d", i+1)
		}
		p.addWindow(w)
	}
	for _, starts := range p.week {
		slices.SortStableFunc(starts, func(a, b start) int { return cmp.Compare(a.civil, b.civil) })
	}
	return nil
}

func (p *Policy) addWindow(w window) {
	p.windows = append(p.windows, w)
	p.longest = max(p.longest, w.length)
	for d, on := range w.days {
		if on {
			p.week[d] = append(p.week[d], start{w.start, w.length, len(p.windows) - 1})
		}
	}
}

func readWindow(path string, value any) (w window, err error) {
	o, err := asObject(path, "a window", value, "name", "days", "start", "duration")
	if err != nil {
		return w, err
	}
	if w.name, err = readName(o); err != nil {
		return w, err
	}
	if w.days, err = readDays(o); err != nil {
		return w, err
	}
	if w.start, err = readStart(o); err != nil {
		return w, err
	}
	if o.values["duration"] == nil {
		return w, fmt.Errorf("%s: is missing", o.path("duration"))
	}
	length, err := asDuration(o.path("duration"), o.values["duration"], minLength, maxLength)
	w.length = int64(length / time.Second)
	return w, err
}

// readName refuses what does not print, because names end up in terminals and
// logs.
func readName(o object) (string, error) {
	if o.values["name"] == nil {
		return "", nil
	}
	name, err := asText(o.path("name"), o.values["name"])
	if err != nil {
		return "", err
	}
	if n := utf8.RuneCountInString(name); n < 1 || n > maxName {
		return "", fmt.Errorf("%s: must have 1 to %d characters, not %d", o.path("name"), maxName, n)
	}
	if strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fmt.Errorf("%s: %.80q has characters that do not print", o.path("name"), name)
	}
	return name, nil
}

func readDays(o object) (days [7]bool, err error) {
	if o.values["days"] == nil {
		return [7]bool{true, true, true, true, true, true, true}, nil
	}
	path := o.path("days")
	list, err := asList(path, o.values["days"], len(weekdays))
	if err != nil {
		return days, err
	}
	if len(list) == 0 {
		return days, fmt.Errorf("%s: is empty (leave it out for every day)", path)
	}
	for i, v := range list {
		text, ok := v.(string)
		d := slices.Index(weekdays[:], text)
		if !ok || d < 0 {
			return days, fmt.Errorf("%s[%d]: %s is not a weekday (mon, tue, wed, thu, fri, sat, sun)", path, i, show(v))
		}
		if days[d] {
			return days, fmt.Errorf("%s[%d]: %s is there twice", path, i, text)
		}
		days[d] = true
	}
	return days, nil
}

func readStart(o object) (int64, error) {
	v := o.values["start"]
	if v == nil {
		return 0, fmt.Errorf("%s: is missing", o.path("start"))
	}
	text, _ := v.(string)
	t, err := time.Parse("15:04", text)
	if err != nil || len(text) != len("15:04") { // time.Parse also takes 2:30
		return 0, fmt.Errorf(`%s: %s is not a time of day like "02:30"`, o.path("start"), show(v))
	}
	return int64(t.Hour()*3600 + t.Minute()*60), nil
}

func readExclusions(p *Policy, o object) error {
	if o.values["exclusions"] == nil {
		return nil
	}
	path := o.path("exclusions")
	list, err := asList(path, o.values["exclusions"], maxExclusions)
	if err != nil {
		return err
	}
	for i, v := range list {
		o, err := asObject(fmt.Sprintf("%s[%d]", path, i), "an exclusion", v, "from", "to")
		if err != nil {
			return err
		}
		from, err1 := readDate(o, "from")
		to, err2 := readDate(o, "to")
		if err := cmp.Or(err1, err2); err != nil {
			return err
		}
		if from > to {
			return fmt.Errorf("%s: is before from", o.path("to"))
		}
		p.exclusions = append(p.exclusions, dates{from, to})
	}
	p.excluded = union(p.exclusions)
	return nil
}

// readDate reads a date as days since 1970-01-01.
func readDate(o object, key string) (int64, error) {
	v := o.values[key]
	if v == nil {
		return 0, fmt.Errorf("%s: is missing", o.path(key))
	}
	text, _ := v.(string)
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || len(text) != len(time.DateOnly) || t.Year() < 1970 {
		return 0, fmt.Errorf(`%s: %s is not a date like "2026-12-24"`, o.path(key), show(v))
	}
	return t.Unix() / day, nil
}

// union puts dates in order, and those that overlap or follow each other into
// one.
func union(list []dates) []dates {
	var all []dates
	for _, d := range slices.SortedFunc(slices.Values(list), func(a, b dates) int { return int(a.from - b.from) }) {
		if n := len(all); n > 0 && d.from <= all[n-1].to+1 {
			all[n-1].to = max(all[n-1].to, d.to)
			continue
		}
		all = append(all, d)
	}
	return all
}

func readSpread(p *Policy, o object) error {
	if o.values["spread"] == nil {
		return nil
	}
	spread, err := asDuration(o.path("spread"), o.values["spread"], 0, maxSpread)
	p.spread = &spread
	return err
}

func readActions(p *Policy, o object) error {
	p.actions = maps.Clone(defaultActions)
	if o.values["policy"] == nil {
		return nil
	}
	o, err := asObject(o.path("policy"), "policy", o.values["policy"], slices.Sorted(maps.Keys(defaultActions))...)
	if err != nil {
		return err
	}
	for _, kind := range slices.Sorted(maps.Keys(o.values)) {
		v := o.values[kind]
		text, _ := v.(string)
		switch action := Action(text); {
		case v == nil:
		case action == Allow, action == Defer, action == Reject:
			p.actions[kind] = action
		default:
			return fmt.Errorf(`%s: %s is not "allow", "defer" or "reject"`, o.path(kind), show(v))
		}
	}
	return nil
}

// hasRoom tells whether some opening of an ordinary week, without changes of the
// clocks and without exclusions, is as long as need.
func (p *Policy) hasRoom(need time.Duration) bool {
	ordinary := *p
	ordinary.Zone, ordinary.excluded = time.UTC, nil
	const week = 7 * day
	for w := ordinary.walk(0, week, week); ; {
		o, ok := w.opening()
		if !ok {
			return false
		}
		if o.endless || time.Duration(o.to-o.from)*time.Second >= need {
			return true
		}
	}
}

// asDuration takes whole seconds: what is acknowledged is what is in force.
func asDuration(path string, v any, least, most time.Duration) (time.Duration, error) {
	d, err := duration.FromJSON(v)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%s: %w", path, err)
	case d < least:
		return 0, fmt.Errorf("%s: must be at least %s", path, least)
	case d > most:
		return 0, fmt.Errorf("%s: must be at most %s", path, most)
	case d%time.Second != 0:
		return 0, fmt.Errorf("%s: must be whole seconds", path)
	}
	return d, nil
}
