package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"latchd/agent/ledger"
	"latchd/iothub"
)

// The bubble's clock begins on Saturday, 2000-01-01 00:00 UTC.
const (
	atTwo   = `{"windows":[{"name":"night","start":"02:00","duration":"1h"}],"spread":0}`
	atFour  = `{"windows":[{"name":"late","start":"04:00","duration":"1h"}],"spread":0}`
	never2  = `{"windows":[],"spread":0}`
	day0    = "2000-01-01T"
	rebooty = `{"delay":0,"reason":"updates"}`
)

// desire sends the whole desired section, whose maintenance is the value; "" is none.
func (r *rig) desire(version int64, value string) {
	r.Helper()
	s := iothub.Section{Version: version, Properties: map[string]any{}}
	if value != "" {
		v, err := iothub.DecodeJSON([]byte(value))
		if err != nil {
			r.Fatal(err)
		}
		s.Properties["maintenance"] = v
	}
	r.Desired(s)
	r.pass(0)
}

// pending is what the twin says of the one pending operation; nil if there is none.
func (r *rig) pending() map[string]any {
	for _, v := range r.twin("pendingOperations") {
		return v.(map[string]any)
	}
	return nil
}

// wantPending wants one pending operation with that time, "" for none, and that
// beginning of why it waits.
func (r *rig) wantPending(notBefore, blockedBy string) {
	r.Helper()
	p := r.pending()
	if p == nil {
		r.Fatal("no operation is pending")
	}
	if got, _ := p["notBefore"].(string); got != notBefore {
		r.Errorf("notBefore is %q, want %q", got, notBefore)
	}
	if got, _ := p["blockedBy"].(string); !strings.HasPrefix(got, blockedBy) || blockedBy == "" && got != "" {
		r.Errorf("blockedBy is %q, want %q", got, blockedBy)
	}
}

func (r *rig) wantAsked(n int) {
	r.Helper()
	if got := r.machine.times(); got != n {
		r.Errorf("the machine was asked to reboot %d times, want %d", got, n)
	}
}

func TestARebootOutsideTheWindowWaitsForIt(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		if ack := r.twin("maintenance"); fmt.Sprintf("%v %v", ack["ac"], ack["av"]) != "200 7" || ack["ad"] == "" {
			r.Errorf("acknowledged as %v", ack)
		}
		a := r.want(202, "rebootDevice", rebooty)
		if a.body["state"] != "scheduled" || a.body["notBefore"] != day0+"02:00:00.000Z" {
			r.Errorf("answered %v", a.body)
		}
		r.wantPending(day0+"02:00:00.000Z", "outside (maintenance version 7)")
		status := r.twin("maintenanceStatus")
		if status["open"] != false || status["why"] != "outside" || len(status["next"].([]any)) != 3 || status["zoneData"] == "" {
			r.Errorf("maintenanceStatus is %v", status)
		}
		r.pass(2*time.Hour - time.Second)
		r.wantAsked(0)
		r.pass(5 * time.Second)
		r.wantAsked(1)
		if status := r.twin("maintenanceStatus"); status["open"] != true || status["window"] != "night" || status["closesAt"] != day0+"03:00:00.000Z" {
			r.Errorf("maintenanceStatus in the window is %v", status)
		}
	})
}

// What comes while the window is open goes at once, unless there is no room.
func TestARebootInTheWindow(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, `{"windows":[{"start":"02:00","duration":"1h"}]}`)
		r.pass(2*time.Hour + time.Second)
		r.want(200, "rebootDevice", rebooty)
		r.pass(5 * time.Second)
		r.wantAsked(1)
	})
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.pass(3*time.Hour - 119*time.Second)
		a := r.want(202, "rebootDevice", rebooty)
		if a.body["notBefore"] != "2000-01-02T02:00:00.000Z" {
			r.Errorf("without room: %v", a.body)
		}
		r.wantPending("2000-01-02T02:00:00.000Z", "outside")
		r.pass(23 * time.Hour)
		r.wantAsked(0)
		r.pass(2 * time.Minute)
		r.wantAsked(1)
	})
}

