package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/agent/health"
)

// checksOf are the results of an answer to runDiagnostics, by id.
func checksOf(r *rig, a reply) map[string]map[string]any {
	r.Helper()
	found := map[string]map[string]any{}
	list, _ := a.body["checks"].([]any)
	for _, entry := range list {
		result, _ := entry.(map[string]any)
		found[fmt.Sprint(result["id"])] = result
	}
	return found
}

// wantFault tells what a check must find.
func wantFault(r *rig, check, severity, text string) {
	r.Helper()
	a := r.want(200, "runDiagnostics", `{"checks":["`+check+`"]}`)
	found := checksOf(r, a)[check]
	if found["ok"] != false || found["severity"] != severity || !strings.Contains(fmt.Sprint(found["text"]), text) || found["remedy"] == nil {
		r.Errorf("%s: got %s, want %s: %s, and a remedy", check, a, severity, text)
	}
}

func TestContractDiagnostics(t *testing.T) {
	checkSentences(t, plainDoor, []sentence{
		{"runDiagnostics answers with every check: id, ok, severity, text, and a remedy where there is something to do", func(r *rig) {
			for _, payload := range []string{``, `{}`, `null`, `{"checks":null}`, `{"checks":[]}`} {
				found := checksOf(r, r.want(200, "runDiagnostics", payload, "pending", "-"))
				for _, id := range health.IDs() {
					c := found[id]
					if c["text"] == "" || c["ok"] == true && c["severity"] != "info" || c["ok"] == false && c["remedy"] == nil {
						r.Errorf("%s %s: %v", payload, id, c)
					}
				}
				if len(found) != len(health.IDs()) {
					r.Errorf("%s: %d checks", payload, len(found))
				}
			}
		}},
		{"runDiagnostics runs the checks that are asked for", func(r *rig) {
			found := checksOf(r, r.want(200, "runDiagnostics", `{"checks":["lock","clock"]}`))
			if len(found) != 2 || found["lock"]["ok"] != true || found["clock"]["ok"] != true {
				r.Errorf("got %v", found)
			}
		}},
		{"runDiagnostics with an unknown id is 400, names it and lists the known ones", func(r *rig) {
			a := r.want(400, "runDiagnostics", `{"checks":["lock","everything"]}`)
			for _, word := range append(health.IDs(), "everything") {
				if !strings.Contains(fmt.Sprint(a.body["Response"]), word) {
					r.Errorf("the answer does not have %s: %s", word, a)
				}
			}
			for _, payload := range []string{`{"checks":"lock"}`, `{"checks":{}}`, `{"checks":[1]}`, `{"checks":[["lock"]]}`, `{"checks":[null]}`} {
				r.want(400, "runDiagnostics", payload)
			}
		}},
		{"runDiagnostics answers within 4 s with what it has and lists the rest as pending", func(r *rig) {
			r.machine.hang(time.Minute)
			begin := time.Now()
			a := r.want(200, "runDiagnostics", `{}`, "pending", "[rebootRight]")
			if took := time.Since(begin); took >= 4*time.Second {
				r.Errorf("took %s", took)
			}
			if n := len(checksOf(r, a)); n != len(health.IDs())-1 {
				r.Errorf("%d checks", n)
			}
			r.want(200, "unlockDoor", `{}`) // nothing waits for it
			r.machine.hang(0)
			r.pass(time.Minute)
			r.want(200, "runDiagnostics", `{}`, "pending", "-")
		}},
		{"runDiagnostics finds a clock that is not trusted", func(r *rig) {
			r.clock.set("restored", 0)
			wantFault(r, "clock", "error", "restored")
		}},
		{"runDiagnostics finds a machine that may not reboot itself", func(r *rig) {
			r.machine.forbid(errors.New("the polkit rule is missing"))
			wantFault(r, "rebootRight", "error", "polkit")
		}},
		{"runDiagnostics finds an alarm", func(r *rig) {
			r.input("contact", "closed")
			r.input("contact", "open")
			wantFault(r, "lock", "warning", "forcedOpen")
		}},
		{"runDiagnostics finds a state that cannot be written", func(r *rig) {
			free := r.fillDisk()
			r.want(503, "rebootDevice", `{"commandId":"c1"}`)
			r.want(200, "lockDoor", `{}`)
			r.pass(time.Second)
			wantFault(r, "stateDirectory", "error", "state")
			free()
		}},
		{"runDiagnostics finds a device without credentials", func(r *rig) {
			wantFault(r, "credentials", "error", "latchd configure")
		}},
		{"runDiagnostics finds a machine that boots over and over", func(r *rig) {
			for i := range 5 {
				r.pass(time.Minute)
				r.pullPlug(fmt.Sprintf("boot-%d", i+2))
			}
			wantFault(r, "bootLoop", "error", "5 times")
			r.pass(2 * time.Hour)
			if found := checksOf(r, r.want(200, "runDiagnostics", `{"checks":["bootLoop"]}`)); found["bootLoop"]["ok"] != true {
				r.Errorf("two hours later: %v", found)
			}
		}},
	})
	safe := plainDoor
	safe.FailMode = "safe"
	checkSentences(t, safe, []sentence{
		{"runDiagnostics asks for a hardware release of a fail-safe lock", func(r *rig) {
			wantFault(r, "hardwareRelease", "warning", "fire release")
		}},
	})
	safe.HardwareRelease = true
	checkSentences(t, safe, []sentence{
		{"the installer confirms the hardware release in the configuration", func(r *rig) {
			if found := checksOf(r, r.want(200, "runDiagnostics", `{"checks":["hardwareRelease"]}`)); found["hardwareRelease"]["ok"] != true {
				r.Errorf("got %v", found)
			}
		}},
	})
}
