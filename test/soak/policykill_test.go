package soak

import (
	"encoding/json"
	"fmt"
	"os"
	"time"

	"latchd/test/site"
)

// killInPolicy kills the agent while it takes another doorPolicy from the hub.
// The hub keeps the policy, so in the end it is in force.
func (k *killer) killInPolicy() {
	k.Helper()
	unlockTime := time.Duration(1+k.random.IntN(3)) * time.Second
	rest := "locked"
	if k.random.IntN(2) == 0 {
		rest = "unlocked"
	}
	at := time.Duration(k.random.Float64() * 1.3 * float64(k.usually["doorPolicy"]))
	sent := time.Now()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(at)
		k.kill()
	}()
	k.Object("PATCH", "/twins/"+k.id, fmt.Sprintf(
		`{"properties":{"desired":{"doorPolicy":{"resting":%q,"unlockTime":%v}}}}`, rest, unlockTime.Seconds()))
	<-killed
	k.checkFiles()
	k.comeBack()
	recovery := time.Since(k.started)
	k.awaitPolicy()
	o := k.observe()
	before, after := k.door, k.door
	after.restUnlocked = rest == "unlocked"
	outcomes := []outcome{{done, after}}
	causes := append(before.timers(k.started), after.timers(k.started)...)
	switch {
	case after.unlocked() == before.unlocked():
	case after.unlocked():
		causes = append(causes,
			cause{what: "the policy", unlocks: true, from: sent, to: k.started},
			cause{what: "the start, which does not know of the policy", from: k.started, to: o.to},
			cause{what: "the policy, confirmed", unlocks: true, from: sent, to: o.to})
	default:
		causes = append(causes, cause{what: "the policy", from: sent, to: o.to})
		// The start finds a locked door that was recorded as open. It cannot
		// tell that from a lockDoor.
		outcomes = append(outcomes, outcome{forgotten, door{base: heldLocked}})
	}
	fits := k.expect(fmt.Sprintf("kill in a doorPolicy (rests %s)", rest), o, causes, outcomes...)
	k.policyTime = unlockTime
	k.awaitRecord()
	k.figures.pass(recovery, "doorPolicy: "+fits[0])
}

// awaitPolicy waits until the device has acknowledged the doorPolicy that the
// hub wants, if it wants one.
func (k *killer) awaitPolicy() {
	k.Helper()
	desired := site.At(k.Twin(k.id), "properties", "desired")
	wants, _ := site.At(desired, "doorPolicy").(map[string]any)
	if wants == nil {
		return
	}
	k.Await("the doorPolicy is acknowledged", func() bool {
		ack := k.observe().raw["doorPolicy"]
		return fmt.Sprint(site.At(ack, "ac")) == "200" &&
			fmt.Sprint(site.At(ack, "av")) == fmt.Sprint(site.At(desired, "$version")) &&
			fmt.Sprint(site.At(ack, "value", "resting")) == fmt.Sprint(wants["resting"]) &&
			fmt.Sprint(site.At(ack, "value", "unlockTime")) == fmt.Sprint(wants["unlockTime"])
	})
}

// awaitRecord waits until the record of the lock says what the line says. For a
// command that is so when it is answered. A policy is acknowledged before, and
// a kill in between makes the next start lock until the hub has confirmed it.
func (k *killer) awaitRecord() {
	k.Helper()
	k.Await("the policy's effect is recorded", func() bool {
		all := k.line.all(k.TB)
		text, err := os.ReadFile(k.Path(k.id + ".run/lock.json"))
		var record struct{ Memory struct{ Unlocked bool } }
		return err == nil && json.Unmarshal(text, &record) == nil && record.Memory.Unlocked == all[len(all)-1].unlocked
	})
}
