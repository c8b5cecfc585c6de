package main

import (
	"fmt"
	"testing"
	"time"
)

// The clock of a bubble begins on Saturday, 2000-01-01 00:00 UTC.
const (
	night  = `{"maintenance":{"windows":[{"name":"night","start":"02:30","duration":"2h"}],"spread":0}}`
	atHalf = "2000-01-01T02:30:00.000Z"
)

func TestContractMaintenanceWindows(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"without maintenance it is open, and the clock does not matter", func(r *rig) {
			r.clock.set("unset", 0)
			r.reported("maintenanceStatus.open", "true", "maintenanceStatus.why", "no policy")
			r.want(200, "rebootDevice", `{}`)
		}},
		{"without windows it is open, and exclusions count", func(r *rig) {
			r.desire(7, `{"maintenance":{"exclusions":[{"from":"2000-01-02","to":"2000-01-02"}]}}`)
			r.reported("maintenanceStatus.open", "true", "maintenanceStatus.closesAt", "2000-01-02T00:00:00.000Z")
			r.pass(25 * time.Hour)
			r.reported("maintenanceStatus.open", "false", "maintenanceStatus.why", "excluded")
			r.want(202, "rebootDevice", `{"delay":0}`)
		}},
		{"an empty list of windows never opens", func(r *rig) {
			r.desire(7, `{"maintenance":{"windows":[]}}`)
			r.reported("maintenance.ac", "200", "maintenanceStatus.open", "false")
			r.want(423, "rebootDevice", `{}`)
		}},
		{"an operation starts only if the rest of the window has room for it", func(r *rig) {
			r.desire(7, night)
			r.pass(4*time.Hour + 28*time.Minute + time.Second)
			r.reported("maintenanceStatus.open", "true")
			r.want(202, "rebootDevice", `{"delay":0}`, "notBefore", "2000-01-02T02:30:00.000Z")
		}},
		{"an unknown key anywhere refuses the whole, and what was in force stays", func(r *rig) {
			r.desire(7, night)
			for i, typo := range []string{
				`{"maintenance":{"exclusion":[]}}`,
				`{"maintenance":{"windows":[{"start":"02:30","duration":"2h","day":["mon"]}]}}`,
				`{"maintenance":{"exclusions":[{"from":"2000-01-02","to":"2000-01-02","why":"holiday"}]}}`,
				`{"maintenance":{"policy":{"reboot":"allow"}}}`,
			} {
				r.desire(int64(8+i), typo)
				r.reported("maintenance.ac", "400", "maintenance.av", fmt.Sprint(8+i), "maintenance.value.windows", "-")
				r.want(200, "rebootDevice", `{"dryRun":true}`, "wouldRun", "false", "notBefore", atHalf)
			}
		}},
		{"a policy with no window long enough for a reboot is 400", func(r *rig) {
			r.desire(7, `{"maintenance":{"windows":[{"start":"02:30","duration":"119s"}]}}`)
			r.reported("maintenance.ac", "400", "maintenanceStatus.why", "no policy")
		}},
		{"a pending operation expires after 7 days", func(r *rig) {
			r.desire(7, night)
			r.input("contact", "open")
			a := r.want(202, "rebootDevice", `{"commandId":"old"}`)
			r.pass(7*24*time.Hour + time.Minute)
			r.reported("lastReboot.state", "expired", "lastReboot.operationId", fmt.Sprint(a.body["operationId"]))
		}},
		{"a repeated deferred command answers with the operation's present state", func(r *rig) {
			r.desire(7, night)
			r.want(202, "rebootDevice", `{"commandId":"c1"}`)
			r.desire(8, `{"maintenance":{"windows":[{"start":"05:00","duration":"2h"}],"spread":0}}`)
			r.want(202, "rebootDevice", `{"commandId":"c1"}`, "replayed", "true", "notBefore", "2000-01-01T05:00:00.000Z")
		}},
		{"while the clock is not trusted the window is closed; force still works", func(r *rig) {
			r.desire(7, night)
			r.pass(3 * time.Hour)
			r.clock.set("unset", 0)
			r.agent.ClockChanged()
			r.settle()
			r.reported("maintenanceStatus.open", "false", "maintenanceStatus.why", "clock", "maintenanceStatus.next", "-")
			r.want(202, "rebootDevice", `{"delay":0}`, "blockedBy", "clock")
			r.want(202, "rebootDevice", `{"delay":0,"force":true}`, "joined", "true")
			r.pass(10 * time.Second)
			if r.machine.asked.Load() != 1 {
				r.Error("force did not work")
			}
			if !r.logged("force overrides the maintenance policy") {
				r.Error("the override is not in the log")
			}
		}},
		{"lock commands never wait for windows", func(r *rig) {
			r.desire(7, `{"maintenance":{"windows":[]}}`)
			r.want(200, "unlockDoor", `{}`)
		}},
		{"the loop breaker is 429, and force does not lift it", func(r *rig) {
			r.perHour = 2
			r.stop()
			r.start()
			for i := range 2 {
				r.want(200, "rebootDevice", `{"delay":0}`)
				r.pass(10 * time.Second)
				r.boot(fmt.Sprint("boot-", 3+i))
			}
			r.want(429, "rebootDevice", `{"force":true}`)
		}},
	})
}
