package agent

import (
	"fmt"
	"testing"
	"time"

	"latchd/agent/health"
	"latchd/agent/ledger"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	limits := Local{MaxPerHour: 3, MaxPerDay: 5}
	for name, row := range map[string]struct {
		attempts []ledger.Attempt
		uptime   time.Duration
		unset    bool // the clock is not trusted
		want     time.Duration
	}{
		"none": {nil, time.Minute, false, 0},
		"two of three": {
			[]ledger.Attempt{{BootID: "a", At: ago(30 * time.Minute)}, {BootID: "b", At: ago(10 * time.Minute)}},
			5 * time.Minute, false, 0,
		},
		"three within the hour": {
			[]ledger.Attempt{{BootID: "a", At: ago(50 * time.Minute)}, {BootID: "b", At: ago(30 * time.Minute)}, {BootID: "c", At: ago(10 * time.Minute)}},
			5 * time.Minute, false, 10 * time.Minute,
		},
		"a fourth that was let through before the limit was lowered": {
			[]ledger.Attempt{{BootID: "a", At: ago(50 * time.Minute)}, {BootID: "b", At: ago(40 * time.Minute)}, {BootID: "c", At: ago(30 * time.Minute)}, {BootID: "d", At: ago(10 * time.Minute)}},
			5 * time.Minute, false, 20 * time.Minute,
		},
		"three, one more than an hour ago": {
			[]ledger.Attempt{{BootID: "a", At: ago(61 * time.Minute)}, {BootID: "b", At: ago(30 * time.Minute)}, {BootID: "c", At: ago(10 * time.Minute)}},
			5 * time.Minute, false, 0,
		},
		"five in a day": {
			[]ledger.Attempt{
				{BootID: "a", At: ago(20 * time.Hour)},
				{BootID: "b", At: ago(15 * time.Hour)},
				{BootID: "c", At: ago(12 * time.Hour)},
				{BootID: "d", At: ago(9 * time.Hour)},
				{BootID: "e", At: ago(2 * time.Hour)},
			}, 5 * time.Minute, false, 4 * time.Hour,
		},
		"no clock: a machine that has been up for long was not rebooted meanwhile": {
			[]ledger.Attempt{{BootID: "a"}, {BootID: "b"}, {BootID: "c"}}, 61 * time.Minute, true, 0,
		},
		"no clock: three boots of a minute each": {
			[]ledger.Attempt{{BootID: "a", Uptime: time.Minute}, {BootID: "b", Uptime: time.Minute}, {BootID: "c", Uptime: time.Minute}},
			time.Minute, true, time.Hour - 3*time.Minute,
		},
		"no clock now, so what it said then does not count": {
			[]ledger.Attempt{{BootID: "a", At: ago(5 * time.Hour)}, {BootID: "b", At: ago(4 * time.Hour)}, {BootID: "c", At: ago(3 * time.Hour)}},
			time.Minute, true, time.Hour - time.Minute,
		},
		"in this boot the clock does not count": {
			[]ledger.Attempt{{BootID: "now", Uptime: time.Minute, At: ago(100 * time.Hour)}, {BootID: "now", Uptime: 2 * time.Minute}, {BootID: "now", Uptime: 3 * time.Minute}},
			10 * time.Minute, false, 51 * time.Minute,
		},
		"none is younger than the one after it": {
			[]ledger.Attempt{{BootID: "a"}, {BootID: "b", At: ago(2 * time.Hour)}, {BootID: "c", At: ago(30 * time.Minute)}, {BootID: "d", At: ago(10 * time.Minute)}},
			5 * time.Minute, false, 0,
		},
		"one without a time before one that is about to be forgotten": {
			[]ledger.Attempt{{BootID: "a"}, {BootID: "b", At: ago(55 * time.Minute)}, {BootID: "c", At: ago(10 * time.Minute)}},
			5 * time.Minute, false, 5 * time.Minute,
		},
		"two in one boot, then another": {
			[]ledger.Attempt{{BootID: "a", Uptime: 10 * time.Minute}, {BootID: "a", Uptime: 40 * time.Minute}, {BootID: "now", Uptime: time.Minute}},
			20 * time.Minute, true, 10 * time.Minute,
		},
	} {
		at := now
		if row.unset {
			at = time.Time{}
		}
		if got := retryAfter(row.attempts, "now", row.uptime, at, limits); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}

// rebootOnce lets the device reboot by command and come back.
func (r *rig) rebootOnce(n int) {
	r.Helper()
	r.want(200, "rebootDevice", rebooty)
	r.pass(5 * time.Second)
	r.reborn(fmt.Sprint("boot-", n), "")
}

// reborn ends this boot, in order or by the cause, and begins another.
func (r *rig) reborn(id, cause string) {
	r.machine.stop(cause == "")
	r.stop()
	r.machine.stop(false)
	r.machine.booted = time.Now()
	r.boot = Boot{ID: id, Cause: cause}
	r.start()
}

func TestTheLoopBreaker(t *testing.T) {
	inBubble(t, func(r *rig) {
		for n := range DefaultMaxPerHour {
			r.rebootOnce(n + 2)
			r.pass(time.Minute)
		}
		a := r.want(429, "rebootDevice", rebooty)
		wait, _ := a.body["retryAfter"].(float64)
		if wait < 50*60 || wait > 60*60 {
			r.Errorf("retryAfter is %v", a.body["retryAfter"])
		}
		r.want(429, "rebootDevice", `{"delay":0,"force":true}`)
		a = r.want(200, "rebootDevice", `{"dryRun":true}`)
		if fmt.Sprintf("%v %v", a.body["wouldRun"], a.body["blockers"]) != "false [loopBreaker]" {
			r.Errorf("dry run: %v", a.body)
		}
		r.pass(time.Duration(wait) * time.Second)
		r.want(200, "rebootDevice", rebooty)
	})
}

// What waits for a window is held back by the breaker, and says so.
func TestTheLoopBreakerHoldsWhatIsDeferred(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.pass(100 * time.Minute)
		for n := range DefaultMaxPerHour {
			r.rebootOnce(n + 2)
		}
		r.desire(7, atTwo)
		r.want(202, "rebootDevice", rebooty)
		r.want(429, "rebootDevice", `{"delay":0,"force":true}`)
		asked := r.machine.times()
		r.pass(21 * time.Minute)
		r.wantPending(day0+"02:00:00.000Z", "loopBreaker")
		r.wantAsked(asked)
		r.pass(45 * time.Minute)
		r.wantAsked(asked + 1)
	})
}