func TestSpreadKeepsDevicesApart(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.stop()
		r.device = "door-17"
		r.start()
		r.desire(7, `{"windows":[{"start":"02:00","duration":"1h"}],"spread":"30m"}`)
		first := r.want(202, "rebootDevice", rebooty).body["notBefore"].(string)
		at, err := time.Parse(time.RFC3339, first)
		opens := time.Date(2000, 1, 1, 2, 0, 0, 0, time.UTC)
		if err != nil || !at.After(opens) || at.After(opens.Add(30*time.Minute)) {
			r.Errorf("not in the spread: %s, %v", first, err)
		}
		r.pass(2*time.Hour + time.Second)
		r.wantPending(first, "spread")
		r.pass(time.Until(at) + 5*time.Second)
		r.wantAsked(1)
	})
}

func TestForceOverridesTheWindow(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.want(202, "rebootDevice", rebooty)
		a := r.want(202, "rebootDevice", `{"delay":0,"force":true}`)
		if a.body["joined"] != true {
			r.Errorf("answered %v", a.body)
		}
		r.pass(5 * time.Second)
		r.wantAsked(1)
	})
	inBubble(t, func(r *rig) {
		r.desire(7, never2)
		r.want(200, "rebootDevice", `{"delay":0,"force":true}`)
		r.pass(5 * time.Second)
		r.wantAsked(1)
	})
}

func TestThePolicyMayRefuse(t *testing.T) {
	for name, row := range map[string]struct{ policy, payload, why string }{
		"reject":            {`{"windows":[{"start":"02:00","duration":"1h"}],"policy":{"rebootDevice":"reject"}}`, rebooty, "outside"},
		"never opens":       {never2, rebooty, "outside"},
		"ends before":       {atTwo, `{"notAfter":"2000-01-01T01:59:00Z"}`, "outside"},
		"an excluded year":  {`{"exclusions":[{"from":"2000-01-01","to":"2001-06-01"}]}`, rebooty, "excluded"},
		"reject, an hour's": {`{"windows":[{"start":"02:00","duration":"1h"}],"policy":{"rebootDevice":"reject"}}`, `{"delay":"1h"}`, "outside"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.desire(7, row.policy)
				a := r.want(423, "rebootDevice", row.payload)
				if a.body["why"] != row.why {
					r.Errorf("answered %v, want why %q", a.body, row.why)
				}
				if r.pending() != nil {
					r.Error("it is pending all the same")
				}
			})
		})
	}
	inBubble(t, func(r *rig) {
		r.desire(7, `{"windows":[],"policy":{"rebootDevice":"allow"}}`)
		r.want(200, "rebootDevice", rebooty)
		r.pass(5 * time.Second)
		r.wantAsked(1)
	})
}

// A delay that ends in the window is no reason to wait longer; one that ends after
// it is.
func TestADelayIsJudgedAtItsEnd(t *testing.T) {
	for delay, want := range map[string]string{"30m": "02:00:00.000Z", "59m": "02:29:00.000Z"} {
		inBubble(t, func(r *rig) {
			r.desire(7, atTwo)
			r.pass(90 * time.Minute)
			a := r.want(202, "rebootDevice", `{"delay":"`+delay+`"}`)
			if a.body["notBefore"] != day0+want {
				r.Errorf("%s later: %v", delay, a.body)
			}
			if blocked := a.body["blockedBy"]; blocked != nil {
				r.Errorf("%s later: blocked by %v", delay, blocked)
			}
		})
	}
}

func TestADryRunNamesTheWindow(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		a := r.want(200, "rebootDevice", `{"dryRun":true}`)
		if fmt.Sprintf("%v %v %v", a.body["wouldRun"], a.body["blockers"], a.body["notBefore"]) != "false [outside] "+day0+"02:00:00.000Z" {
			r.Errorf("answered %v", a.body)
		}
		a = r.want(200, "rebootDevice", `{"dryRun":true,"force":true}`)
		if a.body["wouldRun"] != true {
			r.Errorf("with force: %v", a.body)
		}
	})
}

// A new policy moves what is pending, earlier or later. One that is removed leaves
// it where it was; where it was nowhere, it stays nowhere.
func TestAPolicyMovesWhatIsPending(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atFour)
		r.want(202, "rebootDevice", rebooty)
		r.wantPending(day0+"04:00:00.000Z", "outside (maintenance version 7)")
		r.desire(8, atTwo)
		r.wantPending(day0+"02:00:00.000Z", "outside (maintenance version 8)")
		r.desire(9, `{"timeZone":"America/New_York",`+atTwo[1:])
		r.wantPending(day0+"07:00:00.000Z", "outside (maintenance version 9)")
		r.desire(10, "")
		r.wantPending(day0+"07:00:00.000Z", "the maintenance policy that gave it this time was removed")
		r.stop()
		r.start()
		r.wantPending(day0+"07:00:00.000Z", "the maintenance policy that gave it this time was removed")
		r.desire(11, `{"windows":"typo"}`)
		r.wantPending(day0+"07:00:00.000Z", "the maintenance policy that gave it this time was removed")
		r.desire(12, atFour)
		r.wantPending(day0+"04:00:00.000Z", "outside (maintenance version 12)")
		r.desire(13, never2)
		r.wantPending("", "outside (maintenance version 13)")
		r.desire(14, "")
		r.wantPending("", "the maintenance policy that held it back was removed")
		r.pass(time.Hour)
		r.wantAsked(0)
		r.desire(15, atTwo)
		r.wantPending(day0+"02:00:00.000Z", "outside (maintenance version 15)")
		r.pass(time.Hour + time.Minute)
		r.wantAsked(1)
	})
}

func TestARefusedPolicyChangesNothing(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		before := fmt.Sprint(r.twin("maintenance")["value"])
		r.desire(8, `{"windows":[{"start":"02:00","duration":"1h"}],"exclusion":[]}`)
		ack := r.twin("maintenance")
		if fmt.Sprintf("%v %v", ack["ac"], ack["av"]) != "400 8" || fmt.Sprint(ack["value"]) != before || !strings.Contains(fmt.Sprint(ack["ad"]), "exclusion") {
			r.Errorf("acknowledged as %v, want 400 with %v", ack, before)
		}
		r.want(202, "rebootDevice", rebooty)
		r.wantPending(day0+"02:00:00.000Z", "outside (maintenance version 7)")
	})
	inBubble(t, func(r *rig) {
		r.desire(8, `{"windows":[{"start":"02:00","duration":"1m"}]}`)
		ack := r.twin("maintenance")
		if value, _ := ack["value"].(map[string]any); fmt.Sprint(ack["ac"]) != "400" || len(value) != 0 {
			r.Errorf("a window too short for a reboot: %v", ack)
		}
		if status := r.twin("maintenanceStatus"); status["open"] != true || status["why"] != "no policy" {
			r.Errorf("maintenanceStatus is %v", status)
		}
	})
}

// A device without a network keeps its windows and what waits for them, over
// restarts and reboots.
func TestWindowsOutliveAReboot(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.want(202, "rebootDevice", rebooty)
		r.stop()
		r.clock.jump(-1000*time.Hour, false)
		r.boot = Boot{ID: "boot-2"}
		r.start()
		if status := r.twin("maintenanceStatus"); status["open"] != false || status["why"] != "clock" || status["next"] != nil {
			r.Errorf("maintenanceStatus is %v", status)
		}
		r.wantPending(day0+"02:00:00.000Z", "clock")
		r.pass(3 * time.Hour)
		r.wantAsked(0)
		r.clock.jump(1000*time.Hour, true)
		r.ClockChanged()
		r.pass(0)
		r.wantPending("2000-01-02T02:00:00.000Z", "outside (maintenance version 7)")
		r.pass(23*time.Hour + time.Minute)
		r.wantAsked(1)
	})
}

// Where the policy of the last run cannot be read any more nothing opens by
// itself until the hub has said it again.
func TestALostPolicyIsClosed(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.mu.Lock()
		r.desired.accepted["maintenance"].(map[string]any)["timeZone"] = "Mars/Phobos"
		r.mu.Unlock()
		r.saveDesired()
		r.stop()
		r.start()
		if status := r.twin("maintenanceStatus"); status["open"] != false {
			r.Errorf("maintenanceStatus is %v", status)
		}
		r.want(423, "rebootDevice", rebooty)
		r.desire(7, atTwo)
		r.want(202, "rebootDevice", rebooty)
	})
}

// The clock jumps while a reboot is in each of its phases. Whatever the clock says
// then, the machine is asked inside the window, once.
func TestTheClockJumpsInEachPhase(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, phase := range []string{"scheduled", "another boot", "delayed", "accepted", "asked"} {
		for _, jump := range []time.Duration{-24 * time.Hour, -time.Hour, time.Hour, 24 * time.Hour, -10 * year, 10 * year} {
			t.Run(fmt.Sprintf("%s %s", phase, jump), func(t *testing.T) {
				inBubble(t, func(r *rig) { r.jumpIn(phase, jump) })
			})
		}
	}
}

func (r *rig) jumpIn(phase string, jump time.Duration) {
	r.desire(7, atTwo)
	switch phase {
	case "scheduled":
		r.want(202, "rebootDevice", rebooty)
		r.pass(90 * time.Minute)
	case "another boot":
		r.want(202, "rebootDevice", rebooty)
		r.pass(time.Hour)
		r.reborn("boot-2", "")
		r.pass(20 * time.Minute)
	case "delayed":
		r.pass(2 * time.Hour)
		r.want(202, "rebootDevice", `{"delay":"20m"}`)
		r.pass(10 * time.Minute)
	case "accepted":
		r.pass(2 * time.Hour)
		r.want(200, "rebootDevice", `{"delay":"5s"}`)
	case "asked":
		r.pass(2 * time.Hour)
		r.want(200, "rebootDevice", rebooty)
		r.pass(5 * time.Second)
		r.wantAsked(1)
	}
	r.machine.onAsk = func() {
		now := r.clock.Now()
		if open := now.Truncate(24 * time.Hour).Add(2 * time.Hour); now.Before(open) || !now.Before(open.Add(time.Hour)) {
			r.Errorf("the machine was asked at %s, outside the window", now)
		}
	}
	r.clock.jump(jump, true)
	r.ClockChanged()
	r.pass(25 * time.Hour)
	r.wantAsked(1)
	r.clock.jump(-jump, true)
	r.ClockChanged()
	r.pass(25 * time.Hour)
	r.wantAsked(1)
}

// A file of desired properties that cannot be used may have held a policy: nothing
// opens by itself until the hub has said what it wants.
func TestALostFileOfPropertiesIsClosed(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.want(202, "rebootDevice", rebooty)
		r.stop()
		if err := os.WriteFile(r.desiredFile(), []byte("\x00\x00"), 0o600); err != nil {
			r.Fatal(err)
		}
		time.Sleep(12 * time.Hour)
		r.boot = Boot{ID: "boot-2"}
		r.start()
		r.pass(24 * time.Hour)
		r.wantAsked(0)
		r.desire(6, `{"windows":"typo"}`) // which puts nothing in its place, nor does a restart
		r.stop()
		r.start()
		r.desire(6, `{"windows":"typo"}`)
		r.pass(24 * time.Hour)
		r.wantAsked(0)
		if status := r.twin("maintenanceStatus"); status["open"] != false {
			r.Errorf("after a refusal: %v", status)
		}
		r.desire(7, "")
		r.wantPending("", "the maintenance policy that held it back was removed")
		if status := r.twin("maintenanceStatus"); status["why"] != "no policy" {
			r.Errorf("maintenanceStatus is %v", status)
		}
	})
}

// What a removed policy had deferred to a window stays in that window.
func TestARemovedPolicyKeepsItsWindow(t *testing.T) {
	for name, wait := range map[string]func(r *rig){
		"the door stood open": func(r *rig) {
			r.door.block("doorOpen")
			r.pass(12 * time.Hour)
			r.door.block()
			r.DoorChanged()
		},
		"the power was off": func(r *rig) {
			r.stop()
			time.Sleep(12 * time.Hour)
			r.boot = Boot{ID: "boot-2"}
			r.start()
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.desire(7, atTwo)
				r.want(202, "rebootDevice", rebooty)
				r.desire(8, "")
				wait(r)
				r.pass(time.Hour)
				r.wantAsked(0)
				r.wantPending(day0+"02:00:00.000Z", "the maintenance policy was removed and the window that it gave it is over")
			})
		})
	}
}

// The end of a delay by the one clock and the opening by the other may differ; the
// disk is not to hear of it each time.
func TestTwoClocksThatDifferAreNoLoop(t *testing.T) {
	for _, skew := range []time.Duration{-4 * time.Second, -time.Millisecond, 0} {
		inBubble(t, func(r *rig) {
			r.desire(7, atTwo)
			r.pass(90 * time.Minute)
			r.want(202, "rebootDevice", `{"delay":"30m"}`)
			r.stop()
			writes := 0
			r.save = func(path string, o ledger.Operations) error {
				writes++
				return ledger.SaveOperations(path, o)
			}
			r.start()
			writes = 0
			r.clock.jump(skew, true)
			r.pass(31 * time.Minute)
			r.wantAsked(1)
			if writes > 10 {
				r.Errorf("skew %s: %d writes", skew, writes)
			}
		})
	}
}

// A policy that was accepted stays in force over a restart, also where the device
// now believes that it needs more time than the window has.
func TestAnAcceptedPolicyStays(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.Reload(Local{RebootTime: 2 * time.Hour})
		r.pass(0)
		r.stop()
		r.locally = Local{RebootTime: 2 * time.Hour}
		r.start()
		r.desire(7, atTwo)
		ack := r.twin("maintenance")
		value, _ := ack["value"].(map[string]any)
		status := r.twin("maintenanceStatus")
		if fmt.Sprint(ack["ac"]) != "400" || len(value) == 0 || len(status["next"].([]any)) != 3 {
			r.Errorf("acknowledged as %v, and the status is %v", ack, status)
		}
	})
}

// A clock that is not trusted for a moment changes nothing of a delay in an open
// window, neither its time nor, afterwards, what it is said to wait for.
func TestAMomentWithoutTheClock(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, `{"windows":[{"start":"00:00","duration":"6h"}],"spread":"5h"}`)
		r.want(202, "rebootDevice", `{"delay":"30m"}`)
		r.clock.jump(0, false)
		r.ClockChanged()
		r.pass(0)
		r.wantPending(day0+"00:30:00.000Z", "clock")
		r.clock.jump(0, true)
		r.ClockChanged()
		r.pass(0)
		r.wantPending(day0+"00:30:00.000Z", "")
		r.pass(31 * time.Minute)
		r.wantAsked(1)
	})
}

// Devices whose slot has gone by when a policy opens do not act all at once.
func TestAPolicyThatOpensNowIsSpread(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.stop()
		r.device = "door-17"
		r.start()
		r.desire(7, atFour)
		r.want(202, "rebootDevice", rebooty)
		r.pass(30 * time.Minute)
		r.desire(8, `{"windows":[{"start":"00:00","duration":"6h"}],"spread":"20m"}`)
		planned, err := time.Parse(time.RFC3339, r.pending()["notBefore"].(string))
		if now := r.clock.Now(); err != nil || !planned.After(now) || planned.After(now.Add(20*time.Minute)) {
			r.Fatalf("planned for %v at %s, %v", r.pending(), now, err)
		}
		r.wantPending(formatTime(planned), "spread")
		r.pass(time.Until(planned) - time.Second)
		r.wantAsked(0)
		r.wantPending(formatTime(planned), "spread")
		r.pass(6 * time.Second)
		r.wantAsked(1)
	})
}

