package maintenance

import "time"

const (
	// timeFormat is RFC 3339 in UTC with milliseconds, as in every report of the
	// device.
	timeFormat = "2006-01-02T15:04:05.000Z"
	// localFormat is for the eye that checks a change night: "Sun 02:30 CET".
	localFormat = "Mon 15:04 MST"
)

// Document is the opening as it is reported in maintenanceStatus.next: name,
// opensAt and closesAt in UTC, local as the wall in zone shows the beginning.
// What there is not, is absent: a name where the device is open without
// windows, a beginning before what was looked at, an end after it.
func (o Opening) Document(zone *time.Location) map[string]any {
	doc := map[string]any{}
	if o.Name != "" {
		doc["name"] = o.Name
	}
	if !o.Opens.IsZero() {
		doc["opensAt"] = o.Opens.UTC().Format(timeFormat)
		doc["local"] = o.Opens.In(zone).Format(localFormat)
	}
	if !o.Closes.IsZero() {
		doc["closesAt"] = o.Closes.UTC().Format(timeFormat)
	}
	return doc
}