func TestABootLoopHoldsWhatIsDeferred(t *testing.T) {
	inBubble(t, func(r *rig) {
		r.pass(119 * time.Minute)
		r.desire(7, atTwo)
		r.want(202, "rebootDevice", rebooty)
		for n := range health.BootLoopBoots {
			if r.twin("agent")["bootLoop"] != nil {
				r.Errorf("a boot loop after %d boots", n)
			}
			r.pass(10 * time.Second)
			r.reborn(fmt.Sprint("boot-", n+2), "watchdog")
		}
		if r.twin("agent")["bootLoop"] != true {
			r.Errorf("agent is %v", r.twin("agent"))
		}
		r.pass(5 * time.Minute)
		r.wantPending(day0+"02:00:00.000Z", "bootLoop")
		r.wantAsked(0)
		r.pass(12 * time.Minute)
		if r.twin("agent")["bootLoop"] != nil {
			r.Errorf("it does not end: %v", r.twin("agent"))
		}
		r.wantAsked(1)
	})
}

// Power cuts that are months apart are no loop, whatever the clock says before it
// is trusted; and what somebody asked for is none either.
func TestWhatIsNoBootLoop(t *testing.T) {
	inBubble(t, func(r *rig) {
		for n := range 6 {
			r.pass(30 * day)
			r.reborn(fmt.Sprint("boot-", n+2), "powerLoss")
		}
		r.clock.jump(0, false)
		r.reborn("boot-9", "powerLoss")
		r.clock.jump(0, true)
		r.ClockChanged()
		r.pass(10 * time.Second)
		if r.twin("agent")["bootLoop"] != nil {
			r.Errorf("agent is %v", r.twin("agent"))
		}
	})
	inBubble(t, func(r *rig) {
		for n := range 6 {
			r.pass(10 * time.Second)
			r.reborn(fmt.Sprint("boot-", n+2), "")
		}
		if r.twin("agent")["bootLoop"] != nil {
			r.Errorf("six orderly reboots: agent is %v", r.twin("agent"))
		}
	})
}

// Limits that make no sense count as none given.
func TestLocalLimitsAreCompleted(t *testing.T) {
	l := Local{MaxPerHour: -1, MaxPerDay: -1, RebootTime: -1, RebootDelay: -1}.complete()
	if l.MaxPerHour != DefaultMaxPerHour || l.MaxPerDay != DefaultMaxPerDay || l.RebootTime <= 0 || l.RebootDelay != DefaultRebootDelay {
		t.Errorf("%+v", l)
	}
}