// The window closes while the door holds an operation back that has started.
func TestNoRoomIsLeftWhenTheDoorIsFree(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.pass(2*time.Hour + 57*time.Minute + 30*time.Second)
		r.want(200, "rebootDevice", `{"delay":"5s"}`)
		r.door.block("doorOpen")
		r.pass(110 * time.Second)
		r.door.block()
		r.DoorChanged()
		r.pass(time.Minute)
		r.wantAsked(0)
		r.wantPending("2000-01-02T02:00:00.000Z", "outside")
	})
}

// A command whose operation waits again answers as it is, not as it was.
func TestARepeatTellsOfAnOperationThatWaitsAgain(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.pass(2 * time.Hour)
		r.want(200, "rebootDevice", `{"delay":"8s","commandId":"c1"}`)
		r.desire(8, atFour)
		r.pass(10 * time.Second)
		r.wantAsked(0)
		a := r.want(202, "rebootDevice", `{"delay":"8s","commandId":"c1"}`)
		if a.body["replayed"] != true || a.body["state"] != "scheduled" || a.body["notBefore"] != day0+"04:00:00.000Z" {
			r.Errorf("answered %v", a.body)
		}
	})
}

// What has a time does not expire before it; what only waits does.
func TestADistantWindowIsNoReasonToExpire(t *testing.T) {
	const distant = `{"exclusions":[{"from":"2000-01-01","to":"2000-01-20"}],"windows":[{"start":"02:00","duration":"1h"}],"spread":0}`
	for name, first := range map[string]string{"before the policy": atTwo, "after it": distant} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(r *rig) {
				r.desire(7, first)
				r.want(202, "rebootDevice", rebooty)
				r.desire(8, distant)
				if p := r.pending(); p["notBefore"] != "2000-01-21T02:00:00.000Z" || p["expiresAt"] != "2000-01-21T03:00:00.000Z" {
					r.Errorf("pending is %v", p)
				}
				r.pass(20*day + 2*time.Hour + 10*time.Second)
				r.wantAsked(1)
			})
		})
	}
	inBubble(t, func(r *rig) {
		r.desire(7, atTwo)
		r.door.block("doorOpen")
		r.want(202, "rebootDevice", rebooty)
		r.pass(7*day + time.Hour)
		if last := r.twin("lastReboot"); last["state"] != stateExpired {
			r.Errorf("lastReboot is %v", last)
		}
	})
}

// The largest policy there may be, what waits for it, and all the rest leave the
// hub's 32 KB of reported properties a good part of free room.
func TestTheLargestPolicyFitsTheTwin(t *testing.T) {
	inBubble(t, func(r *rig) {
		var windows, exclusions []string
		for i := range 32 {
			windows = append(windows, fmt.Sprintf(`{"name":"%064d","days":["mon","tue","wed"],"start":"%02d:30","duration":"2h"}`, i, i%24))
		}
		for i := range 64 {
			exclusions = append(exclusions, fmt.Sprintf(`{"from":"20%02d-12-24","to":"20%02d-12-26"}`, i, i))
		}
		r.desire(7, `{"timeZone":"America/Argentina/ComodRivadavia","windows":[`+strings.Join(windows, ",")+`],"exclusions":[`+strings.Join(exclusions, ",")+`]}`)
		if ack := r.twin("maintenance"); fmt.Sprint(ack["ac"]) != "200" {
			r.Fatalf("acknowledged as %v", ack)
		}
		r.want(202, "rebootDevice", `{"delay":0,"reason":"`+strings.Repeat("x", maxReason)+`"}`)
		r.hub.mu.Lock()
		text, err := json.Marshal(r.hub.held)
		r.hub.mu.Unlock()
		if err != nil || len(text) > 24<<10 {
			r.Errorf("the reported properties take %d bytes, %v", len(text), err)
		}
	})
}
