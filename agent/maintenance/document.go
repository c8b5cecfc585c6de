package maintenance

import (
	"encoding/json"
	"strconv"
	"time"
)

// Document is the policy as it is acknowledged: complete, in seconds. Parse of it
// gives the same policy. Windows and spread are absent where they were, because
// no value means the same; the rest has its defaults.
func (p *Policy) Document() map[string]any {
	doc := map[string]any{
		"timeZone":   p.Zone.String(),
		"exclusions": p.exclusionsDocument(),
		"policy":     p.actionsDocument(),
	}
	if !p.always {
		windows := make([]any, len(p.windows))
		for i, w := range p.windows {
			windows[i] = w.document()
		}
		doc["windows"] = windows
	}
	if p.spread != nil {
		doc["spread"] = seconds(int64(*p.spread / time.Second))
	}
	return doc
}

// document lists the days from Monday, as the people do who read it.
func (w window) document() map[string]any {
	days := []any{}
	for i := range w.days {
		if d := (i + 1) % 7; w.days[d] {
			days = append(days, weekdays[d])
		}
	}
	return map[string]any{
		"name":     w.name,
		"days":     days,
		"start":    time.Unix(w.start, 0).UTC().Format("15:04"),
		"duration": seconds(w.length),
	}
}

func (p *Policy) exclusionsDocument() []any {
	list := make([]any, len(p.exclusions))
	for i, e := range p.exclusions {
		list[i] = map[string]any{"from": formatDate(e.from), "to": formatDate(e.to)}
	}
	return list
}

func (p *Policy) actionsDocument() map[string]any {
	actions := map[string]any{}
	for kind, action := range p.actions {
		actions[kind] = string(action)
	}
	return actions
}

// formatDate writes days since 1970-01-01 as a date.
func formatDate(days int64) string {
	return time.Unix(days*day, 0).UTC().Format(time.DateOnly)
}

func seconds(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }
