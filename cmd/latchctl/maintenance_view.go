package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"latchd/agent/maintenance"
	"latchd/iothub/rest"
)

// What a device says to the policy that its twin desires.
const (
	accepted   = "accepted"
	refused    = "refused"
	unanswered = "unanswered"
	noPolicy   = "none" // nothing is desired, and the device knows it
)

// acknowledgement is how a device answers a desired property.
type acknowledgement struct {
	Status      int    `json:"ac"`
	Version     int64  `json:"av"` // the version of the desired properties that it answers
	Description string `json:"ad,omitempty"`
}

// answer is what an acknowledgement, nil if there is none, says to the policy
// of a version of the desired properties. A device answers each version, also
// one that changed something else.
func (a *acknowledgement) answer(desired bool, version int64) string {
	switch {
	case !desired && a == nil:
		return noPolicy
	case !desired || a == nil || a.Version < version:
		return unanswered
	case a.Status >= 400:
		return refused
	}
	return accepted
}

// maintenanceView is what there is to know of one device's maintenance.
type maintenanceView struct {
	DeviceID        string         `json:"deviceId"`
	DeviceStatus    string         `json:"status,omitempty"` // disabled: the hub lets it not connect
	ConnectionState string         `json:"connectionState"`
	DesiredVersion  int64          `json:"desiredVersion"`
	Answer          string         `json:"answer"`                // accepted, refused, unanswered, none
	Desired         any            `json:"desired,omitempty"`     // the policy, as the operator wrote it
	Maintenance     map[string]any `json:"maintenance,omitempty"` // the acknowledgement: value is in force
	Status          map[string]any `json:"maintenanceStatus,omitempty"`
	Pending         map[string]any `json:"pendingOperations,omitempty"`

	ack *acknowledgement
}

func maintenanceOf(twin rest.Twin) maintenanceView {
	desired, reported := twin.Properties.Desired, twin.Properties.Reported
	v := maintenanceView{
		DeviceID: twin.DeviceID, DeviceStatus: twin.Status, ConnectionState: twin.ConnectionState,
		DesiredVersion: wholeOf(desired, "$version"), Desired: desired[maintenanceKey],
	}
	v.Maintenance, _ = reported[maintenanceKey].(map[string]any)
	v.Status, _ = reported["maintenanceStatus"].(map[string]any)
	v.Pending, _ = reported["pendingOperations"].(map[string]any)
	if v.Maintenance != nil {
		v.ack = &acknowledgement{
			Status:  int(wholeOf(v.Maintenance, "ac")),
			Version: wholeOf(v.Maintenance, "av"), Description: textOf(v.Maintenance, "ad"),
		}
	}
	v.Answer = v.ack.answer(v.Desired != nil, v.DesiredVersion)
	return v
}

// wholeOf is a member of a document that is a whole number, 0 where there is
// none.
func wholeOf(doc map[string]any, key string) int64 {
	n, _ := strconv.ParseInt(textOf(doc, key), 10, 64)
	return n
}

// headline says in a line what the device made of what it was told.
func (v maintenanceView) headline() string {
	away := absence(v.DeviceStatus, v.ConnectionState)
	if away != "" {
		away = ", " + away
	}
	switch v.Answer {
	case accepted, refused:
		text := fmt.Sprintf("%s: %s, version %d%s", v.DeviceID, v.Answer, v.ack.Version, away)
		if v.ack.Description != "" {
			text += ": " + v.ack.Description
		}
		return text
	case noPolicy:
		return v.DeviceID + ": no policy, always open" + away
	}
	return fmt.Sprintf("%s: no answer yet to version %d%s", v.DeviceID, v.DesiredVersion, away)
}

// failure is the error of a device that refused.
func (v maintenanceView) failure() error {
	if v.Answer != refused {
		return nil
	}
	return deviceErrorf("%s refused the policy: %s", v.DeviceID, v.ack.Description)
}

