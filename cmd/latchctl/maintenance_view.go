package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

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
		DeviceID: twin.DeviceID, ConnectionState: twin.ConnectionState, DesiredVersion: wholeOf(desired, "$version"),
		Desired: desired[maintenanceKey],
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
	switch v.Answer {
	case accepted, refused:
		text := fmt.Sprintf("%s: %s, version %d", v.DeviceID, v.Answer, v.ack.Version)
		if v.ack.Description != "" {
			text += ": " + v.ack.Description
		}
		return text
	case noPolicy:
		return v.DeviceID + ": no policy, always open"
	}
	text := fmt.Sprintf("%s: no answer yet to version %d", v.DeviceID, v.DesiredVersion)
	if v.ConnectionState == rest.StateDisconnected {
		text += ", not connected"
	}
	return text
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
	if err := p.printTable(v.rows()); err != nil {
		return err
	}
	next, _ := v.Status["next"].([]any)
	if err := p.printOpenings(next); err != nil {
		return err
	}
	return p.printPending(v.Pending)
}

// rows are the policy in force and how things stand by it.
func (v maintenanceView) rows() [][]string {
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
	rows = append(rows, policyRows("in force", inForce)...)
	if v.Status == nil {
		return rows
	}
	state := "closed"
	if textOf(v.Status, "open") == "true" {
		state = "open"
	}
	if why := textOf(v.Status, "why"); why != "" {
		state += ", " + why
	}
	if window := textOf(v.Status, "window"); window != "" {
		state += " " + window
	}
	if closes := textOf(v.Status, "closesAt"); closes != "" {
		state += ", until " + closes
	}
	add("now", state)
	add("zone data", textOf(v.Status, "zoneData"))
	return rows
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
	table := [][]string{{"PENDING", "OPERATION", "STATE", "NOT BEFORE", "BLOCKED BY", "REASON"}}
	for _, id := range slices.Sorted(maps.Keys(pending)) {
		op, _ := pending[id].(map[string]any)
		table = append(table, []string{
			id, textOf(op, "kind"), textOf(op, "state"), textOf(op, "notBefore"), textOf(op, "blockedBy"), textOf(op, "reason"),
		})
	}
	fmt.Fprintln(p.stdout)
	return p.printTable(table)
}