// printMaintenance shows what there is to know of one device's maintenance.
func (p *program) printMaintenance(v maintenanceView) error {
	if p.wantsJSON() {
		return p.printJSON(v)
	}
	fmt.Fprintln(p.stdout, clean(v.headline()))
	now := time.Now()
	if err := p.printTable(v.rows(now)); err != nil {
		return err
	}
	if err := p.printOpenings(v.openings(now)); err != nil {
		return err
	}
	return p.printPending(v.Pending)
}

// rows are the policy in force and how things stand by it.
func (v maintenanceView) rows(now time.Time) [][]string {
	var rows [][]string
	add := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{"  " + name, value})
		}
	}
	inForce, _ := v.Maintenance["value"].(map[string]any)
	if v.Answer == refused || v.Answer == unanswered {
		desired, _ := v.Desired.(map[string]any)
		rows = append(rows, policyRows("desired", desired)...)
		if len(inForce) == 0 {
			add("in force", "nothing")
		}
	}
	if len(inForce) > 0 { // a device says {} where it has none; a policy has more
		rows = append(rows, policyRows("in force", inForce)...)
	}
	if v.Status == nil {
		return rows
	}
	word := "now"
	if absence(v.DeviceStatus, v.ConnectionState) != "" {
		word = "last reported" // nobody knows what became of it
	}
	add(word, v.state(now))
	add("zone data", textOf(v.Status, "zoneData"))
	return rows
}

// state is how things stand at the windows, as the device said it last.
func (v maintenanceView) state(now time.Time) string {
	state := "closed"
	if textOf(v.Status, "open") == "true" {
		state = "open"
	}
	why, window := textOf(v.Status, "why"), textOf(v.Status, "window")
	switch {
	case window != "":
		state += ", " + strings.TrimSpace(why+" "+window)
	case why != "" && why != maintenance.WhyWindow: // where it is always open, no window is
		state += ", " + why
	}
	closes := textOf(v.Status, "closesAt")
	switch {
	case closes == "":
	case isOver(closes, now):
		state += ", which was to end at " + closes
	default:
		state += ", until " + closes
	}
	return state
}

// isOver tells whether a reported time has passed.
func isOver(reported string, now time.Time) bool {
	at, err := time.Parse(time.RFC3339, reported)
	return err == nil && at.Before(now)
}

// openings are those that were reported as the next and are not over.
func (v maintenanceView) openings(now time.Time) []any {
	next, _ := v.Status["next"].([]any)
	return slices.DeleteFunc(slices.Clone(next), func(element any) bool {
		opening, _ := element.(map[string]any)
		return isOver(textOf(opening, "closesAt"), now)
	})
}

// printOpenings shows the next openings.
func (p *program) printOpenings(next []any) error {
	if len(next) == 0 {
		return nil
	}
	table := [][]string{{"NEXT", "OPENS", "CLOSES", "LOCAL"}}
	for _, element := range next {
		opening, _ := element.(map[string]any)
		table = append(table, []string{
			textOf(opening, "name"), textOf(opening, "opensAt"), textOf(opening, "closesAt"), textOf(opening, "local"),
		})
	}
	fmt.Fprintln(p.stdout)
	return p.printTable(table)
}

// printPending shows the operations that wait.
func (p *program) printPending(pending map[string]any) error {
	if len(pending) == 0 {
		return nil
	}
	table := [][]string{{"PENDING", "OPERATION", "STATE", "NOT BEFORE", "EXPIRES", "BLOCKED BY", "REASON"}}
	for _, id := range slices.Sorted(maps.Keys(pending)) {
		op, _ := pending[id].(map[string]any)
		table = append(table, []string{
			id, textOf(op, "kind"), textOf(op, "state"), textOf(op, "notBefore"), textOf(op, "expiresAt"), textOf(op, "blockedBy"), textOf(op, "reason"),
		})
	}
	fmt.Fprintln(p.stdout)
	return p.printTable(table)
}
